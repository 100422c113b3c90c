"""Jobs: making them, and what their owner sees and does. What workers do with them is in `batch.claims`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from parley.errors import ClientError, NotFound
from parley.jobs import PRIORITIES, Failure, Job, JobState, Message, PlannedStep, Priority, Rate, Step, StepError
from parley.store import queries
from parley.store.failures import database_errors
from parley.store.recordings import recording_uuid, unknown

_queries: Any = queries.load(Path(__file__).parent / "jobs.sql")
_RATES_S = 60.0


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A job that was made, with the message that a dispatcher will send; or, with no message, the job that was there
    already: of the same request, or (`same_content`) of the same audio with the same settings.
    """

    job_id: str
    message: Message | None
    same_content: bool = False


async def enqueue(
    connection: Any,
    owner: str,
    steps: Sequence[PlannedStep],
    *,
    priority: Priority = "normal",
    recording_id: str | None = None,
    options: Mapping[str, Any] | None = None,
    delayed: str | None = None,
    idempotency_key: str | None = None,
    content_key: str | None = None,
) -> Enqueued:
    """Makes a job of `steps` on an asyncpg connection, in the caller's transaction: it is there exactly if the rest is,
    and workers hear of it the moment that is committed.

    A job of the same owner with this `idempotency_key`, whatever became of it, or with this `content_key`, living or
    succeeded, is returned in its place. Raises NotFound for a recording that is not the owner's, ClientError for steps
    that make no pipeline.
    """
    check_pipeline(steps)
    recording = recording_uuid(recording_id) if recording_id else None
    keys = {"owner": owner, "idempotency_key": idempotency_key, "content_key": content_key}
    while True:  # again only where the job in our way was deleted before we could read it
        job_id = uuid4()
        made = await _queries.make_job(
            connection,
            id=job_id,
            recording_id=recording,
            pipeline=[step.name for step in steps],
            kinds=[step.kind for step in steps],
            priority=PRIORITIES.index(priority),
            options=options or {},
            delayed=delayed,
            **keys,
        )
        if recording and not made["owned"]:
            raise unknown(str(recording_id))
        if made["step_id"] is not None:
            return Enqueued(str(job_id), Message(made["step_id"], made["kind"]))
        if (same := await _queries.same_job(connection, **keys)) is not None:
            return Enqueued(str(same["id"]), None, same_content=not same["same_request"])


def check_pipeline(steps: Sequence[PlannedStep]) -> None:
    """Raises ClientError (`no_steps`, `step_twice`) for steps that make no job."""
    names = [step.name for step in steps]
    if not names:
        raise ClientError("A job needs at least one step.", code="no_steps")
    if len(set(names)) < len(names):
        raise ClientError(f"A step is named twice in {', '.join(names)}.", code="step_twice")


class Jobs:
    """All jobs that `owner` may see. The owner is bound here, once, and every query filters by it (invariant 9).

    Every call raises BackendError where PostgreSQL does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, owner: str) -> None:
        self._pool = pool
        self._owner = owner

    async def get(self, job_id: str) -> Job:
        """Raises NotFound, also for another owner's."""
        if not (found := await self.several([job_id])):
            raise _no_job(job_id)
        return found[0]

    async def several(self, job_ids: Iterable[str]) -> list[Job]:
        """Those of them that are there, the newest first. Raises NotFound for what is no job's id."""
        ids = [_job_uuid(job_id) for job_id in job_ids]
        async with database_errors():
            return await self._read(self._pool, ids)

    async def _read(self, connection: Any, ids: Sequence[UUID]) -> list[Job]:
        rows = [row async for row in _queries.get_jobs(connection, owner=self._owner, ids=ids)]
        return [_job(list(of_job)) for _id, of_job in groupby(rows, key=itemgetter("id"))]

    async def page(
        self,
        *,
        count: int,
        before: tuple[datetime, str] | None = None,
        state: JobState | None = None,
        recording_id: str | None = None,
    ) -> list[Job]:
        """The newest `count`, or those older than `before` (creation time and id of the last one seen).

        The dead letters are the page of state `dead`. Raises NotFound for what is no recording's id.
        """
        created, last_id = before or (None, None)
        async with (
            database_errors(),
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),  # none is gone between the two
        ):
            rows = _queries.list_jobs(
                connection,
                owner=self._owner,
                state=state,
                recording_id=recording_uuid(recording_id) if recording_id is not None else None,
                before_created=created,
                before_id=_job_uuid(last_id) if last_id else None,
                count=count,
            )
            return await self._read(connection, [row["id"] async for row in rows])

    async def cancel(self, job_id: str) -> bool:
        """Cancels it at any moment; False, with nothing changed, where it had ended. Raises NotFound.

        A worker that is at it learns so at its next heartbeat, and can write nothing more.
        """
        async with database_errors(), self._pool.acquire() as connection, connection.transaction():
            await self._lock(connection, job_id)
            rows = _queries.cancel_steps(connection, owner=self._owner, id=_job_uuid(job_id))
            return bool([row async for row in rows])

    async def delete(self, job_id: str) -> None:
        """Removes it and all that its steps said, at any moment. Raises NotFound."""
        async with database_errors():
            if not await _queries.delete_job(self._pool, owner=self._owner, id=_job_uuid(job_id)):
                raise _no_job(job_id)

    async def delay(self, job_id: str, reason: str) -> None:
        """Says why nothing happens, until a worker takes it. Changes nothing where one has."""
        async with database_errors():
            await _queries.delay_job(self._pool, owner=self._owner, id=_job_uuid(job_id), reason=reason)

    async def replay(self, job_ids: Iterable[str]) -> dict[str, Message]:
        """Gives dead letters all their attempts again, from the step that died; the messages that will be sent, by job.

        What is not dead is passed over; and so is a job whose audio another job has made its own since.
        """
        messages = {}
        for job_id in job_ids:
            if (message := await self._replay(job_id)) is not None:
                messages[job_id] = message
        return messages

    async def _replay(self, job_id: str) -> Message | None:
        key = {"owner": self._owner, "id": _job_uuid(job_id)}
        async with database_errors(), self._pool.acquire() as connection:
            try:
                async with connection.transaction():
                    await _queries.lock_job(connection, **key)
                    row = await _queries.replay_step(connection, **key)
            except asyncpg.UniqueViolationError:
                return None
        return Message(*row) if row else None

    async def discard(self, job_ids: Iterable[str]) -> list[str]:
        """Takes dead letters for failed, for good; those that were dead."""
        return [job_id for job_id in job_ids if await self._discard(job_id)]

    async def _discard(self, job_id: str) -> bool:
        key = {"owner": self._owner, "id": _job_uuid(job_id)}
        async with database_errors(), self._pool.acquire() as connection, connection.transaction():
            await _queries.lock_job(connection, **key)
            return await _queries.discard_step(connection, **key) is not None

    async def _lock(self, connection: Any, job_id: str) -> None:
        if not await _queries.lock_job(connection, owner=self._owner, id=_job_uuid(job_id)):
            raise _no_job(job_id)


