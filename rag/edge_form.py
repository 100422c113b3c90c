"""Our passages, scopes and requests in the terms of `qdrant-edge-py`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeOptimizersConfig,
    EdgeSparseVectorParams,
    EdgeVectorParams,
    FieldCondition,
    Filter,
    HasIdCondition,
    HnswIndexConfig,
    MatchValue,
    Modifier,
    Query,
    QueryRequest,
    RangeDateTime,
    ScoredPoint,
    SparseVector,
)
from qdrant_edge import Point as EdgePoint

from rag import index
from rag.embedding import Vectors
from rag.index import DENSE, WORDS, Equals, Found, Scope, payload_of, unit
from rag.words import Sparse


def config(dimension: int) -> EdgeConfig:
    """One graph for all, and in it links between the passages of one owner (`payload_m`), who is searched alone."""
    return EdgeConfig(
        vectors={DENSE: EdgeVectorParams(size=dimension, distance=Distance.Cosine)},
        sparse_vectors={WORDS: EdgeSparseVectorParams(modifier=Modifier.Idf)},
        hnsw_config=HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=10_000, payload_m=16),
        optimizers=EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=10_000),
    )


def dimension_of(folder: Path) -> int:
    """Of the dense vectors of the collection in `folder`. Raises OSError, ValueError or KeyError where it has none."""
    return int(json.loads((folder / "edge_config.json").read_text())["vectors"][DENSE]["size"])


def point(given: index.Point) -> EdgePoint:
    words = SparseVector(list(given.words.indices), list(given.words.values))
    return EdgePoint(given.passage.id, {DENSE: given.dense.tolist(), WORDS: words}, payload_of(given.passage))


def within(scope: Scope, *, without: Sequence[str] = ()) -> Filter:
    """What lies in the scope, less the passages `without`."""
    must: list[Any] = [
        FieldCondition(condition.field, match=MatchValue(condition.value))
        if isinstance(condition, Equals)
        else FieldCondition(
            condition.field,
            range=RangeDateTime(
                gte=condition.since.isoformat() if condition.since else None,
                lte=condition.until.isoformat() if condition.until else None,
            ),
        )
        for condition in scope.conditions
    ]
    return Filter(must=must, must_not=[HasIdCondition(set(without))] if without else None)


def requests(scope: Scope, dense: Vectors | None, words: Sparse, count: int) -> list[QueryRequest]:
    """One for each side that has something to ask: dense, then words."""
    asked: list[tuple[str, list[float] | SparseVector]] = []
    if dense is not None:
        asked.append((DENSE, dense.tolist()))
    if words.indices:
        asked.append((WORDS, SparseVector(list(words.indices), list(words.values))))
    return [
        QueryRequest(
            count, query=Query.Nearest(vector, using=side), filter=within(scope), with_vector=[DENSE], with_payload=True
        )
        for side, vector in asked
    ]


def found(scored: ScoredPoint) -> Found:
    vectors: Any = scored.vector
    return Found(str(scored.id), float(scored.score), scored.payload or {}, unit(vectors[DENSE]))
