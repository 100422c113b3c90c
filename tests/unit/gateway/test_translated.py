"""A translation in the form of a transcript: its words share out the time of their segment."""

import pytest

from gateway.exports.translated import translated
from parley.transcript import Segment, Word

SAID = Segment(0, 0, 50_000, (Word("Hello", 10_000, 20_000, 0.8), Word("there.", 20_000, 40_000, 0.8)), "en", 0.8)


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("Guten Tag.", "de", [("Guten", 10_000, 26_666), ("Tag.", 26_666, 40_000)]),
        ("你好", "zh", [("你", 10_000, 25_000), ("好", 25_000, 40_000)]),
        ("", "de", []),
    ],
)
def test_words_share_the_time_by_their_length(text: str, language: str, words: list[tuple[str, int, int]]) -> None:
    [segment] = translated([SAID], {0: text}, language)
    assert [(word.text, word.start, word.end) for word in segment.words] == words
    assert (segment.text, segment.language, segment.start, segment.end) == (text, language, 0, 50_000)


def test_a_segment_that_was_not_translated_is_left_out() -> None:
    assert translated([SAID, Segment(1, 50_000, 60_000)], {1: "Ja."}, "de") == [
        Segment(1, 50_000, 60_000, (Word("Ja.", 50_000, 60_000, 0.0),), "de")
    ]
