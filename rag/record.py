"""What the rag service reads of PostgreSQL, the record, and what it notes there of its indexes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID
from zlib import crc32

import asyncpg

from parley.store import queries
from parley.store.failures import backend_errors, database_errors
from parley.transcript import samples_to_ms
from rag.passages import Source, Spoken

CHANNEL = "parley_search"
"""Each notification is the id of a recording whose passages changed."""
_queries: Any = queries.load(Path(__file__).parent / "record.sql")


@dataclass(frozen=True, slots=True)
class IndexRow:
    """An index, as it is noted. `model` is the setting that its embeddings were made with."""

    name: str
    model: str
    dimension: int
    notice: str


@dataclass(frozen=True, slots=True)
class Change:
    """What is known of a recording: whose it is, at which version, and whether it was deleted."""

    owner: str
    version: int
    gone: bool


class Record:
    """Every call raises BackendError where PostgreSQL does not answer. `place`: where the indexes lie."""

    def __init__(self, pool: asyncpg.Pool, place: str) -> None:
        self.place = place
        self._pool = pool

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """One process at a time, of those that share the place. Raises BackendError where another takes too long."""
        with backend_errors("PostgreSQL does not answer"):
            async with self._pool.acquire() as connection:
                await connection.execute("SELECT pg_advisory_lock($1)", self.lock_number)
                try:
                    yield
                finally:
                    await connection.execute("SELECT pg_advisory_unlock($1)", self.lock_number)

    @property
    def lock_number(self) -> int:
        """Of the place, for locks in PostgreSQL."""
        return (0x7061726C << 32) | crc32(self.place.encode())

    async def current(self) -> IndexRow | None:
        row = await self._query("current_index", place=self.place)
        return IndexRow(**row) if row else None

    async def building(self) -> IndexRow | None:
        row = await self._query("building_index", place=self.place)
        return IndexRow(**row) if row else None

    async def add(self, row: IndexRow, state: Literal["building", "current"]) -> None:
        await self._query(
            "add_index",
            place=self.place,
            state=state,
            name=row.name,
            model=row.model,
            dimension=row.dimension,
            notice=row.notice,
        )

    async def remove(self, name: str) -> None:
        await self._query("remove_index", name=name)

    async def promote(self, name: str, instead_of: str) -> None:
        """`name` is the current index from now on, and `instead_of` is none any more."""
        async with self._transaction() as connection:
            await _queries.remove_index(connection, name=instead_of)
            await _queries.promote_index(connection, name=name)

    async def forget_done(self, name: str) -> None:
        """Nothing is known any more of what this index has."""
        await self._query("forget_done", name=name)

    async def behind(self, name: str, count: int) -> list[str]:
        """Up to `count` recordings that the index does not have as they are."""
        async with database_errors():
            return [str(row["recording_id"]) async for row in _queries.behind(self._pool, name=name, count=count)]

    async def how_many_behind(self, name: str) -> int:
        return int(await self._query("how_many_behind", name=name))

    async def owners(self) -> list[str]:
        """Of all recordings in which something was said."""
        async with database_errors():
            return [row["owner"] async for row in _queries.owners(self._pool)]

    async def change(self, recording_id: str) -> Change | None:
        """None where nothing was ever said in it, or all indexes have forgotten it."""
        row = await self._query("change", recording_id=UUID(recording_id))
        return Change(**row) if row else None

    async def done(self, name: str, recording_id: str) -> tuple[int, int] | None:
        """The version at which the index has the recording, and how many passages; None where it has none of it."""
        row = await self._query("done", name=name, recording_id=UUID(recording_id))
        return (row["version"], row["passages"]) if row else None

    async def spoken(self, recording_id: str) -> tuple[Source, list[Spoken]] | None:
        """The recording and its finals with words, in order; None where there is no such recording."""
        async with database_errors():
            row = await _queries.recording(self._pool, recording_id=UUID(recording_id))
            if row is None:
                return None
            source = Source(row["owner"], recording_id, row["title"], row["created_at"])
            said = [row async for row in _queries.spoken(self._pool, recording_id=UUID(recording_id))]
        return source, [
            Spoken(
                number=row["number"],
                start_ms=samples_to_ms(row["start_sample"]),
                end_ms=samples_to_ms(row["end_sample"]),
                text=row["text"],
                language=row["language"],
            )
            for row in said
        ]

    async def mark_done(self, name: str, recording_id: str, version: int, passages: int) -> bool:
        """The index has the recording as it was at `version`. False where the recording is forgotten by now."""
        noted = await self._query(
            "mark_done", name=name, recording_id=UUID(recording_id), version=version, passages=passages
        )
        return noted is not None

    async def forget_gone(self, name: str, recording_id: str) -> None:
        """The index has nothing more of a recording that was deleted."""
        await self._query("forget_gone", name=name, recording_id=UUID(recording_id))

    async def _query(self, query: str, /, **values: Any) -> Any:
        async with database_errors():
            return await getattr(_queries, query)(self._pool, **values)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Any]:
        async with database_errors(), self._pool.acquire() as connection, connection.transaction():
            yield connection
