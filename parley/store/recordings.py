"""Recordings, their durable audio and their finals, for one owner. All times are samples at 16 kHz.

What a session writes is in `parley.store.writing`.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from parley.errors import NotFound
from parley.store import queries
from parley.store.failures import database_errors
from parley.transcript import Recording, Segment, Word

_queries: Any = queries.load(Path(__file__).parent / "recordings.sql")


@dataclass(frozen=True, slots=True)
class AudioPart:
    """Durable audio: samples [start, end) of the recording, mono, under `blob_key`.

    A key's ending names the form: `.pcm` (int16, little-endian) or `.flac`. `ends_segment`: the client ended the open
    segment behind it.
    """

    start: int
    end: int
    blob_key: str
    ends_segment: bool = False


class Recordings:
    """All that `owner` may see. The owner is bound here, once, and every query filters by it (invariant 9)."""

    def __init__(self, pool: asyncpg.Pool, owner: str) -> None:
        self._pool = pool
        self._owner = owner

    async def _query(self, name: str, **values: Any) -> Any:
        async with database_errors():
            return await getattr(_queries, name)(self._pool, owner=self._owner, **values)

    async def _rows(self, name: str, **values: Any) -> list[asyncpg.Record]:
        async with database_errors():
            return [row async for row in getattr(_queries, name)(self._pool, owner=self._owner, **values)]

    async def get(self, recording_id: str) -> Recording:
        """Raises NotFound, also for another owner's."""
        row = await self._query("get_recording", id=recording_uuid(recording_id))
        if row is None:
            raise unknown(recording_id)
        return _recording(row)

    async def page(self, *, count: int, before: tuple[datetime, str] | None = None) -> list[Recording]:
        """The newest `count`, or those older than `before` (creation time and id of the last one seen)."""
        created, last_id = before or (None, None)
        rows = await self._rows(
            "list_recordings",
            before_created=created,
            before_id=recording_uuid(last_id) if last_id else None,
            count=count,
        )
        return [_recording(row) for row in rows]

    async def rename(self, recording_id: str, title: str | None) -> None:
        """Gives another title, or none. Raises NotFound."""
        if not await self._query("rename_recording", id=recording_uuid(recording_id), title=title):
            raise unknown(recording_id)

    async def delete(self, recording_id: str) -> None:
        """Removes the rows; the blobs are the caller's. Raises NotFound."""
        if not await self._query("delete_recording", id=recording_uuid(recording_id)):
            raise unknown(recording_id)

    async def parts(self, recording_id: str, first: int, last: int) -> list[AudioPart]:
        """The parts that hold any of the samples [first, last), in order."""
        rows = await self._rows("list_parts", id=recording_uuid(recording_id), first=first, last=last)
        return [AudioPart(*row) for row in rows]

    async def count_segments(self, recording_id: str) -> int:
        """How many finals it has."""
        return int(await self._query("count_segments", id=recording_uuid(recording_id)))

    async def segments(self, recording_id: str, *, first: int = 0, count: int | None = None) -> list[Segment]:
        """The finals from number `first` on, `count` at most, in order, those without words too."""
        rows = await self._rows("list_segments", id=recording_uuid(recording_id), first=first, count=count)
        return [
            Segment(
                number=row["number"],
                start=row["start_sample"],
                end=row["end_sample"],
                words=tuple(Word(*word) for word in row["words"]),
                language=row["language"],
                confidence=row["confidence"],
                suspect=row["suspect"],
            )
            for row in rows
        ]


def recording_uuid(recording_id: str) -> UUID:
    """Raises NotFound for what is no id, other spellings of one included: a recording has one name."""
    try:
        found = UUID(recording_id)
    except ValueError:
        raise unknown(recording_id) from None
    if str(found) != recording_id:
        raise unknown(recording_id)
    return found


def unknown(recording_id: str) -> NotFound:
    return NotFound(f"There is no recording {recording_id[:64]!r}.", code="no_such_recording")


def _recording(row: asyncpg.Record) -> Recording:
    return Recording(
        id=str(row["id"]),
        owner=row["owner"],
        title=row["title"],
        state=row["state"],
        created_at=row["created_at"],
        samples=row["samples"],
        language=row["language"],
        preview=row["preview"],
        origin=row["origin"],
        source_name=row["source_name"],
        same_as=str(row["same_as"]) if row["same_as"] else None,
    )
