"""Subtitles follow the rules of the trade, whatever the words and their times."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exports.cues import LINE_COLUMNS, LONGEST_MS, SHORTEST_MS, Cue, columns, cues
from parley.audio import SAMPLE_RATE
from parley.transcript import Segment, Word
from tests.unit.gateway.exporting import said

_TEXTS = st.text(
    st.one_of(st.sampled_from("abcdefghij.,?!<>&-{}"), st.characters(exclude_categories=["C", "Z"])),
    min_size=1,
    max_size=60,
)
_TIMES = st.integers(min_value=0, max_value=40 * SAMPLE_RATE)


@st.composite
def _segment(draw: st.DrawFn, number: int, start: int) -> Segment:
    """A segment whose words have any times at all, in no order."""
    words = draw(st.lists(st.builds(Word, _TEXTS, _TIMES, _TIMES, st.just(0.9), st.booleans()), max_size=30))
    return Segment(number, start, start + draw(_TIMES), tuple(words), "en", 0.9, draw(st.booleans()))


@st.composite
def recordings(draw: st.DrawFn) -> list[Segment]:
    segments: list[Segment] = []
    for number in range(draw(st.integers(0, 4))):
        start = segments[-1].end + draw(_TIMES) if segments else 0
        segments.append(draw(_segment(number, start)))
    return segments


def letters(text: str) -> str:
    return "".join(text.split())


def shown(found: list[Cue]) -> list[tuple[str, ...]]:
    return [cue.lines for cue in found]


@given(recordings())
def test_no_word_is_lost_moved_or_said_twice(segments: list[Segment]) -> None:
    assert letters("".join(line for cue in cues(segments) for line in cue.lines)) == letters(
        "".join(word.text for segment in segments for word in segment.words)
    )


@given(recordings())
def test_cues_never_overlap_and_each_lasts_at_most_seven_seconds(segments: list[Segment]) -> None:
    found = cues(segments)
    assert all(0 < cue.end_ms - cue.start_ms <= LONGEST_MS for cue in found)
    assert all(earlier.end_ms <= later.start_ms for earlier, later in pairwise(found))


@given(recordings())
def test_a_cue_is_one_or_two_lines_of_at_most_42_columns(segments: list[Segment]) -> None:
    for cue in cues(segments):
        assert 1 <= len(cue.lines) <= 2
        assert all(columns(line) <= LINE_COLUMNS for line in cue.lines)


def test_lines_break_after_punctuation_and_near_the_middle() -> None:
    assert shown(cues([said(0, 0, "If it rains tomorrow, we will stay at home and read.")])) == [
        ("If it rains tomorrow,", "we will stay at home and read.")
    ]


def test_a_cue_ends_with_a_sentence_rather_than_in_one() -> None:
    text = "We met at nine in the morning in the big room. Then everyone went for lunch together and came back late."
    assert [" ".join(lines) for lines in shown(cues([said(0, 0, text)]))] == [
        "We met at nine in the morning in the big room.",
        "Then everyone went for lunch together and came back late.",
    ]


def test_a_short_word_stays_long_enough_to_be_read() -> None:
    [cue] = cues([said(0, 5, "Yes.")])
    assert (cue.start_ms, cue.end_ms) == (5_200, 5_200 + SHORTEST_MS)


def test_a_cue_gives_way_to_the_next_speech() -> None:
    first, second = cues([said(0, 0, "Yes."), said(1, 0.8, "No.")])
    assert first.end_ms == 800
    assert second.start_ms == 1_000


def test_fast_speech_stays_on_the_screen_for_as_long_as_reading_takes() -> None:
    words = tuple(Word("abcdefghi", i * 1_600, (i + 1) * 1_600, 0.9) for i in range(4))
    [cue] = cues([Segment(0, 0, 6_400, words)])
    assert cue.end_ms - cue.start_ms == 39 * 1000 // 20


def test_a_word_that_lasts_for_a_minute_is_shown_for_seven_seconds() -> None:
    [cue] = cues([Segment(0, 0, 60 * SAMPLE_RATE, (Word("Om.", 0, 60 * SAMPLE_RATE, 0.9),))])
    assert (cue.start_ms, cue.end_ms) == (0, LONGEST_MS)


def test_words_far_apart_are_not_shown_together() -> None:
    words = (Word("One", 0, 8_000, 0.9), Word("two.", 10 * SAMPLE_RATE, 11 * SAMPLE_RATE, 0.9))
    assert shown(cues([Segment(0, 0, 12 * SAMPLE_RATE, words)])) == [("One",), ("two.",)]


def test_words_that_share_one_time_share_the_time_until_the_next() -> None:
    words = tuple(Word(f"word{i:02}.", SAMPLE_RATE, SAMPLE_RATE, 0.9) for i in range(40))
    found = cues([Segment(0, 0, 21 * SAMPLE_RATE, words)])
    assert found[0].start_ms == 1_000
    assert all(cue.end_ms - cue.start_ms >= SHORTEST_MS for cue in found)


def test_wide_characters_take_two_columns() -> None:
    words = tuple(Word(char, i * 3_200, (i + 1) * 3_200, 0.9, joins=True) for i, char in enumerate("会" * 50))
    found = cues([Segment(0, 0, 160_000, words, "ja")])
    assert max(len(line) for cue in found for line in cue.lines) <= LINE_COLUMNS // 2


@pytest.mark.parametrize(("text", "width"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("", 0)])
def test_columns_are_those_of_a_terminal(text: str, width: int) -> None:
    assert columns(text) == width


def test_doubt_stays_with_its_words() -> None:
    assert [cue.suspect for cue in cues([said(0, 0, "Yes."), said(1, 3, "No.", suspect=True)])] == [False, True]
