"""Sentences: every word in one, cut where sentences end, whatever the segments are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.sentences import Sentence, sentences_of
from parley.audio import SAMPLE_RATE
from parley.transcript import Segment, Word
from tests.unit.batch.spoken import spoken


def texts(*said: str, pause_s: float = 0.2, language: str = "en") -> list[str]:
    return [sentence.text for sentence in sentences_of(spoken(*said, pause_s=pause_s, language=language))]


def test_a_segment_with_several_sentences_is_several() -> None:
    assert texts("One ends here. Two asks something? And three!") == [
        "One ends here.",
        "Two asks something?",
        "And three!",
    ]


def test_a_sentence_over_several_segments_is_one_and_names_them_all() -> None:
    [first, second] = sentences_of(spoken("We came to", "the bridge at noon. Then", "we left."))
    assert (first.text, first.segments) == ("We came to the bridge at noon.", (0, 1))
    assert (second.text, second.segments) == ("Then we left.", (1, 2))
    assert 0 <= first.start_ms < first.end_ms <= second.start_ms < second.end_ms


@pytest.mark.parametrize(
    "text", ["Dr. Brown met J. Smith.", "It costs 3.5 million.", "See e.g. the annex.", "He said ... nothing."]
)
def test_a_full_stop_inside_a_sentence_ends_none(text: str) -> None:
    assert texts(text) == [text]


def test_closing_quotes_belong_to_their_sentence() -> None:
    assert texts('"Go away." He went.') == ['"Go away."', "He went."]


def test_without_punctuation_pauses_end_sentences() -> None:
    assert texts("we came to the bridge", "then we left", pause_s=1.5) == ["we came to the bridge", "then we left"]
    assert texts("we came to the bridge", "then we left", pause_s=0.5) == ["we came to the bridge then we left"]


def test_speech_without_end_is_cut() -> None:
    found = texts(" ".join(["word"] * 500))
    assert len(found) > 3
    assert max(map(len, found)) < 520


def test_another_language_is_another_sentence() -> None:
    segments = [*spoken("well", language="en"), *spoken("gut", language="de", first=1)]
    assert [(s.text, s.language) for s in sentences_of(segments)] == [("well", "en"), ("gut", "de")]


def test_scripts_without_blanks_are_cut_at_their_own_full_stops() -> None:
    words = tuple(Word(char, i, i + 1, 1.0, joins=i > 0) for i, char in enumerate("我来了。我看见了。"))
    assert [s.text for s in sentences_of([Segment(0, 0, 99, words, "zh")])] == ["我来了。", "我看见了。"]


def test_what_is_doubted_makes_its_sentence_doubted() -> None:
    [segment] = spoken("All of it. And this.")
    doubted = Segment(segment.number, segment.start, segment.end, segment.words, segment.language, suspect=True)
    assert [sentence.suspect for sentence in sentences_of([doubted])] == [True, True]


def test_silence_has_no_sentences() -> None:
    assert sentences_of([]) == []
    assert sentences_of([Segment(0, 0, SAMPLE_RATE)]) == []


@given(st.lists(st.lists(st.sampled_from(["a", "B.", "c,", "D?", "“e.”", "。"]), max_size=8), max_size=8))
def test_every_word_is_in_exactly_one_sentence(segments: list[list[str]]) -> None:
    said = spoken(*(" ".join(words) for words in segments))
    found = sentences_of(said)
    assert [word for sentence in found for word in sentence.text.split()] == [w for words in segments for w in words]
    assert all(_in_order(sentence) for sentence in found)
    assert [s.start_ms for s in found] == sorted(s.start_ms for s in found)


def _in_order(sentence: Sentence) -> bool:
    return sentence.segments == tuple(sorted(set(sentence.segments))) and sentence.start_ms <= sentence.end_ms
