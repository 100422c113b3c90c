"""Recordings, their durable audio and their finals, for one owner. All times are samples at 16 kHz."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiosql
import asyncpg

from parley.errors import NotFound
from parley.store.failures import backend_errors
from parley.transcript import Recording, RecordingState, Segment, Word

_queries: Any = aiosql.from_path(Path(__file__).parent / "recordings.sql", "asyncpg", mandatory_parameters=False)


@dataclass(frozen=True, slots=True)
class AudioPart:
    """Durable audio: samples [start, end) of the recording, int16 little-endian mono, under `blob_key`."""

    start: int
    end: int
    blob_key: str


class Recordings:
    """All that `owner` may see. The owner is bound here, once, and every query filters by it (invariant 9)."""

    def __init__(self, pool: asyncpg.Pool, owner: str) -> None:
        self._pool = pool
        self._owner = owner

    async def _query(self, name: str, **values: Any) -> Any:
        with backend_errors("PostgreSQL does not answer"):
            return await getattr(_queries, name)(self._pool, owner=self._owner, **values)

    async def _rows(self, name: str, **values: Any) -> list[asyncpg.Record]:
        with backend_errors("PostgreSQL does not answer"):
            return [row async for row in getattr(_queries, name)(self._pool, owner=self._owner, **values)]

    async def create(self, *, title: str | None = None) -> str:
        """A new recording in state `recording`; its id."""
        recording_id = uuid4()
        await self._query("create_recording", id=recording_id, title=title)
        return str(recording_id)

    async def get(self, recording_id: str) -> Recording:
        """Raises NotFound, also for another owner's."""
        row = await self._query("get_recording", id=_uuid(recording_id))
        if row is None:
            raise _unknown(recording_id)
        return _recording(row)

    async def page(self, *, count: int, before: tuple[datetime, str] | None = None) -> list[Recording]:
        """The newest `count`, or those older than `before` (creation time and id of the last one seen)."""
        created, last_id = before or (None, None)
        rows = await self._rows(
            "list_recordings",
            before_created=created,
            before_id=_uuid(last_id) if last_id else None,
            count=count,
        )
        return [_recording(row) for row in rows]

    async def rename(self, recording_id: str, title: str | None) -> None:
        """Gives another title, or none. Raises NotFound."""
        if not await self._query("rename_recording", id=_uuid(recording_id), title=title):
            raise _unknown(recording_id)

    async def delete(self, recording_id: str) -> None:
        """Removes the rows; the blobs are the caller's. Raises NotFound."""
        if not await self._query("delete_recording", id=_uuid(recording_id)):
            raise _unknown(recording_id)

    async def touch(self, recording_id: str) -> None:
        """A sign of life of the gateway that records it."""
        await self._query("touch_recording", id=UUID(recording_id))

    async def finish(self, recording_id: str, state: RecordingState) -> None:
        """Closes the recording."""
        await self._query("finish_recording", id=UUID(recording_id), state=state)

    async def add_part(self, recording_id: str, part: AudioPart) -> None:
        """Records that a part is in object storage. Doing it twice changes nothing."""
        await self._query(
            "add_part",
            id=UUID(recording_id),
            start_sample=part.start,
            end_sample=part.end,
            blob_key=part.blob_key,
        )

    async def parts(self, recording_id: str, first: int, last: int) -> list[AudioPart]:
        """The parts that hold any of the samples [first, last), in order."""
        rows = await self._rows("list_parts", id=_uuid(recording_id), first=first, last=last)
        return [AudioPart(row["start_sample"], row["end_sample"], row["blob_key"]) for row in rows]

    async def add_segment(self, recording_id: str, segment: Segment) -> None:
        """Stores a final. The first of a number stays."""
        await self._query(
            "add_segment",
            id=UUID(recording_id),
            number=segment.number,
            start_sample=segment.start,
            end_sample=segment.end,
            text=_storable(segment.text),
            words=[[_storable(w.text), w.start, w.end, round(w.confidence, 4), w.joins] for w in segment.words],
            language=segment.language,
            confidence=segment.confidence,
            suspect=segment.suspect,
        )

    async def segments(self, recording_id: str) -> list[Segment]:
        """All finals, in order, those without words too."""
        rows = await self._rows("list_segments", id=_uuid(recording_id))
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


def _storable(text: str) -> str:
    """PostgreSQL's text holds no NUL."""
    return text.replace("\0", "")


def _uuid(recording_id: str) -> UUID:
    """Raises NotFound for what is no id, other spellings of one included: a recording has one name."""
    try:
        found = UUID(recording_id)
    except ValueError:
        raise _unknown(recording_id) from None
    if str(found) != recording_id:
        raise _unknown(recording_id)
    return found


def _unknown(recording_id: str) -> NotFound:
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
    )
