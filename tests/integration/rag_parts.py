"""The rag service's parts in a test: a real model, a real index, a real database; and somebody who speaks."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import asyncpg

from parley import store
from parley.audio import SAMPLE_RATE
from parley.rag_wire import Hit, SearchFilters, SearchRequest
from parley.settings import RagSettings
from parley.store import RecordingWriter
from parley.tasks import background
from parley.transcript import Segment, Word
from rag.edge_index import EdgePlace
from rag.embedding import Embedder, open_embedder
from rag.index import Place
from rag.keeper import Keeper
from rag.record import Record
from rag.search import Searcher
from rag.shelf import Shelf

SEGMENT_S = 4


@cache
def embedder(model: str = "") -> Embedder:
    """Opened once for all tests."""
    return open_embedder(RagSettings(), model)


@dataclass
class Rag:
    """A rag service without its HTTP face."""

    pool: asyncpg.Pool
    shelf: Shelf
    keeper: Keeper
    searcher: Searcher
    changed: list[str] = field(default_factory=list)

    async def find(self, query: str, owner: str = "alice", **filters: object) -> list[Hit]:
        request = SearchRequest(owner=owner, query=query, filters=SearchFilters.model_validate(filters), limit=50)
        return list((await self.searcher.search(request)).hits)

    async def titles(self, query: str, owner: str = "alice") -> list[str | None]:
        return [hit.title for hit in await self.find(query, owner)]

    async def speak(
        self, *texts: str, title: str | None = None, owner: str = "alice", into: str | None = None, language: str = "en"
    ) -> str:
        """A recording with these finals, or more of one; its id."""
        if into is None:
            writer = RecordingWriter.new(self.pool, owner)
            await writer.create(title=title)
            first = 0
        else:
            writer = await RecordingWriter.take_over(self.pool, owner, into)
            last = await writer.last_final()
            first = last.number + 1 if last else 0
        for number, text in enumerate(texts, start=first):
            start = number * SEGMENT_S * SAMPLE_RATE
            end = start + SEGMENT_S * SAMPLE_RATE
            words = tuple(Word(word, start, end, 0.9) for word in text.split())
            await writer.add_segment(Segment(number, start, end, words, language, 0.9), resume_at=end, continues=False)
        return writer.recording_id


@contextlib.asynccontextmanager
async def opened(
    database_url: str,
    folder: Path,
    model: str = "",
    *,
    place: Callable[[], Place] | None = None,
    load: object = embedder,
) -> AsyncIterator[Rag]:
    """Everything but the keeper's work, which `rag.keeper.run()` begins."""
    pool = await store.connect(database_url, max_size=4)
    where = place() if place else EdgePlace(folder)
    record, changed = Record(pool, where.name), list[str]()

    async def note(owner: str) -> None:
        changed.append(owner)

    shelf = Shelf(record, where, model, load)  # type: ignore[arg-type]
    try:
        await shelf.open_model()
        await shelf.open()
        yield Rag(pool, shelf, Keeper(database_url, record, shelf, note), Searcher(shelf), changed)
    finally:
        await shelf.close()
        pool.terminate()


@contextlib.asynccontextmanager
async def keeping(database_url: str, folder: Path, model: str = "", **options: object) -> AsyncIterator[Rag]:
    """A rag service that follows the database."""
    async with opened(database_url, folder, model, **options) as rag, background(rag.keeper.run()):  # type: ignore[arg-type]
        yield rag


async def soon(holds: Callable[[], object], within_s: float = 120.0) -> None:
    """Waits until the coroutine or value is true."""
    async with asyncio.timeout(within_s):
        while True:
            value = holds()
            if await value if asyncio.iscoroutine(value) else value:
                return
            await asyncio.sleep(0.05)
