"""Uploads until they are recordings: what of a file is durable, and what is wanted of it. The blobs are the caller's.

create ──▶ add_part … (the last one makes the recording and its job) ──▶ kept for a while, so that HEAD can tell
create ──▶ (the blob is written) ──▶ complete, of what comes whole    drop ──▶ (its blobs are deleted) ──▶ forget
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

import asyncpg

from parley.errors import ClientError, NotFound
from parley.store import queries
from parley.store.failures import database_errors
from parley.store.intake import Taken, Wanted, from_json, take_in, to_json
from parley.store.sources import SourcePart, new_source_key

_queries: Any = queries.load(Path(__file__).parent / "uploads.sql")

Way = Literal["tus", "form", "presigned"]
"""In parts; or whole, through the gateway or past it."""


@dataclass(frozen=True, slots=True)
class StoredUpload:
    """An upload as it is kept. `recording_id` and `job_id`: what it became, once it is complete."""

    id: str
    way: Way
    length: int
    received: int
    metadata: str
    expires_at: datetime
    recording_id: str | None = None
    job_id: str | None = None


class UploadRows:
    """All uploads of `owner`. The owner is bound here, once, and every query filters by it (invariant 9).

    Every call raises BackendError where PostgreSQL does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, owner: str) -> None:
        self._pool = pool
        self._owner = owner

    async def create(
        self,
        way: Way,
        length: int,
        wanted: Wanted,
        *,
        expires_at: datetime,
        metadata: str = "",
        idempotency_key: str | None = None,
    ) -> StoredUpload:
        """A new upload of `length` bytes; or, where this owner sent this key before, the one that was made then.

        Raises ClientError (`idempotency_conflict`) where that one is of another file.
        """
        values = {"owner": self._owner, "way": way, "length": length, "metadata": metadata}
        values |= {"wanted": to_json(wanted), "idempotency_key": idempotency_key, "expires_at": expires_at}
        async with database_errors(), self._pool.acquire() as connection, connection.transaction():
            while True:  # again only where the upload in our way expired, or was deleted before we could read it
                upload_id = uuid4()
                if await _queries.insert_upload(connection, id=upload_id, **values):
                    if way != "tus":
                        await _add(connection, upload_id, SourcePart(0, length, new_source_key(str(upload_id), 0)))
                    return StoredUpload(str(upload_id), way, length, 0, metadata, expires_at)
                same = await _queries.same_upload(connection, owner=self._owner, idempotency_key=idempotency_key)
                if same is not None and same["expired"]:
                    await _queries.drop_upload(connection, id=same["id"], owner=self._owner)
                elif same is not None:
                    return _of_the_same_request(_upload(same), way, length)

    async def get(self, upload_id: str, way: Way) -> StoredUpload:
        """Raises NotFound, also for another owner's and for one that is being deleted."""
        async with database_errors():
            row = await _queries.get_upload(self._pool, id=_uuid(upload_id), owner=self._owner, way=way)
        if row is None:
            raise no_upload(upload_id)
        return _upload(row)

    async def add_part(self, upload_id: str, part: SourcePart, expires_at: datetime) -> StoredUpload | None:
        """The upload with the blob of one more part, the last of which makes the recording and its job.

        None, with nothing changed, where it is no longer at `part.start`, or no longer at all.
        """
        key = _uuid(upload_id)
        values = {"before": part.start, "after": part.end, "expires_at": expires_at}
        async with database_errors(), self._pool.acquire() as connection, connection.transaction():
            if not await _queries.advance(connection, id=key, owner=self._owner, **values):
                return None
            await _add(connection, key, part)
            row = await _queries.lock_upload(connection, id=key, owner=self._owner)
            if row["received"] == row["length"]:
                await self._take_in(connection, row)
                row = await _queries.lock_upload(connection, id=key, owner=self._owner)
        return _upload(row)

    async def parts(self, upload_id: str) -> list[SourcePart]:
        """Those of an upload that `get` gave and that is not complete."""
        async with database_errors():
            return await _parts(self._pool, _uuid(upload_id))

    async def complete(self, upload_id: str) -> Taken:
        """The blob of an upload that comes whole is there: makes the recording and its job; once. Raises NotFound."""
        async with database_errors(), self._pool.acquire() as connection, connection.transaction():
            row = await _queries.lock_upload(connection, id=_uuid(upload_id), owner=self._owner)
            if row is None:
                raise no_upload(upload_id)
            if row["recording_id"] is not None:
                upload = _upload(row)
                return Taken(str(upload.recording_id), upload.job_id, before=True)
            return await self._take_in(connection, row)

    async def _take_in(self, connection: Any, row: asyncpg.Record) -> Taken:
        taken = await take_in(
            connection,
            self._owner,
            str(row["id"]),
            from_json(row["wanted"]),
            await _parts(connection, row["id"]),
            idempotency_key=row["idempotency_key"],
        )
        await _queries.complete(
            connection,
            id=row["id"],
            owner=self._owner,
            recording_id=taken.recording_id,
            job_id=taken.job_id,
        )
        await _queries.delete_parts(connection, id=row["id"])
        return taken

    async def drop(self, upload_id: str) -> bool:
        """Nothing more is kept of it: its blobs may be deleted, then it. False where it is complete, or gone."""
        async with database_errors():
            return bool(await _queries.drop_upload(self._pool, id=_uuid(upload_id), owner=self._owner))


class DroppedUploads:
    """Uploads of everybody that are to be deleted: ids, and nothing of what they hold (invariant 9)."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def claim_expired(self) -> str | None:
        """One that was left unfinished for too long, or that somebody else did not come to the end of deleting."""
        async with database_errors():
            upload_id = await _queries.claim_expired(self._pool)
        return str(upload_id) if upload_id else None

    async def forget(self, upload_id: str) -> None:
        """Its blobs are gone."""
        async with database_errors():
            await _queries.forget(self._pool, id=UUID(upload_id))

    async def forget_complete(self) -> None:
        """Those that became recordings a while ago; the recordings stay."""
        async with database_errors():
            await _queries.forget_complete(self._pool)


async def _add(connection: Any, upload_id: UUID, part: SourcePart) -> None:
    values = {"start_byte": part.start, "end_byte": part.end, "blob_key": part.blob_key}
    await _queries.insert_part(connection, id=upload_id, **values)


async def _parts(connection: Any, upload_id: UUID) -> list[SourcePart]:
    return [SourcePart(*row) async for row in _queries.list_parts(connection, id=upload_id)]


def _of_the_same_request(upload: StoredUpload, way: Way, length: int) -> StoredUpload:
    if (upload.way, upload.length) != (way, length):
        raise ClientError(
            f"This Idempotency-Key was sent with another file, of {upload.length} bytes; this one has {length}.",
            code="idempotency_conflict",
        )
    return upload


def _upload(row: Mapping[str, Any]) -> StoredUpload:
    return StoredUpload(
        id=str(row["id"]),
        way=row["way"],
        length=row["length"],
        received=row["received"],
        metadata=row["metadata"],
        expires_at=row["expires_at"],
        recording_id=str(row["recording_id"]) if row["recording_id"] else None,
        job_id=str(row["job_id"]) if row["job_id"] else None,
    )


def _uuid(upload_id: str) -> UUID:
    try:
        found = UUID(upload_id)
    except ValueError:
        raise no_upload(upload_id) from None
    if str(found) != upload_id:
        raise no_upload(upload_id)
    return found


def no_upload(upload_id: str) -> NotFound:
    return NotFound(f"There is no upload {upload_id[:64]!r}.", code="no_such_upload")
