"""How far a job is and what is left of it, by what its steps took of late."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.audio import SAMPLE_RATE
from parley.jobs import KINDS, Job, JobState, Kind, Rate, Step, StepState, outlook

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
RATES = {"transcribe": Rate(mean_s=90, per_audio_s=0.1), "summarise": Rate(mean_s=20)}


def step(
    name: str,
    state: StepState,
    progress: float = 0.0,
    *,
    kind: Kind = "stt",
    began_s_ago: float = 0.0,
    due_in_s: float = 0.0,
) -> Step:
    return Step(
        id=1,
        name=name,
        kind=kind,
        state=state,
        attempt=1,
        worker=None,
        progress=1.0 if state == "succeeded" else progress,
        stage="decoding",
        error=None,
        failures=(),
        result=None,
        usage=(),
        not_before=NOW + timedelta(seconds=due_in_s),
        started_at=NOW - timedelta(seconds=began_s_ago),
        finished_at=None,
    )


def job(state: JobState, *steps: Step, audio_s: float | None = 600, delayed: str | None = None) -> Job:
    return Job(
        id="j",
        owner="alice",
        recording_id=None,
        pipeline=tuple(one.name for one in steps),
        priority="normal",
        state=state,
        options={},
        delayed=delayed,
        created_at=NOW,
        started_at=NOW,
        finished_at=None,
        samples=None if audio_s is None else int(audio_s * SAMPLE_RATE),
        seen_at=NOW,
        steps=steps,
    )


def test_steps_weigh_by_their_kind() -> None:
    found = outlook(job("queued", step("transcribe", "succeeded"), step("summarise", "queued", kind="llm")), RATES)
    assert (found.percent, found.step, found.stage, found.remaining_s) == (72, "summarise", "decoding", 20)


def test_a_step_without_audio_takes_its_average() -> None:
    assert outlook(job("queued", step("transcribe", "queued"), audio_s=None), RATES).remaining_s == 90


def test_a_step_that_was_never_measured_leaves_the_rest_unknown() -> None:
    found = outlook(job("running", step("transcribe", "succeeded"), step("new", "running")), RATES)
    assert (found.percent, found.remaining_s) == (50, None)


@pytest.mark.parametrize(("progress", "remaining_s"), [(0.05, 57 + 20), (0.25, 90 + 20), (0.5, 30 + 20)])
def test_a_running_step_is_measured_by_its_own_pace_once_it_has_one(progress: float, remaining_s: float) -> None:
    running = step("transcribe", "running", progress, began_s_ago=30)
    found = outlook(job("running", running, step("summarise", "pending")), RATES)
    assert found.remaining_s == pytest.approx(remaining_s)


def test_a_waiting_step_waits_first() -> None:
    found = outlook(job("waiting", step("transcribe", "waiting", 0.5, due_in_s=40)), RATES)
    assert found.remaining_s == 40 + 30


@pytest.mark.parametrize("state", ["failed", "dead", "cancelled"])
def test_nothing_is_promised_of_a_job_that_ended_badly(state: JobState) -> None:
    found = outlook(job(state, step("transcribe", state, 0.5)), RATES)
    assert (found.percent, found.remaining_s) == (50, None)


def test_nothing_is_promised_while_something_is_away() -> None:
    delayed = job("waiting", step("transcribe", "waiting"), delayed="No engine answers.")
    assert outlook(delayed, RATES).remaining_s is None


def test_only_a_job_that_succeeded_is_at_a_hundred() -> None:
    assert outlook(job("running", step("transcribe", "running", 1.0)), RATES).percent == 99
    found = outlook(job("succeeded", step("transcribe", "succeeded")), RATES)
    assert (found.percent, found.step, found.remaining_s) == (100, None, 0)


@given(
    progress=st.lists(st.floats(0, 1), min_size=2, max_size=5),
    more=st.floats(0, 1),
    kinds=st.lists(st.sampled_from(KINDS), min_size=5, max_size=5),
    measured=st.floats(0, 1e6),
)
def test_neither_progress_nor_what_is_measured_meanwhile_takes_percent_back(
    progress: list[float], more: float, kinds: list[Kind], measured: float
) -> None:
    steps = [step(f"s{number}", "running", value, kind=kinds[number]) for number, value in enumerate(progress)]
    further = [replace(steps[0], progress=max(progress[0], more)), *steps[1:]]
    before = outlook(job("running", *steps), {}).percent
    assert 0 <= before <= outlook(job("running", *further), {"s0": Rate(measured)}).percent <= 99
