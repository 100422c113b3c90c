"""A segment's audio and when it is worth a decode."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.audio import Samples
from parley.errors import EngineError, TooLarge
from parley.guards import better
from parley.transcript import Hypothesis, Word
from stream_engine.commit import Committer
from stream_engine.segment import FinalDecode, OpenSegment

LIMIT = 200_000
LONGEST = 96_000


def noise(samples: int) -> Samples:
    return np.random.default_rng(samples).integers(-9, 9, samples).astype(np.int16)


def opened() -> OpenSegment:
    return OpenSegment(0, Committer(0), max_samples=LIMIT, longest_window=LONGEST)


def heard(confidence: float, *, suspect: bool = False, doubtful: bool = False) -> Hypothesis:
    return Hypothesis((Word("door", 0, 1, confidence),), "en", confidence, suspect=suspect, doubtful=doubtful)


@given(st.lists(st.integers(0, 30_000), max_size=6))
def test_the_audio_does_not_depend_on_how_it_was_cut(cuts: list[int]) -> None:
    whole = noise(min(sum(cuts), LIMIT))
    segment, at = opened(), 0
    for cut in cuts:
        segment.append(whole[at : at + cut])
        at += cut
    assert np.array_equal(segment.window.snapshot(), whole)


def test_a_snapshot_stays_as_it_was_while_audio_comes() -> None:
    segment = opened()
    segment.append(noise(60_000))
    snapshot = segment.window.snapshot()
    before = snapshot.copy()
    for _ in range(4):
        segment.append(noise(30_000))
    assert np.array_equal(snapshot, before)


def test_the_longest_segment_is_taken_and_one_sample_more_is_not() -> None:
    segment = opened()
    segment.append(noise(LIMIT))
    with pytest.raises(TooLarge, match=f"{LIMIT + 1} samples; at most {LIMIT}"):
        segment.append(noise(1))
    assert len(segment) == LIMIT


def test_an_ended_segment_keeps_its_first_samples() -> None:
    segment = opened()
    segment.append(noise(20_000))
    segment.end(12_000)
    assert np.array_equal(segment.window.snapshot(), noise(20_000)[:12_000])


def test_a_partial_waits_for_half_a_second_then_for_the_interval() -> None:
    segment = opened()
    segment.append(noise(7_999))
    assert not segment.wants_partial(1_600)
    segment.append(noise(1))
    assert segment.wants_partial(1_600)
    segment.append(noise(1_599))
    assert not segment.wants_partial(1_600)
    segment.append(noise(1))
    assert segment.wants_partial(1_600)


def test_the_interval_counts_from_the_beginning_of_the_last_decode() -> None:
    segment = opened()
    segment.append(noise(8_000))
    assert segment.wants_partial(1_600)
    segment.append(noise(1_000))
    segment.window.snapshot()  # the decode begins here, and hears 9,000 samples
    segment.append(noise(1_599))
    assert not segment.wants_partial(1_600)
    segment.append(noise(1))
    assert segment.wants_partial(1_600)


def committed(*ends: int) -> Committer:
    return Committer(0, tuple(Word(f"w{end}", end - 1_000, end, 0.9) for end in ends))


def test_a_short_window_does_not_move() -> None:
    segment = opened()
    segment.append(noise(90_000))
    segment.committer = committed(30_000, 50_000)
    segment.window.move_up(len(segment.window))
    assert segment.window.start == 0


def test_a_long_window_moves_up_behind_a_committed_word_and_keeps_two_seconds() -> None:
    segment = opened()
    segment.append(noise(100_000))
    segment.committer = committed(30_000, 60_000, 90_000)
    segment.window.move_up(len(segment.window))
    assert segment.window.start == 60_000
    assert len(segment.window) == 40_000
    assert np.array_equal(segment.window.snapshot(), noise(100_000)[60_000:])


def test_only_a_window_that_is_to_move_up_asks_for_the_times_of_its_words() -> None:
    segment = opened()
    segment.append(noise(LONGEST))
    assert not segment.window.timed
    segment.append(noise(1))
    assert segment.window.timed


def test_without_committed_words_the_window_stays() -> None:
    segment = opened()
    segment.append(noise(150_000))
    segment.window.move_up(len(segment.window))
    assert len(segment.window) == 150_000


def test_the_final_hears_the_whole_segment_wherever_the_window_is() -> None:
    segment = opened()
    segment.append(noise(100_000))
    segment.committer = committed(60_000)
    segment.window.move_up(len(segment.window))
    assert np.array_equal(FinalDecode(segment, 100_000).snapshot(), noise(100_000))


def test_a_final_in_doubt_waits_for_another_attempt_and_keeps_the_better() -> None:
    final = FinalDecode(opened(), 0)
    final.snapshot()
    assert final.state == "decoding"
    final.heard(heard(0.6, doubtful=True))
    assert (final.state, final.attempt) == ("waiting", 1)
    final.heard(heard(0.5))
    assert (final.state, final.outcome) == ("decoded", heard(0.5))


@pytest.mark.parametrize(
    ("before", "now", "kept"),
    [
        (heard(0.9, suspect=True), heard(0.4), "now"),
        (heard(0.4), heard(0.9, suspect=True), "before"),
        (heard(0.4, suspect=True), heard(0.9, suspect=True), "now"),
        (heard(0.9, suspect=True), heard(0.4, suspect=True), "before"),
        (heard(0.4), Hypothesis((), "en", 0.0), "now"),
        (heard(0.4), EngineError("No memory."), "before"),
        (EngineError("No memory."), heard(0.4, suspect=True), "now"),
    ],
)
def test_the_later_attempt_is_kept_unless_it_failed_or_is_suspect(
    before: Hypothesis | EngineError, now: Hypothesis | EngineError, kept: str
) -> None:
    assert better(before, now) is {"before": before, "now": now}[kept]


def test_a_window_of_which_nothing_is_committed_begins_anew() -> None:
    segment = opened()
    segment.append(noise(161_000))
    segment.window.move_up(161_000)
    assert segment.window.start == 161_000 - 32_000
