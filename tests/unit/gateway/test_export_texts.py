"""Plain text, Markdown and JSON: the notes above the transcript, and what was said exactly as it was said."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from gateway.exports import FORMATS
from gateway.exports.body import as_json
from gateway.exports.export import line
from gateway.exports.text import as_markdown, as_text
from parley.notes import Notes
from parley.transcript import Segment, Word
from tests.unit.gateway.exporting import NOTES, export, said

SEGMENTS = (
    said(0, 0, "Good morning. *Costs* fell by 5 % [see #3] & more."),
    said(1, 5, "Perhaps.", suspect=True),
    said(2, 10, "1. Write it down!"),
)


def test_text_is_one_line_a_segment_with_words() -> None:
    silent = Segment(1, 40_000, 48_000, (), "en", 0.0)
    assert as_text(export(said(0, 1, "Hello there."), silent, said(2, 9, "A<B&C"))) == "Hello there.\nA<B&C\n"


def test_text_marks_words_in_doubt() -> None:
    assert as_text(export(*SEGMENTS)).splitlines()[1] == "Perhaps. [?]"


def test_text_has_the_notes_above_the_transcript() -> None:
    assert as_text(export(*SEGMENTS, notes=NOTES)) == (
        "Größe & <things>\n"
        "These notes were written by ollama small. The times say what each rests on.\n"
        "\nSummary\nThe week was planned. (0:00:00)\n"
        "\nKey points\n- Costs *fell*. (0:00:05)\n"
        "\nDecisions\n- Ship it. (0:00:10)\n"
        "\nAction items\n- Write it down (Ann, due 2026-12-01) (0:00:10)\n"
        "\nChapters\n- Planning (0:00:00)\n"
        "\nDiary\nToday we planned. (0:00:00)\n"
        "\nTranscript\n\n"
        "Good morning. *Costs* fell by 5 % [see #3] & more.\nPerhaps. [?]\n1. Write it down!\n"
    )


def test_markdown_has_title_date_notes_and_the_time_of_each_paragraph() -> None:
    assert as_markdown(export(*SEGMENTS, notes=NOTES)) == (
        "# Größe \\& \\<things\\>\n\n"
        "*2026-11-20 15:53 UTC · 0:12:34 · en*\n\n"
        "*These notes were written by ollama small. The times say what each rests on.*\n\n"
        "## Summary\n\n**0:00:00** The week was planned.\n\n"
        "## Key points\n\n- **0:00:05** Costs \\*fell\\*.\n\n"
        "## Decisions\n\n- **0:00:10** Ship it.\n\n"
        "## Action items\n\n- **0:00:10** Write it down (Ann, due 2026-12-01)\n\n"
        "## Chapters\n\n- **0:00:00** Planning\n\n"
        "## Diary\n\n**0:00:00** Today we planned.\n\n"
        "## Transcript\n\n*\\[?\\] marks words that may have been misheard.*\n\n"
        "**0:00:00** Good morning. \\*Costs\\* fell by 5 % \\[see \\#3\\] \\& more. *Perhaps.* \\[?\\]\n\n"
        "**0:00:10** 1\\. Write it down!\n\n"
    )


def test_notes_can_stand_alone() -> None:
    alone = replace(export(*SEGMENTS, notes=NOTES), transcript=False)
    for write in (as_text, as_markdown):
        above = write(export(*SEGMENTS, notes=NOTES))
        assert write(alone).strip() == above[: above.index("Transcript")].rstrip("# \n")


def test_extractive_notes_say_that_they_are() -> None:
    extract = NOTES.model_copy(update={"method": "extractive"})
    for written in (as_text(export(*SEGMENTS, notes=extract)), as_markdown(export(*SEGMENTS, notes=extract))):
        assert "no language model wrote them" in written
        assert "Possible action items" in written


@given(st.lists(st.text(min_size=1, max_size=40).filter(str.strip), min_size=1, max_size=5))
def test_markdown_reads_back_as_what_was_said(texts: list[str]) -> None:
    segments = [
        Segment(i, i * 80_000, i * 80_000 + 16_000, (Word(text, 0, 1, 0.9),), "en", 0.9, suspect=i % 2 == 1)
        for i, text in enumerate(texts)
    ]
    paragraphs = [
        _plain(token) for token in MarkdownIt().parse(as_markdown(export(*segments))) if token.type == "inline"
    ]
    said = [f"0:00:{5 * i:02} {line(text)}{' [?]' if i % 2 else ''}" for i, text in enumerate(texts)]
    assert paragraphs[-len(texts) :] == said


def _plain(token: Token) -> str:
    """The text of a token, markup left out: any markup that the text was taken for is missing from it."""
    kinds = {child.type for child in token.children or ()}
    assert kinds <= {"text", "text_special", "em_open", "em_close", "strong_open", "strong_close"}
    return "".join(child.content for child in token.children or ())


def test_json_has_every_word_with_its_times_and_the_notes() -> None:
    body = json.loads(as_json(export(*SEGMENTS, notes=NOTES)))
    assert body["segments"][1]["words"] == [{"text": "Perhaps.", "start_ms": 5200, "end_ms": 5500, "confidence": 0.9}]
    assert [segment["suspect"] for segment in body["segments"]] == [False, True, False]
    assert Notes.model_validate(body["notes"]) == NOTES


def test_json_without_notes_says_so() -> None:
    assert json.loads(as_json(export()))["notes"] is None


def test_every_form_can_be_written_of_nothing() -> None:
    assert all(form.write(export()) is not None for form in FORMATS.values())
