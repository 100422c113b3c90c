"""What is said between the rag service and those who ask it: JSON over HTTP, each message a model.

    POST /v1/embed    EmbedRequest   → EmbedAnswer
    POST /v1/search   SearchRequest  → SearchAnswer
    POST /v1/index    IndexRequest   → IndexAnswer     brings a recording up to date and waits for it
    POST /v1/reindex                 → StatusAnswer    begins to build everything anew, beside what is in use
    GET  /v1/status                  → StatusAnswer

All under `Authorization: Bearer TOKEN`. Refusals are `{"error": {"code", "message"}}`.
"""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MOST_TEXTS = 512
MOST_HITS = 100
LONGEST_QUERY = 1000
"""Characters."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EmbedRequest(_Message):
    texts: Annotated[tuple[str, ...], Field(max_length=MOST_TEXTS)]


class EmbedAnswer(_Message):
    """`vectors`: float32, little-endian, row by row, in base64; each of length 1."""

    model: str
    dimension: int
    vectors: str


class SearchFilters(_Message):
    """What a passage must be besides its owner's. Dates bound the time at which the recording began, ends included."""

    recording_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    language: str | None = None
    tag: str | None = None
    speaker: str | None = None


class SearchRequest(_Message):
    owner: str
    query: str
    filters: SearchFilters = SearchFilters()
    limit: Annotated[int, Field(ge=1, le=MOST_HITS)] = 10
    offset: Annotated[int, Field(ge=0, le=MOST_HITS)] = 0


class Piece(_Message):
    """A stretch of text; `match`: words of the query stand here."""

    text: str
    match: bool = False


class SegmentHit(_Message):
    """One segment of a passage. Its pieces, joined, are its text."""

    number: int
    start_ms: int
    end_ms: int
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


class Scores(_Message):
    """How a hit came to its place. `fused` orders; `dense`: cosine of query and passage; `words`: BM25.

    None: the passage was not among the nearest of that side.
    """

    fused: float
    dense: float | None
    words: float | None


class Hit(_Message):
    """A passage. `at_ms`: where its best segment begins, which is where to play from."""

    passage_id: str
    recording_id: str
    title: str | None
    created_at: datetime
    language: str
    start_ms: int
    end_ms: int
    at_ms: int
    segments: tuple[SegmentHit, ...]
    scores: Scores


class SearchAnswer(_Message):
    """`next_offset`: where the next page begins; None on the last."""

    hits: tuple[Hit, ...]
    next_offset: int | None


class IndexRequest(_Message):
    owner: str
    recording_id: str


class IndexAnswer(_Message):
    """How many passages of the recording there are now."""

    passages: int


class StatusAnswer(_Message):
    """`waiting`: recordings whose passages are not up to date. `building`: the index that is being built beside the one
    in use, with the recordings that it lacks. `notice`: what a person should know, such as a rebuild after damage."""

    model: str
    dimension: int
    index: str
    passages: int
    waiting: int
    building: str | None = None
    building_waiting: int = 0
    notice: str = ""
