"""A file that has come in becomes a recording and its job, in one transaction: both are there, or neither is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from parley.errors import ClientError
from parley.jobs import PlannedStep, Priority
from parley.store import queries
from parley.store.jobs import enqueue
from parley.store.recordings import recording_uuid, unknown
from parley.store.sources import SourcePart, add_parts, create_recording
from parley.transcript import Origin

_queries: Any = queries.load(Path(__file__).parent / "sources.sql")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The recording and the job that are to be made of a file: checked, so that nothing can be wrong with it later."""

    origin: Origin
    steps: tuple[PlannedStep, ...]
    priority: Priority = "normal"
    options: Mapping[str, Any] | None = None
    title: str | None = None
    name: str | None = None
    """Of the file, where it came from."""
    url: str | None = None
    """To fetch it from."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a file. `before`: the same request had come before, and nothing new was made of this one; its job
    may be deleted by now."""

    recording_id: str
    job_id: str | None
    before: bool = False


class _CameBefore(Exception):
    def __init__(self, taken: Taken) -> None:
        self.taken = taken


async def take_in(
    connection: Any,
    owner: str,
    recording_id: str,
    wanted: Wanted,
    parts: Sequence[SourcePart],
    *,
    idempotency_key: str | None = None,
) -> Taken:
    """Makes the recording of this id, whose file lies in `parts` (none: it is yet to be fetched), and its job.

    On an asyncpg connection, in the caller's transaction.
    """
    try:
        async with connection.transaction():
            await create_recording(
                connection,
                owner,
                recording_id,
                origin=wanted.origin,
                title=wanted.title,
                name=wanted.name,
                url=wanted.url,
            )
            await add_parts(connection, owner, recording_id, parts)
            made = await enqueue(
                connection,
                owner,
                wanted.steps,
                priority=wanted.priority,
                recording_id=recording_id,
                options=wanted.options,
                idempotency_key=idempotency_key,
            )
            about = await _queries.recording_of_job(connection, owner=owner, job_id=UUID(made.job_id))
            if str(about) != recording_id:
                raise _CameBefore(Taken(str(about), made.job_id, before=True))
    except _CameBefore as same:
        return same.taken
    return Taken(recording_id, made.job_id)


async def add_job(
    connection: Any,
    owner: str,
    recording_id: str,
    steps: Sequence[PlannedStep],
    *,
    alone: bool,
    priority: Priority = "normal",
    options: Mapping[str, Any] | None = None,
    idempotency_key: str | None = None,
) -> str:
    """Another job for a recording; its id. On an asyncpg connection, in the caller's transaction.

    Raises NotFound for a recording that is not the owner's; where it must be `alone`, ClientError (`job_at_work`) while
    another job is at the recording.
    """
    at_work = await _lock_and_find_job(connection, owner, recording_id) if alone else None
    made = await enqueue(
        connection,
        owner,
        steps,
        priority=priority,
        recording_id=recording_id,
        options=options,
        idempotency_key=idempotency_key,
    )
    if made.message is not None and at_work is not None:
        message = f"Job {str(at_work)!r} is at this recording; wait for its end, or cancel it."
        raise ClientError(message, code="job_at_work", retryable=True)
    return made.job_id


async def _lock_and_find_job(connection: Any, owner: str, recording_id: str) -> UUID | None:
    """Locks the recording against others that want to be alone with it; the job that is at it, None where none is."""
    about = {"id": recording_uuid(recording_id), "owner": owner}
    if await _queries.lock_recording(connection, **about) is None:
        raise unknown(recording_id)
    at_work: UUID | None = await _queries.living_job(connection, **about)
    return at_work


def to_json(wanted: Wanted) -> dict[str, Any]:
    """For an upload that is not complete yet."""
    return {
        "origin": wanted.origin,
        "steps": [[step.name, step.kind] for step in wanted.steps],
        "priority": wanted.priority,
        "options": dict(wanted.options or {}),
        "title": wanted.title,
        "name": wanted.name,
    }


def from_json(value: Mapping[str, Any]) -> Wanted:
    return Wanted(**{**value, "steps": tuple(PlannedStep(*step) for step in value["steps"])})
