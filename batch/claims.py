"""The right to run a step, and what may be done with it. `docs/jobs.md` draws the states and says who goes first.

    Claims.claim, claim_step ──▶ Lease ── heartbeat, transaction … ──▶ succeed · fail · release
                 reap ─ takes back what nobody gave a sign of      announce ─ what a message must be sent about

A lease that was lost, for whatever reason, can write nothing more: every call raises LeaseLost. Workers serve all
owners, so nothing here filters by owner (invariant 9); a lease says whose step it is.
"""

import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID

import asyncpg

from batch.retry import LOST, Decision, decide
from parley.errors import ParleyError
from parley.jobs import PRIORITIES, Kind, Message, Priority, StepError
from parley.store import queries
from parley.store.failures import database_errors
from parley.store.recordings import recording_uuid, unknown

ANNOUNCE_AFTER_S = 20.0
"""Seconds that a message has to bring a worker, before another about the same step is sent."""
BROKER_AWAY = "The message broker does not answer; the job goes on when it is back."
_REAPER = 0x72656170  # "reap": any one number that all workers agree on

_queries: Any = queries.load(Path(__file__).parent / "claims.sql")


class LeaseLost(ParleyError):
    """The step is somebody else's by now, or nobody's: `code` is `lease_lost`, `cancelled` or `deleted`."""

    code = "lease_lost"


@dataclass(frozen=True, slots=True)
class ClaimedStep:
    """What a worker is told of a step. `results` are those of the steps before it, by name; `attempt` begins at 1."""

    step_id: int
    fence: int
    job_id: str
    owner: str
    recording_id: str | None
    name: str
    kind: Kind
    priority: Priority
    attempt: int
    delays: int
    options: Mapping[str, Any]
    results: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reaped:
    """A step whose worker gave no sign, and what became of it."""

    step_id: int
    job_id: str
    owner: str
    name: str
    decision: Decision


def _nobody() -> None:
    """Whom progress is told to at first."""


