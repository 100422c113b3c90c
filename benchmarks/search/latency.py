"""How long a search takes with many passages: synthetic vectors and words, real index, real embedding of the query.

Vectors are random directions, which is the hardest case for an approximate index; words follow Zipf's law over 20,000
made-up ones, so that common words have long lists. One owner has a tenth of all passages, others share the rest.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from benchmarks import report
from benchmarks.search.corpus import Question
from benchmarks.search.library import searcher_of
from parley.rag_wire import SearchRequest
from rag import words
from rag.edge_index import EdgePlace
from rag.embedding import Embedder
from rag.index import Index, Point
from rag.passages import Passage, Source, Spoken

_VOCABULARY = 20_000
_WORDS = 60
_BATCH = 1000
_OWNERS = 10
_PASSAGES_A_RECORDING = 20
_QUERIES = 200
_SHARE_MEASURED = "owner-0"
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Size:
    """An index of `passages`, and the times of its searches in ms, the query's embedding included."""

    passages: int
    inserted_per_s: float
    times_ms: tuple[float, ...]

    def row(self) -> dict[str, Any]:
        found = report.percentiles(self.times_ms, 50, 95)
        return {
            "passages": self.passages,
            "p50_ms": found["p50"],
            "p95_ms": found["p95"],
            "inserted_per_s": round(self.inserted_per_s),
        }


async def measure(passages: int, embedder: Embedder, questions: list[Question]) -> Size:
    """Builds an index of so many passages in a temporary folder, and asks it the set's questions."""
    with tempfile.TemporaryDirectory(prefix="parley-latency-") as folder:
        place = EdgePlace(Path(folder))
        index = await place.create("latency", embedder.dimension)
        try:
            began = time.perf_counter()
            for batch in _batches(passages, embedder.dimension):
                await index.upsert(batch)
            inserted = passages / (time.perf_counter() - began)
            await index.improve()
            return Size(passages, inserted, tuple([ms async for ms in _searches(index, embedder, questions)]))
        finally:
            await index.close()
            await place.close()


async def _searches(index: Index, embedder: Embedder, questions: list[Question]) -> Any:
    searcher = searcher_of(index, embedder, {"en"})
    for number in range(_QUERIES + 10):
        # A word of its own makes each query new to the embedder's memory, and its common words meet long lists.
        query = f"{questions[number % len(questions)].text} w{number % 50} w{number}"
        began = time.perf_counter()
        await searcher.search(SearchRequest(owner=_SHARE_MEASURED, query=query))
        if number >= 10:  # the first warm it up
            yield (time.perf_counter() - began) * 1000


def _batches(passages: int, dimension: int) -> Iterator[list[Point]]:
    dice = np.random.default_rng(1)
    for first in range(0, passages, _BATCH):
        count = min(_BATCH, passages - first)
        vectors = dice.standard_normal((count, dimension), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        said = np.minimum(dice.zipf(1.3, (count, _WORDS)), _VOCABULARY)
        yield [_point(first + place, vectors[place], said[place]) for place in range(count)]


def _point(number: int, vector: Any, said: Any) -> Point:
    recording = number // _PASSAGES_A_RECORDING
    source = Source(
        f"owner-{recording % _OWNERS}",
        str(UUID(int=recording)),
        f"Meeting {recording}",
        _BEGAN + timedelta(hours=recording),
    )
    text = " ".join(f"w{word}" for word in said)
    passage = Passage(str(UUID(int=number + 2**100)), source, (Spoken(number, 0, 60_000, text, "en"),))
    return Point(passage, vector, words.of_passage(text, "en"))
