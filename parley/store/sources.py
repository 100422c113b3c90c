"""The files that recordings come as: whose they are, where their bytes lie, and how to get at them.

A source's blobs lie under `sources/{recording_id}/`; `source_parts` says which of them count, and in which order.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO

import asyncpg

from parley.blobs import Blobs
from parley.errors import ClientError, NotFound
from parley.media import HashingWriter
from parley.store import queries
from parley.store.failures import database_errors
from parley.store.recordings import recording_uuid, unknown
from parley.transcript import Origin, RecordingState

_queries: Any = queries.load(Path(__file__).parent / "sources.sql")
_COPY_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class SourcePart:
    """Bytes [start, end) of a file, under `blob_key`."""

    start: int
    end: int
    blob_key: str


@dataclass(frozen=True, slots=True)
class Source:
    """What the file was called where it came from, None where that is not known; and the address to fetch it from."""

    name: str | None
    url: str | None


class Sources:
    """All that `owner` may see. The owner is bound here, once, and every query filters by it (invariant 9)."""

    def __init__(self, pool: asyncpg.Pool, owner: str) -> None:
        self._pool = pool
        self._owner = owner

    async def get(self, recording_id: str) -> Source:
        """Raises NotFound, also for another owner's."""
        async with database_errors():
            row = await _queries.get_source(self._pool, owner=self._owner, id=recording_uuid(recording_id))
        if row is None:
            raise unknown(recording_id)
        return Source(row["source_name"], row["source_url"])

    async def standing(self, recording_id: str) -> tuple[RecordingState, bool]:
        """The recording's state, and whether its file is there. Raises NotFound, also for another owner's."""
        async with database_errors():
            row = await _queries.standing(self._pool, owner=self._owner, id=recording_uuid(recording_id))
        if row is None:
            raise unknown(recording_id)
        return row["state"], row["has_source"]

    async def parts(self, recording_id: str) -> list[SourcePart]:
        """The parts of the recording's file, from byte 0 on; none where it has none (yet), or is another owner's."""
        async with database_errors():
            rows = _queries.list_parts(self._pool, owner=self._owner, id=recording_uuid(recording_id))
            return [SourcePart(*row) async for row in rows]


async def create_recording(
    connection: Any,
    owner: str,
    recording_id: str,
    *,
    origin: Origin,
    title: str | None = None,
    name: str | None = None,
    url: str | None = None,
) -> None:
    """Makes the recording that a file becomes, in state `processing`, in the caller's transaction."""
    await _queries.insert_recording(
        connection,
        id=recording_uuid(recording_id),
        owner=owner,
        title=title,
        origin=origin,
        source_name=name,
        source_url=url,
    )


async def add_parts(connection: Any, owner: str, recording_id: str, parts: Sequence[SourcePart]) -> bool:
    """Says where a recording's file lies, in the caller's transaction.

    False, with nothing changed by the part in question, where that is said already, or the recording is not there.
    """
    values = {"owner": owner, "id": recording_uuid(recording_id)}
    for part in parts:
        row = {"start_byte": part.start, "end_byte": part.end, "blob_key": part.blob_key}
        if await _queries.insert_part(connection, **values, **row) is None:
            return False
    return True


async def name_source(connection: Any, owner: str, recording_id: str, name: str | None) -> None:
    """Notes what a file is called, where that was not known before."""
    await _queries.name_source(connection, owner=owner, id=recording_uuid(recording_id), source_name=name)


def source_prefix(recording_id: str) -> str:
    """Under which all blobs of a recording's file lie."""
    return f"sources/{recording_id}"


def new_source_key(recording_id: str, start: int) -> str:
    """A blob's key that nobody has: whoever writes the same bytes at the same time writes to another."""
    return f"{source_prefix(recording_id)}/{start:013d}-{token_hex(4)}"


async def copy_source(blobs: Blobs, parts: Sequence[SourcePart], file: BinaryIO) -> str:
    """Writes a source's bytes to `file`, a few MB at a time; their SHA-256 in hexadecimal.

    Raises BackendError where storage does not answer, ClientError (`source_lost`) where a part is not what it was.
    """
    writer, position = HashingWriter(file), 0
    for part in parts:
        if part.start != position:
            raise _lost(f"bytes {position} to {part.start} are missing")
        while position < part.end:
            data = await _read(blobs, part, position)
            await asyncio.to_thread(writer.write, data)
            position += len(data)
    return writer.sha256


async def _read(blobs: Blobs, part: SourcePart, position: int) -> bytes:
    first = position - part.start
    try:
        data = await blobs.get_range(part.blob_key, first, min(first + _COPY_BYTES, part.end - part.start))
    except NotFound:
        data = b""
    if not data:
        raise _lost(f"{part.blob_key} ends at byte {position}, not at {part.end}")
    return data


def _lost(what: str) -> ClientError:
    return ClientError(f"The file that was sent is no longer whole in object storage: {what}.", code="source_lost")
