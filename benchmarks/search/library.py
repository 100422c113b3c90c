"""The evaluation set in a real index of its own, with the real embedding model: what search and ask are measured on."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast
from uuid import NAMESPACE_URL, uuid5

from benchmarks.search.corpus import Question, SpokenRecording
from parley.llm.router import Router
from parley.llm.settings import LLMSettings
from parley.settings import RagSettings
from parley.transcript import samples_to_ms
from rag import words
from rag.asking import Asker
from rag.edge_index import EdgePlace
from rag.embedding import Embedder, open_embedder
from rag.index import Index, Point
from rag.passages import Passage, Source, Spoken, passages_of
from rag.record import IndexRow
from rag.search import Searcher
from rag.shelf import Opened, Shelf
from rag.writer import Writer


@dataclass(frozen=True, slots=True)
class OneIndex:
    """As much of a shelf as a searcher looks at: one index, in use."""

    current: Opened


@dataclass(frozen=True, slots=True)
class Library:
    """`names`: of the recordings, by id. `points`: all passages with their vectors."""

    index: Index
    embedder: Embedder
    searcher: Searcher
    asker: Asker
    names: dict[str, str]
    points: tuple[Point, ...]

    def is_relevant(self, question: Question, recording_id: str, segments: Sequence[int]) -> bool:
        """Whether a passage holds a segment in which the answer is said."""
        name = self.names[recording_id]
        return any(place.recording == name and place.segment in segments for place in question.places)


@contextlib.asynccontextmanager
async def open_library(recordings: Sequence[SpokenRecording], model: str = "") -> AsyncIterator[Library]:
    """Embeds and indexes everything, in a folder that is gone afterwards."""
    embedder = open_embedder(RagSettings(), model)
    passages = [passage for recording in recordings for passage in _passages(recording)]
    vectors = await embedder.passages([passage.embedded_text for passage in passages])
    points = tuple(
        Point(passage, vector, words.of_passage(passage.embedded_text, passage.language))
        for passage, vector in zip(passages, vectors, strict=True)
    )
    with tempfile.TemporaryDirectory(prefix="parley-search-") as folder:
        place = EdgePlace(Path(folder))
        index = await place.create("evaluation", embedder.dimension)
        try:
            await index.upsert(points)
            searcher = searcher_of(index, embedder, {passage.language for passage in passages})
            names = {recording_id(recording): recording.name for recording in recordings}
            yield Library(index, embedder, searcher, asker_of(searcher), names, points)
        finally:
            await index.close()
            await place.close()
            embedder.close()


def searcher_of(index: Index, embedder: Embedder, languages: set[str]) -> Searcher:
    """A searcher over one index that nobody keeps."""
    row = IndexRow("evaluation", "", embedder.dimension, "")
    return Searcher(cast(Shelf, OneIndex(Opened(row, index, embedder, languages))))


def asker_of(searcher: Searcher) -> Asker:
    """One without any language model."""

    def nobody_pays(_owner: str) -> None:
        raise AssertionError("no language model is asked")

    return Asker(searcher, Writer(Router(LLMSettings()), nobody_pays, 1.0))  # type: ignore[arg-type]


def recording_id(recording: SpokenRecording) -> str:
    return str(uuid5(NAMESPACE_URL, recording.name))


def _passages(recording: SpokenRecording) -> list[Passage]:
    source = Source(recording.owner, recording_id(recording), recording.title, recording.created_at)
    spoken = [
        Spoken(each.number, samples_to_ms(each.start), samples_to_ms(each.end), each.text, each.language)
        for each in recording.segments
    ]
    return passages_of(source, spoken)