class Lease:
    """One worker's right to one step, for `lease_s` seconds from each sign of life.

    Every call raises LeaseLost once it is gone, and BackendError where PostgreSQL does not answer. A lease that is over
    is still good for as long as nobody has taken the step: so nothing is done twice that need not be.
    """

    def __init__(self, pool: asyncpg.Pool, step: ClaimedStep, lease_s: float, luck: Callable[[], float]) -> None:
        self._pool = pool
        self._key = {"step_id": step.step_id, "fence": step.fence}
        self._lease_s = lease_s
        self._luck = luck
        self.step = step
        self.spent: Mapping[str, Any] | None = None
        """What the attempt has cost so far: it is kept also where the attempt comes to nothing."""
        self.on_progress: Callable[[], None] = _nobody
        """Called after each sign of progress that was stored."""

    async def heartbeat(self) -> None:
        """A sign of life."""
        await self._touch(None, None)

    async def progress(self, progress: float, stage: str) -> None:
        """How far the step is, in [0, 1], and at what; a sign of life too."""
        await self._touch(min(1.0, max(0.0, progress)), stage)

    async def _touch(self, progress: float | None, stage: str | None) -> None:
        values = {"lease_s": self._lease_s, "progress": progress, "stage": stage}
        async with database_errors():
            if not await _queries.heartbeat(self._pool, **self._key, **values):
                await self._refuse(self._pool)
        if progress is not None:
            self.on_progress()

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """An asyncpg connection; what is written with it is there only if the lease held until it was committed.

        Keep it short, at most seconds: until then the job can be neither cancelled nor deleted.
        """
        async with database_errors(), self._pool.acquire() as connection, connection.transaction():
            if self.step.recording_id is not None:
                await _queries.keep_recording(connection, recording_id=UUID(self.step.recording_id))
            if not await _queries.hold(connection, **self._key):
                await self._refuse(connection)
            yield connection

    async def succeed(
        self,
        result: Any = None,
        *,
        usage: Mapping[str, Any] | None = None,
        connection: Any | None = None,
    ) -> Message | None:
        """The step is done, and the next one due: what a dispatcher will send about it, None where the job succeeded.

        `result` is small and fits in JSON. With a `connection` out of `transaction`, it is done together with the rest
        of that, or not at all.
        """
        async with contextlib.nullcontext(connection) if connection else self.transaction() as inside:
            position = await _queries.succeed(inside, result=result, usage=_booked(usage), **self._key)
            if position is None:
                await self._refuse(inside)
            row = await _queries.make_due(inside, job_id=UUID(self.step.job_id), position=position + 1)
            return Message(*row) if row else None

    async def fail(self, error: StepError, *, usage: Mapping[str, Any] | None = None) -> Decision:
        """The attempt came to nothing; what becomes of the step."""
        step = self.step
        async with self.transaction() as connection:
            headway = await _queries.headway(connection, step_id=step.step_id)
            decision = decide(error, attempt=step.attempt, delays=step.delays, headway=headway, luck=self._luck())
            await _end_attempt(connection, decision, error, usage or self.spent, **self._key)
        return decision

    async def release(self) -> None:
        """Gives the step back as it was: its worker stops."""
        async with self.transaction() as connection:
            await _queries.release(connection, **self._key)

    async def attach(self, recording_id: str) -> None:
        """The job is about this recording, which a step has made. Raises NotFound where that is not the owner's."""
        values = {"job_id": UUID(self.step.job_id), "recording_id": recording_uuid(recording_id)}
        async with self.transaction() as connection:
            if not await _queries.attach_recording(connection, **values):
                raise unknown(recording_id)
        self.step = replace(self.step, recording_id=recording_id)

    async def same_content(self, content_key: str) -> str | None:
        """The other job of this owner, living or succeeded, with the same audio and settings; where there is none, this
        is the job that later ones will find, and None is returned."""
        values = {"owner": self.step.owner, "content_key": content_key}
        async with self.transaction() as connection:
            while True:  # again only where the other job came to nothing before we could read it
                try:
                    async with connection.transaction():
                        await _queries.attach_content(connection, job_id=UUID(self.step.job_id), **values)
                    return None
                except asyncpg.UniqueViolationError:
                    if (found := await _queries.job_of_content(connection, **values)) is not None:
                        return str(found)

    async def _refuse(self, connection: Any) -> NoReturn:
        standing = await _queries.standing(connection, step_id=self.step.step_id)
        if standing is None:
            raise LeaseLost(f"The job of step {self.step.step_id} was deleted.", code="deleted")
        if standing["state"] == "cancelled":
            raise LeaseLost(f"The job of step {self.step.step_id} was cancelled.", code="cancelled")
        raise LeaseLost(
            f"Step {self.step.step_id} is {standing['state']} under fence {standing['fence']};"
            f" this lease has {self.step.fence}."
        )


