"""Jobs as the REST API shows them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from parley.jobs import (
    ErrorClass,
    Failure,
    Job,
    JobState,
    Kind,
    Outlook,
    Priority,
    Step,
    StepError,
    StepState,
    outlook,
)
from parley.store.jobs import StepRates
from parley.webhooks import DeliveryState

_MODEL = ConfigDict(frozen=True, populate_by_name=True)
_TOLD: frozenset[JobState] = frozenset({"waiting", "failed", "dead"})
"""States in which a job's error is why it is in them."""


class JobErrorBody(BaseModel):
    """`class` says what becomes of the step: retryable, permanent, quota, delayed, lost. `message` is for a person."""

    model_config = _MODEL
    error_class: ErrorClass = Field(alias="class")
    code: str
    message: str

    @classmethod
    def of(cls, error: StepError) -> Self:
        return cls(**{"class": error.error_class}, code=error.code, message=error.message)


class FailureBody(BaseModel):
    """One attempt that came to nothing."""

    model_config = _MODEL
    at: datetime
    attempt: int
    worker: str | None
    error: JobErrorBody

    @classmethod
    def of(cls, failure: Failure) -> Self:
        return cls(at=failure.at, attempt=failure.attempt, worker=failure.worker, error=JobErrorBody.of(failure.error))


class StepBody(BaseModel):
    """`progress` is in [0, 1]; `failures` are the last 20; `usage` is what each attempt cost."""

    model_config = _MODEL
    name: str
    kind: Kind
    state: StepState
    attempt: int
    progress: float
    stage: str | None
    error: JobErrorBody | None
    failures: list[FailureBody]
    result: Any
    usage: list[dict[str, Any]]
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, step: Step) -> Self:
        return cls(
            name=step.name,
            kind=step.kind,
            state=step.state,
            attempt=step.attempt,
            progress=round(step.progress, 4),
            stage=step.stage,
            error=JobErrorBody.of(step.error) if step.error else None,
            failures=[FailureBody.of(failure) for failure in step.failures],
            result=step.result,
            usage=[dict(usage) for usage in step.usage],
            started_at=step.started_at,
            finished_at=step.finished_at,
        )


class JobBody(BaseModel):
    """A job. `delayed` says what it needs is away; `remaining_s` is null where it is not known; `error` is why it
    waits, failed, or is dead; `webhooks` counts the deliveries that tell of it, by their state."""

    model_config = _MODEL
    id: str
    recording_id: str | None
    pipeline: list[str]
    priority: Priority
    state: JobState
    options: dict[str, Any]
    delayed: str | None
    percent: int
    step: str | None
    stage: str | None
    remaining_s: float | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: JobErrorBody | None
    webhooks: Mapping[DeliveryState, int]
    steps: list[StepBody]

    @classmethod
    def of(cls, job: Job, ahead: Outlook) -> Self:
        error = job.current.error if job.current and job.state in _TOLD else None
        return cls(
            id=job.id,
            recording_id=job.recording_id,
            pipeline=list(job.pipeline),
            priority=job.priority,
            state=job.state,
            options=dict(job.options),
            delayed=job.delayed,
            percent=ahead.percent,
            step=ahead.step,
            stage=ahead.stage,
            remaining_s=None if ahead.remaining_s is None else round(ahead.remaining_s, 1),
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
            error=JobErrorBody.of(error) if error else None,
            webhooks=job.webhooks,
            steps=[StepBody.of(step) for step in job.steps],
        )


class JobPage(BaseModel):
    """The newest first; `next_cursor` gives the page after this one, null on the last."""

    model_config = _MODEL
    jobs: list[JobBody]
    next_cursor: str | None


async def bodies_of(step_rates: StepRates, jobs: Sequence[Job]) -> list[JobBody]:
    """The bodies of `jobs`, how far each is and what is left of it by what its steps took of late."""
    rates = await step_rates.of(name for job in jobs for name in job.pipeline)
    return [JobBody.of(job, outlook(job, rates)) for job in jobs]
