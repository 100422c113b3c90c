"""Endpointing: a segment begins a pre-roll before enough speech and ends after a trailing silence."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from parley.segmenter import (
    FRAME,
    Checkpoint,
    EndReason,
    SegmentEnded,
    Segmenter,
    SegmentEvent,
    SegmentPaused,
    SegmentStarted,
)
from parley.settings import SegmenterSettings

SETTINGS = SegmenterSettings(pre_roll_ms=96, min_speech_ms=64, tail_ms=96, trailing_silence_ms=160, max_segment_s=2)
PRE_ROLL, MIN_SPEECH, TAIL, TRAILING = 3, 2, 3, 5  # the same in frames
MAX_SAMPLES = 2 * 16_000
SPEECH, SILENCE, BETWEEN = 0.9, 0.05, 0.42

one_by_one = st.lists(st.one_of(st.floats(0, 1), st.sampled_from([SPEECH, SILENCE, BETWEEN])), min_size=1, max_size=400)
in_runs = st.lists(
    st.tuples(st.sampled_from([SPEECH, SILENCE, BETWEEN, 0.6]), st.integers(1, 200)), min_size=1, max_size=12
).map(lambda runs: [probability for probability, count in runs for _ in range(count)])
probabilities = st.one_of(one_by_one, in_runs)


def run(
    frames: list[float], chunks: list[int] | None = None, checkpoint: Checkpoint | None = None
) -> list[SegmentEvent]:
    """All events; after each end the frames are fed again from its checkpoint on, as the detector does."""
    segmenter, events = Segmenter(SETTINGS, checkpoint), []
    for cut in sorted(min(cut, len(frames)) for cut in [*(chunks or []), len(frames)]):
        while segmenter.position < cut * FRAME:
            events += segmenter.feed(frames[segmenter.position // FRAME : cut])
    return events + segmenter.finalize(len(frames) * FRAME, "stop")


def ended(number: int, end: int, reason: EndReason, resume_at: int | None = None, *, continues: bool = False) -> object:
    resume_at = end if resume_at is None else resume_at
    return SegmentEnded(number, end, reason, Checkpoint(number + 1, resume_at, end, continues))


def ends(events: list[SegmentEvent]) -> list[SegmentEnded]:
    return [event for event in events if isinstance(event, SegmentEnded)]


def test_a_segment_begins_a_pre_roll_before_the_first_frame_of_speech() -> None:
    events = run([SILENCE] * 10 + [SPEECH] * 20)
    assert events[0] == SegmentStarted(0, (10 - PRE_ROLL) * FRAME)


def test_a_pre_roll_never_reaches_before_the_recording() -> None:
    assert run([SPEECH] * 20)[0] == SegmentStarted(0, 0)


def test_a_click_shorter_than_the_least_speech_begins_nothing() -> None:
    assert run([SILENCE] * 10 + [SPEECH] * (MIN_SPEECH - 1) + [SILENCE] * 20) == []


def test_speech_with_frames_in_between_counts_from_its_first_frame() -> None:
    events = run([SILENCE] * 10 + [SPEECH, BETWEEN, SPEECH] + [SPEECH] * 10)
    assert events[0] == SegmentStarted(0, (10 - PRE_ROLL) * FRAME)


def test_endpoint_waits_for_trailing_silence() -> None:
    speech = [SILENCE] * 10 + [SPEECH] * 20
    assert ends(run([*speech, *[SILENCE] * (TRAILING - 1), SPEECH])) == [ended(0, 35 * FRAME, "stop")]
    assert ends(run(speech + [SILENCE] * TRAILING + [SILENCE] * 50)) == [
        ended(0, (30 + TAIL) * FRAME, "silence", (30 + TRAILING) * FRAME)
    ]


def test_a_pause_says_where_the_segment_will_end_before_it_does() -> None:
    segmenter = Segmenter(SETTINGS)
    segmenter.feed([SPEECH] * 20)
    assert segmenter.feed([SILENCE] * TAIL) == [SegmentPaused(0, (20 + TAIL) * FRAME)]
    assert segmenter.feed([SPEECH]) == []
    assert segmenter.feed([SILENCE] * (TRAILING - 1)) == [SegmentPaused(0, (21 + TAIL + TAIL) * FRAME)]
    assert segmenter.feed([SILENCE]) == [
        ended(0, (21 + TAIL + TAIL) * FRAME, "silence", (21 + TAIL + TRAILING) * FRAME)
    ]


def test_frames_in_between_neither_begin_nor_end_a_silence() -> None:
    speech = [SPEECH] * 20
    assert run([*speech, *[BETWEEN] * 20])[-1] == ended(0, 40 * FRAME, "stop")
    last = run([*speech, SILENCE, *[BETWEEN] * 20])[-1]
    assert last == ended(0, (20 + TAIL) * FRAME, "silence", (20 + TRAILING) * FRAME)


def test_a_segment_that_is_too_long_is_cut_at_its_quietest_frame_and_goes_on_there() -> None:
    frames = [SPEECH] * 100
    frames[40] = 0.6
    events = run(frames)
    assert events[1:3] == [ended(0, 40 * FRAME, "longest", continues=True), SegmentStarted(1, 40 * FRAME)]


def test_a_segment_that_grows_too_long_in_silence_ends_there() -> None:
    longest = MAX_SAMPLES // FRAME + (MAX_SAMPLES % FRAME > 0)
    frames = [SPEECH] * (longest - 2) + [SILENCE] * 10
    events = run(frames)
    assert events[1:] == [ended(0, longest * FRAME, "longest")]


def test_finalize_ends_the_open_segment_at_the_sample_given() -> None:
    segmenter = Segmenter(SETTINGS)
    segmenter.feed([SPEECH] * 10)
    assert segmenter.finalize(10 * FRAME + 17) == [ended(0, 10 * FRAME + 17, "finalize")]
    assert segmenter.finalize(10 * FRAME + 17) == []
    started = segmenter.feed([SPEECH] * 10)[0]
    assert started == SegmentStarted(1, 10 * FRAME + 17)


@given(frames=probabilities, chunks=st.lists(st.integers(0, 2400), max_size=20))
def test_events_do_not_depend_on_where_the_chunks_were_cut(frames: list[float], chunks: list[int]) -> None:
    assert run(frames, chunks) == run(frames)


@given(frames=probabilities)
def test_segments_are_numbered_disjoint_in_order_and_bounded(frames: list[float]) -> None:
    events = run(frames)
    starts = [event for event in events if isinstance(event, SegmentStarted)]
    assert [event.number for event in starts] == [event.number for event in ends(events)] == list(range(len(starts)))
    previous_end = 0
    for start, end in zip(starts, ends(events), strict=True):
        assert previous_end <= start.start < end.end
        assert end.end - start.start <= MAX_SAMPLES + FRAME
        previous_end = end.end


@given(frames=probabilities)
def test_no_run_of_speech_lies_outside_a_segment(frames: list[float]) -> None:
    events = run(frames)
    covered = np.zeros(len(frames), bool)
    starts = [event.start for event in events if isinstance(event, SegmentStarted)]
    for start, last in zip(starts, ends(events), strict=True):
        covered[start // FRAME : -(-last.end // FRAME)] = True
    run_length = 0
    for index, probability in enumerate(frames):
        run_length = run_length + 1 if probability >= SETTINGS.speech_threshold else 0
        if run_length >= MIN_SPEECH:
            assert covered[index - run_length + 1 : index + 1].all()


@given(frames=probabilities)
def test_no_segment_begins_before_what_was_said_to_be_needed(frames: list[float]) -> None:
    segmenter, needed = Segmenter(SETTINGS), 0
    while segmenter.position < len(frames) * FRAME:
        for event in segmenter.feed([frames[segmenter.position // FRAME]]):
            if isinstance(event, SegmentStarted):
                assert event.start >= needed
        assert segmenter.earliest_needed >= needed
        needed = segmenter.earliest_needed


@given(frames=probabilities, which=st.integers(0, 30))
def test_whoever_begins_at_a_checkpoint_finds_the_same_segments(frames: list[float], which: int) -> None:
    events = run(frames)
    known = ends(events)[: which + 1]
    if known:
        rest = run(frames, checkpoint=known[-1].checkpoint)
        assert rest == events[events.index(known[-1]) + 1 :]
