"""Speech without words is noticed once each time, and words end it."""

from gateway.watchdog import NoWords
from parley.audio import SAMPLE_RATE
from parley.transcript import Segment, Word

WORD = Word("hello", 0, 100, 0.9)


def told(*finals: tuple[float, bool], limit_s: float = 20.0) -> list[bool]:
    """What the watchdog says to finals of so many seconds, with or without words."""
    watchdog, end, said = NoWords(limit_s), 0, []
    for number, (seconds, has_words) in enumerate(finals):
        start, end = end, end + int(seconds * SAMPLE_RATE)
        said.append(watchdog.heard(Segment(number, start, end, (WORD,) if has_words else ())))
    return said


def test_it_tells_once_when_more_than_the_stated_time_of_speech_had_no_word() -> None:
    assert told((10, False), (10, False), (1, False), (10, False)) == [False, False, True, False]


def test_one_word_in_between_begins_the_count_anew() -> None:
    assert told((15, False), (1, True), (15, False)) == [False, False, False]


def test_words_end_it_and_the_next_time_is_told_again() -> None:
    assert told((21, False), (1, True), (21, False)) == [True, False, True]


def test_silence_between_the_segments_does_not_count() -> None:
    watchdog = NoWords(20)
    finals = [Segment(number, start := number * 60 * SAMPLE_RATE, start + SAMPLE_RATE) for number in range(20)]
    assert not any(watchdog.heard(final) for final in finals)


def test_one_long_segment_is_enough() -> None:
    assert told((28, False)) == [True]
