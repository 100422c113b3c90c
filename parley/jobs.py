"""Jobs and their steps, all frozen, and how far a job is. `docs/jobs.md` draws the state machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from parley.audio import SAMPLE_RATE
from parley.webhooks import DeliveryState
from parley.wire import Language, Vocabulary

Priority = Literal["urgent", "normal", "bulk"]
Kind = Literal["stt", "llm", "index", "notify"]
JobState = Literal["queued", "running", "waiting", "succeeded", "failed", "dead", "cancelled"]
StepState = Literal["pending", "queued", "running", "waiting", "succeeded", "failed", "dead", "cancelled"]
ErrorClass = Literal["retryable", "permanent", "quota", "delayed", "lost"]

KINDS: tuple[Kind, ...] = get_args(Kind)
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""The first goes first; the database keeps the index."""

ENDED: frozenset[StepState] = frozenset({"succeeded", "failed", "dead", "cancelled"})


class JobOptions(BaseModel):
    """What whoever asks for a job may say about how it is done; stored as the job's `options`."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    language: Language | None = None
    """What is spoken; null: detected, segment by segment."""
    vocabulary: Vocabulary = ()
    """Words to expect."""
    quality: Literal["fast", "accurate"] | None = None
    """Which of the configured models writes; null: by the job's priority."""
    template: Annotated[str, Field(min_length=1, max_length=80)] = "standard"
    """Name of the template of the notes."""
    translate_to: Language | None = None
    """Language that the step `translate` writes."""
    webhook_url: Annotated[str, Field(max_length=2000)] | None = None
    """Where to tell of the job's end, beside the owner's webhooks."""


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step of a job that is yet to be made: its name, and the queue whose workers run it."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Message:
    """All that goes through the broker: there is something to do in queue `kind`, say step `step_id`."""

    step_id: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class StepError:
    """Why an attempt came to nothing. `code` is for machines, `message` one sentence for a person.

    `retry_after_s`: whoever refused said that it makes no sense before.
    """

    error_class: ErrorClass
    code: str
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """An attempt in a step's history."""

    at: datetime
    attempt: int
    worker: str | None
    error: StepError


@dataclass(frozen=True, slots=True)
class Step:
    """`progress` is in [0, 1]; `error` is why it is not done; `failures` the last 20 attempts, delays aside.

    `not_before`: since when, or from when, it is due. `usage`: what each attempt cost.
    """

    id: int
    name: str
    kind: Kind
    state: StepState
    attempt: int
    worker: str | None
    progress: float
    stage: str | None
    error: StepError | None
    failures: tuple[Failure, ...]
    result: Any
    usage: tuple[Mapping[str, Any], ...]
    not_before: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as its owner sees it. `delayed` says what it needs is away; `seen_at` is the database's clock at reading.

    `samples`: durable audio of its recording at 16 kHz, None while it has none. `webhooks`: how many deliveries tell of
    it, by their state.
    """

    id: str
    owner: str
    recording_id: str | None
    pipeline: tuple[str, ...]
    priority: Priority
    state: JobState
    options: Mapping[str, Any]
    delayed: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    samples: int | None
    seen_at: datetime
    steps: tuple[Step, ...]
    webhooks: Mapping[DeliveryState, int] = field(default_factory=dict)

    @property
    def current(self) -> Step | None:
        """The step that runs, waits, or ended the job without success; None where all succeeded."""
        return next((step for step in self.steps if step.state != "succeeded"), None)


@dataclass(frozen=True, slots=True)
class Rate:
    """Measured work of a step: seconds a run on average, and seconds a second of audio where there was audio."""

    mean_s: float
    per_audio_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """How far a job is, in whole percent, and seconds of work and waits still to come: not its time in the queue.

    `remaining_s` is None where that is not known: a step that was never measured, a job that is delayed or dead.
    """

    percent: int
    step: str | None
    stage: str | None
    remaining_s: float | None


_WEIGHTS: Mapping[Kind, float] = {"stt": 8, "llm": 3, "index": 1, "notify": 0.2}
"""What a step counts for in the percentage: about what it takes. By measured rates, which change while a job runs, the
percentage would go back."""
_TRUSTED_PROGRESS = 0.1
"""From here on a run's own pace says more than the average of others."""


def outlook(job: Job, rates: Mapping[str, Rate]) -> Outlook:
    """How far `job` is, and by measured `rates` of each step's name what is left. Only one that succeeded is at 100."""
    expected = [_expected_s(step, job, rates) for step in job.steps]
    done = sum(_WEIGHTS[step.kind] * _progress(step) for step in job.steps)
    whole = sum(_WEIGHTS[step.kind] for step in job.steps)
    percent = 100 if job.state == "succeeded" else min(99, int(100 * done / whole))
    current = job.current
    return Outlook(
        percent,
        current.name if current else None,
        current.stage if current else None,
        _remaining_s(job, expected),
    )


def _expected_s(step: Step, job: Job, rates: Mapping[str, Rate]) -> float | None:
    """Seconds of the whole step, by what was measured."""
    if (rate := rates.get(step.name)) is None:
        return None
    if rate.per_audio_s is None or job.samples is None:
        return rate.mean_s
    return rate.per_audio_s * job.samples / SAMPLE_RATE


def _progress(step: Step) -> float:
    return 1.0 if step.state == "succeeded" else step.progress


def _remaining_s(job: Job, expected: list[float | None]) -> float | None:
    if job.state == "succeeded":
        return 0.0
    if job.state in ENDED or job.delayed is not None:
        return None
    total = 0.0
    for step, seconds in zip(job.steps, expected, strict=True):
        rest = _rest_s(step, seconds, job.seen_at)
        if rest is None:
            return None
        total += rest
    return total


def _rest_s(step: Step, expected_s: float | None, now: datetime) -> float | None:
    """Seconds until the step is done, the wait before its next attempt included."""
    if step.state == "succeeded":
        return 0.0
    if step.state == "running" and step.started_at is not None and step.progress >= _TRUSTED_PROGRESS:
        return (now - step.started_at).total_seconds() * (1 - step.progress) / step.progress
    if expected_s is None:
        return None
    wait_s = max(0.0, (step.not_before - now).total_seconds()) if step.state == "waiting" else 0.0
    return wait_s + expected_s * (1 - step.progress)
