"""Notes of recordings: the newest of each template. They go when their recording goes."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from parley.jobs import JobState
from parley.notes import Notes, NotesDraft
from parley.store import queries
from parley.store.failures import database_errors
from parley.store.recordings import recording_uuid, unknown
from parley.templates import STANDARD

_queries: Any = queries.load(Path(__file__).parent / "notes.sql")


@dataclass(frozen=True, slots=True)
class SavedNotes:
    """Notes as they are kept: by which template they were written, and when."""

    template: str
    created_at: datetime
    notes: Notes


async def save(connection: Any, owner: str, recording_id: str, template: str, notes: Notes) -> None:
    """Keeps `notes` on an asyncpg connection, in the caller's transaction, in place of those of the same template.

    Raises NotFound for a recording that is not the owner's.
    """
    saved = await _queries.save_notes(
        connection,
        id=recording_uuid(recording_id),
        owner=owner,
        template=template,
        method=notes.method,
        provider=notes.provider,
        model=notes.model,
        body=_storable(notes.model_dump(mode="json", include=set(NotesDraft.model_fields))),
    )
    if not saved:
        raise unknown(recording_id)


@dataclass(frozen=True, slots=True)
class WritingJob:
    """The newest job that writes notes of a recording, or wrote them, or was to."""

    id: str
    state: JobState
    delayed: str | None


class RecordingNotes:
    """All notes that `owner` may see. The owner is bound here, once, and every query filters by it (invariant 9).

    Every call raises BackendError where PostgreSQL does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, owner: str) -> None:
        self._pool = pool
        self._owner = owner

    async def of(self, recording_id: str, template: str | None = None) -> list[SavedNotes]:
        """Those of a recording, the newest first; only those of `template` where that is given."""
        values = {"id": recording_uuid(recording_id), "owner": self._owner, "template": template}
        async with database_errors():
            return [_saved(row) async for row in _queries.list_notes(self._pool, **values)]

    async def get(self, recording_id: str, template: str | None = None) -> SavedNotes | None:
        """The notes of this template, or the newest of all; None where there are none."""
        return next(iter(await self.of(recording_id, template)), None)

    async def job(self, recording_id: str, template: str | None = None) -> WritingJob | None:
        """The newest job that is to write notes of the recording, by `template` where that is given."""
        values = {"id": recording_uuid(recording_id), "owner": self._owner, "template": template, "standard": STANDARD}
        async with database_errors():
            row = await _queries.writing_job(self._pool, **values)
        return WritingJob(str(row["id"]), row["state"], row["delayed"]) if row else None


def _saved(row: asyncpg.Record) -> SavedNotes:
    by = {name: row[name] for name in ("method", "provider", "model")}
    return SavedNotes(row["template"], row["created_at"], Notes(**row["body"], **by))


def _storable(value: Any) -> Any:
    """`value` with every text in it as PostgreSQL's jsonb takes it: without NUL."""
    match value:
        case str():
            return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        case dict():
            return {key: _storable(item) for key, item in value.items()}
        case list():
            return [_storable(item) for item in value]
        case _:
            return value