class Claims:
    """Every call raises BackendError where PostgreSQL does not answer. `luck` rolls the dice of the waits: [0, 1)."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        luck: Callable[[], float] = random.random,
        announce_after_s: float = ANNOUNCE_AFTER_S,
    ) -> None:
        self._pool = pool
        self._luck = luck
        self._announce_after_s = announce_after_s

    async def claim(self, kind: Kind, worker: str, lease_s: float) -> Lease | None:
        """The step of this kind whose turn it is: by priority, then of the owner with the fewest running steps of this
        kind, then the one that has been due longest. None where nothing is due that is not just being changed."""
        async with database_errors(), self._pool.acquire() as connection, connection.transaction():
            return await self._take(connection, await _queries.next_due(connection, kind=kind), worker, lease_s)

    async def claim_step(self, step_id: int, worker: str, lease_s: float) -> Lease | None:
        """This step; None where it is not due, or done, or another worker has it and is alive."""
        async with database_errors(), self._pool.acquire() as connection, connection.transaction():
            await self._reap(connection, step_id=step_id, count=1)
            return await self._take(connection, await _queries.this_due(connection, step_id=step_id), worker, lease_s)

    async def _take(self, connection: Any, step_id: int | None, worker: str, lease_s: float) -> Lease | None:
        if step_id is None:
            return None
        row = await _queries.take(connection, step_id=step_id, worker=worker, lease_s=float(lease_s))
        return Lease(self._pool, _claimed(row), float(lease_s), self._luck) if row else None

    async def reap(self, count: int = 100) -> list[Reaped]:
        """Takes back up to `count` steps whose workers gave no sign until their leases were over; none where another
        worker is just doing so. Dispatchers hear of them, as of all that is due.
        """
        async with database_errors(), self._pool.acquire() as connection, connection.transaction():
            if not await _queries.lead(connection, lock=_REAPER):
                return []
            return await self._reap(connection, step_id=None, count=count)

    async def _reap(self, connection: Any, *, step_id: int | None, count: int) -> list[Reaped]:
        expired = [row async for row in _queries.expired(connection, step_id=step_id, count=count)]
        return [await self._take_back(connection, row) for row in expired]

    async def _take_back(self, connection: Any, row: asyncpg.Record) -> Reaped:
        decision = decide(LOST, attempt=row["attempt"], delays=0, headway=row["headway"], luck=0.0)
        await _end_attempt(connection, decision, LOST, None, step_id=row["step_id"], fence=row["fence"])
        return Reaped(row["step_id"], str(row["job_id"]), row["owner"], row["name"], decision)

    async def announce(self, kind: Kind, count: int) -> list[Message]:
        """Up to `count` messages to send: about steps that are due now, or whose last message brought nobody.

        Each is named again `announce_after_s` later, for as long as nobody claims it.
        """
        async with database_errors(), self._pool.acquire() as connection:
            rows = _queries.announce(connection, kind=kind, count=count, announce_after_s=self._announce_after_s)
            return [Message(*row) async for row in rows]

    async def unsent(self, messages: Iterable[Message]) -> list[tuple[str, str]]:
        """No message about these could be sent: their jobs are delayed, and say why. Owner and id of those newly so."""
        ids = [message.step_id for message in messages]
        async with database_errors(), self._pool.acquire() as connection:
            rows = _queries.unsent(connection, step_ids=ids, reason=BROKER_AWAY)
            return [(row["owner"], str(row["id"])) async for row in rows]

    async def sendable_again(self) -> list[tuple[str, str]]:
        """The broker answers: no job is delayed for its sake any more. Owner and id of those that were."""
        async with database_errors(), self._pool.acquire() as connection:
            return [
                (row["owner"], str(row["id"])) async for row in _queries.sendable_again(connection, reason=BROKER_AWAY)
            ]

    async def starving(self, kind: Kind, for_s: float) -> bool:
        """Whether a step of this kind has been due for so many seconds without anybody taking it."""
        async with database_errors():
            return bool(await _queries.starving(self._pool, kind=kind, for_s=float(for_s)))


async def _end_attempt(
    connection: Any,
    decision: Decision,
    error: StepError,
    usage: Mapping[str, Any] | None,
    *,
    step_id: int,
    fence: int,
) -> None:
    await _queries.end_attempt(
        connection,
        step_id=step_id,
        fence=fence,
        state=decision.state,
        after_s=decision.after_s,
        counts=decision.counts,
        error_class=error.error_class,
        error_code=error.code,
        error_message=error.message.replace("\0", ""),  # PostgreSQL's text holds no NUL
        usage=_booked(usage),
    )


def _booked(usage: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    return [usage] if usage else []


def _claimed(row: asyncpg.Record) -> ClaimedStep:
    known = dict(row)
    known["job_id"] = str(known["job_id"])
    known["recording_id"] = str(known["recording_id"]) if known["recording_id"] else None
    known["priority"] = PRIORITIES[known["priority"]]
    return ClaimedStep(**known)
