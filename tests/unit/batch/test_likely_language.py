"""The language of segments that do not tell their own."""

from batch.transcription.language import FIRST, LikelyLanguage
from parley.transcript import Segment, Word


def segment(language: str, confidence: float, *, words: int = 1, suspect: bool = False) -> Segment:
    said = tuple(Word("word", 0, 1, confidence) for _ in range(words))
    return Segment(0, 0, 1, said, language, confidence, suspect)


def test_the_first_clear_segment_decides_and_later_ones_change_nothing() -> None:
    likely = LikelyLanguage(None)
    for heard in (segment("fr", 0.3), segment("nl", 0.9, words=0), segment("en", 0.9, suspect=True)):
        likely.heard(heard)
        assert (likely.settled, likely.language) == (False, None)
    likely.heard(segment("de", 0.5))
    likely.heard(segment("en", 0.9))
    assert (likely.settled, likely.language) == (True, "de")


def test_where_none_of_the_first_is_clear_none_is_expected() -> None:
    likely = LikelyLanguage(None)
    for _ in range(FIRST):
        assert not likely.settled
        likely.heard(segment("fr", 0.1))
    assert (likely.settled, likely.language) == (True, None)


def test_a_language_that_was_named_leaves_nothing_to_find_out() -> None:
    assert LikelyLanguage("de").settled


def test_an_attempt_that_goes_on_knows_what_the_first_one_knew() -> None:
    heard = [segment("fr", 0.1), segment("de", 0.9), segment("en", 0.9)]
    assert LikelyLanguage(None, heard).language == "de"
