"""SRT and WebVTT are what other programs read from them."""

import html
import io
import re

import webvtt
from hypothesis import given

from gateway.exports.cues import cues
from gateway.exports.export import line
from gateway.exports.subtitles import as_srt, as_vtt
from parley.transcript import Segment, Word
from tests.unit.gateway.exporting import export, said
from tests.unit.gateway.test_cues import letters, recordings

SEGMENTS = [
    Segment(0, 16_000, 32_000, (Word("Hello", 16_000, 20_000, 0.9), Word("there.", 20_000, 30_000, 0.9)), "en", 0.9),
    Segment(1, 40_000, 48_000, (), "en", 0.0),
    Segment(2, 16_000 * 3_661, 16_000 * 3_662 + 8, (Word("A<B&C", 0, 1, 0.9),), "en", 0.9),
]


def read_back(text: str, form: str) -> list[tuple[int, int, str]]:
    """What webvtt-py finds: start and end in ms, the text without tags."""
    if not text:
        return []  # an SRT without cues is empty, and webvtt-py takes that for no SRT
    return [
        (_ms(caption.start), _ms(caption.end), re.sub(r"</?i[^>]*>", "", caption.raw_text))
        for caption in webvtt.from_buffer(io.StringIO(text), format=form).captions
    ]


def _ms(clock: str) -> int:
    hours, minutes, seconds, ms = (int(part) for part in re.split("[:.,]", clock))
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms


def test_srt_numbers_its_cues_and_uses_a_comma() -> None:
    assert as_srt(export(*SEGMENTS)) == (
        "1\n00:00:01,000 --> 00:00:02,000\nHello there.\n\n2\n01:01:01,000 --> 01:01:02,000\nA<B&C\n"
    )


def test_vtt_escapes_what_it_reserves() -> None:
    assert as_vtt(export(*SEGMENTS)) == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHello there.\n\n01:01:01.000 --> 01:01:02.000\nA&lt;B&amp;C\n"
    )


def test_vtt_has_no_arrow_but_its_own() -> None:
    written = as_vtt(export(said(0, 0, "from --> to")))
    assert written.count("-->") == 1
    assert read_back(written, "vtt")[0][2] == "from --&gt; to"


def test_srt_keeps_what_players_would_take_for_a_tag() -> None:
    assert "‹b>bold‹/b> a<b" in as_srt(export(said(0, 0, "<b>bold</b> a<b")))


def test_words_in_doubt_are_in_italics() -> None:
    doubted = export(said(0, 0, "Hm."), said(1, 5, "Maybe.", suspect=True))
    assert "\n<i>Maybe.</i>\n" in as_srt(doubted)
    assert "\n<i.suspect>Maybe.</i>\n" in as_vtt(doubted)
    assert as_srt(doubted).count("<i>") == 1


def test_an_empty_recording_gives_files_without_cues() -> None:
    assert (as_srt(export()), as_vtt(export())) == ("", "WEBVTT\n")


def test_a_word_with_line_breaks_makes_no_cue_of_its_own() -> None:
    broken = Segment(0, 0, 32_000, (Word("a\n\n2\n00:00:09,000 --> 00:00:10,000\nb", 0, 16_000, 0.9),))
    assert len(read_back(as_srt(export(broken)), "srt")) == 1


@given(recordings())
def test_another_reader_finds_the_same_words_and_times_in_vtt(segments: list[Segment]) -> None:
    found = read_back(as_vtt(export(*segments)), "vtt")
    _same(segments, [(start, end, html.unescape(text)) for start, end, text in found])


@given(recordings())
def test_another_reader_finds_the_same_words_and_times_in_srt(segments: list[Segment]) -> None:
    found = read_back(as_srt(export(*segments)), "srt")
    _same(segments, [(start, end, text.replace("‹", "<")) for start, end, text in found])


def _same(segments: list[Segment], found: list[tuple[int, int, str]]) -> None:
    expected = cues(export(*segments).spoken)
    assert [(start, end) for start, end, _ in found] == [(cue.start_ms, cue.end_ms) for cue in expected]
    assert [letters(text) for _, _, text in found] == [
        letters("".join(cue.lines)).replace("‹", "<") for cue in expected
    ]
    words = "".join(line(word.text) for segment in segments for word in segment.words)
    assert letters("".join(text for _, _, text in found)) == letters(words).replace("‹", "<")
