"""What the service needs of a vector index: one small port, for an index in this process and for a server.

    Place ── create, open, drop ──▶ Index ── upsert, keep_only, search …
    scope_of(owner, filters) ──▶ Scope: all that can be searched; there is no search without one

`tests/integration/test_index.py` is the contract; both adapters pass it. Errors: BackendError where the index does not
answer, Damaged where there is none that can be used.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np

from parley.errors import ParleyError
from parley.rag_wire import SearchFilters
from rag.embedding import Vectors
from rag.passages import Passage
from rag.words import Sparse

DENSE, WORDS = "dense", "words"
"""Names of the two vectors of a passage."""

Payload = dict[str, Any]


class Damaged(ParleyError):
    """The index that is noted cannot be used: missing, broken, or of another dimension. The message says which."""

    code = "index_damaged"


@dataclass(frozen=True, slots=True)
class Equals:
    """The field has this value, or it is one of several that the field has."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Between:
    """The time in the field lies in [since, until]; None: open."""

    field: str
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Scope:
    """Conditions that a passage must meet, all of them. Made by `scope_of` and nowhere else."""

    conditions: tuple[Equals | Between, ...]


def scope_of(owner: str, filters: SearchFilters | None = None) -> Scope:
    """What `owner` may find. The one place where an owner is put before a search (invariant 9)."""
    conditions: list[Equals | Between] = [Equals("owner", owner)]
    if filters is not None:
        wanted = {
            "recording": filters.recording_id,
            "language": filters.language,
            "tags": filters.tag,
            "speaker": filters.speaker,
        }
        conditions += [Equals(field, value) for field, value in wanted.items() if value is not None]
        if filters.since or filters.until:
            conditions.append(Between("date", filters.since, filters.until))
    return Scope(tuple(conditions))


KEYWORDS = ("recording", "language", "tags", "speaker")
"""Fields of a payload with an index for exact values, beside `owner`, which is the tenant, and `date`, a time."""


@dataclass(frozen=True, slots=True)
class Point:
    """A passage with its vectors, as it is stored."""

    passage: Passage
    dense: Vectors
    words: Sparse


def payload_of(passage: Passage) -> Payload:
    """What is stored beside the vectors: all that a hit shows, and what filters look at."""
    source = passage.source
    return {
        "owner": source.owner,
        "recording": source.recording_id,
        "date": source.created_at.isoformat(),
        "title": source.title,
        "language": passage.language,
        "tags": list(source.tags),
        "speaker": passage.speaker,
        "segments": [[s.number, s.start_ms, s.end_ms, s.text] for s in passage.segments],
    }


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that one side found. `score`: cosine, or BM25. `vector`: dense, of length 1."""

    id: str
    score: float
    payload: Payload
    vector: Vectors


@dataclass(frozen=True, slots=True)
class Candidates:
    """What each side found, the best first."""

    dense: tuple[Found, ...]
    words: tuple[Found, ...]


class Index(Protocol):
    """One collection of passages."""

    name: str
    was_killed: bool
    """Whoever had it open before did not close it: it may lack what was noted."""

    async def upsert(self, points: Sequence[Point]) -> None:
        """Stores passages; those that are there already change nothing."""

    async def present(self, ids: Sequence[str]) -> set[str]:
        """Which of these passages are there."""

    async def keep_only(self, owner: str, recording_id: str, ids: Sequence[str]) -> None:
        """Removes all passages of a recording but these."""

    async def search(self, scope: Scope, dense: Vectors | None, words: Sparse, count: int) -> Candidates:
        """The nearest `count` of each side within the scope. A side that is given nothing finds nothing."""

    async def languages(self) -> set[str]:
        """The languages of its passages."""

    async def count(self) -> int:
        """How many passages there are, of all owners."""

    async def improve(self) -> None:
        """Does what makes searches faster, if that is due. Searches go on meanwhile."""

    async def close(self) -> None: ...


class Place(Protocol):
    """Where indexes lie. `name` tells one place from another."""

    name: str

    async def create(self, name: str, dimension: int) -> Index:
        """A new, empty index; whatever had the name is gone."""

    async def open(self, name: str, dimension: int) -> Index:
        """Raises Damaged."""

    async def drop(self, name: str) -> None:
        """Removes an index that is closed, if it is there."""

    async def tidy(self, names: Collection[str]) -> None:
        """Removes what nobody uses but these indexes: a drop may have been cut off. A shared place is left alone."""

    async def close(self) -> None: ...


def unit(vector: Any) -> Vectors:
    """float32, shape (d,), of length 1."""
    given = np.asarray(vector, np.float32)
    return given / max(float(np.linalg.norm(given)), 1e-12)