class StepRates:
    """`step_rates`, asked for again after a minute only: whoever looks at many jobs needs them each time."""

    def __init__(self, pool: asyncpg.Pool, clock: Callable[[], float] = monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._known: dict[str, Rate | None] = {}
        self._known_at = float("-inf")

    async def of(self, names: Iterable[str]) -> Mapping[str, Rate]:
        """Those of the steps with these names that were measured. Raises BackendError."""
        if self._clock() - self._known_at > _RATES_S:
            self._known, self._known_at = {}, self._clock()
        if missing := [name for name in dict.fromkeys(names) if name not in self._known]:
            self._known |= {**dict.fromkeys(missing), **await step_rates(self._pool, missing)}
        return {name: rate for name, rate in self._known.items() if rate is not None}


async def step_rates(pool: asyncpg.Pool, names: Iterable[str]) -> dict[str, Rate]:
    """What each named step took of late, over all owners: means, and nothing of anyone's. For `parley.jobs.outlook`."""
    async with database_errors(), pool.acquire() as connection:
        rows = [row async for row in _queries.step_rates(connection, names=list(names))]
    return {row["name"]: Rate(row["mean_s"], row["per_audio_s"]) for row in rows}


def _job_uuid(job_id: str) -> UUID:
    try:
        found = UUID(job_id)
    except ValueError:
        raise _no_job(job_id) from None
    if str(found) != job_id:
        raise _no_job(job_id)
    return found


def _no_job(job_id: str) -> NotFound:
    return NotFound(f"There is no job {job_id[:64]!r}.", code="no_such_job")


def _job(rows: Sequence[asyncpg.Record]) -> Job:
    """From the rows of its steps, in order."""
    row = rows[0]
    return Job(
        id=str(row["id"]),
        owner=row["owner"],
        recording_id=str(row["recording_id"]) if row["recording_id"] else None,
        pipeline=tuple(row["pipeline"]),
        priority=PRIORITIES[row["priority"]],
        state=row["state"],
        options=row["options"],
        delayed=row["delayed"],
        created_at=row["created_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
        samples=row["samples"],
        seen_at=row["now"],
        steps=tuple(_step(step) for step in rows),
        webhooks=row["webhooks"] or {},
    )


def _step(row: asyncpg.Record) -> Step:
    error = StepError(row["error_class"], row["error_code"], row["error_message"]) if row["error_class"] else None
    return Step(
        id=row["step_id"],
        name=row["name"],
        kind=row["kind"],
        state=row["step_state"],
        attempt=row["attempt"],
        worker=row["worker"],
        progress=row["progress"],
        stage=row["stage"],
        error=error,
        failures=tuple(_failure(entry) for entry in row["failures"]),
        result=row["result"],
        usage=tuple(row["usage"]),
        not_before=row["not_before"],
        started_at=row["step_started_at"],
        finished_at=row["step_finished_at"],
    )


def _failure(entry: Mapping[str, Any]) -> Failure:
    error = StepError(entry["class"], entry["code"], entry["message"])
    return Failure(datetime.fromisoformat(entry["at"]), entry["attempt"], entry["worker"], error)
