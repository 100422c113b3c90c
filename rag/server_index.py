"""The index on a Qdrant server or cluster, through qdrant-client. The server optimises and keeps itself.

Its passages are weighed by the same encoder as in the embedded index (`rag/words.py`): no model is needed there.
"""

from collections.abc import Collection, Sequence
from typing import Any

import httpx
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse

from parley.errors import BackendError
from parley.rag_wire import SearchFilters
from rag import index
from rag.embedding import Vectors
from rag.index import DENSE, KEYWORDS, WORDS, Candidates, Damaged, Equals, Found, Scope, payload_of, scope_of, unit
from rag.words import Sparse

_LANGUAGES = 200


class ServerPlace:
    """Collections of one server. `name` is its address."""

    def __init__(self, client: AsyncQdrantClient, name: str) -> None:
        self.name = name
        self._client = client

    async def create(self, name: str, dimension: int) -> "ServerIndex":
        await self.drop(name)
        async with _Errors():
            await self._client.create_collection(
                name,
                vectors_config={DENSE: models.VectorParams(size=dimension, distance=models.Distance.COSINE)},
                sparse_vectors_config={WORDS: models.SparseVectorParams(modifier=models.Modifier.IDF)},
                hnsw_config=models.HnswConfigDiff(m=16, ef_construct=100, payload_m=16),
            )
            tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
            await self._client.create_payload_index(name, "owner", field_schema=tenant)
            for field in KEYWORDS:
                await self._client.create_payload_index(name, field, field_schema=models.PayloadSchemaType.KEYWORD)
            await self._client.create_payload_index(name, "date", field_schema=models.PayloadSchemaType.DATETIME)
        return ServerIndex(self._client, name)

    async def open(self, name: str, dimension: int) -> "ServerIndex":
        async with _Errors():
            if not await self._client.collection_exists(name):
                raise Damaged(f"the server has no collection {name}")
            vectors: Any = (await self._client.get_collection(name)).config.params.vectors
        has = vectors[DENSE].size if isinstance(vectors, dict) and DENSE in vectors else None
        if has != dimension:
            raise Damaged(f"the collection {name} is of dimension {has}, and {dimension} is noted")
        return ServerIndex(self._client, name)

    async def drop(self, name: str) -> None:
        async with _Errors():
            if await self._client.collection_exists(name):
                await self._client.delete_collection(name)

    async def tidy(self, names: Collection[str]) -> None:
        """Others may share the server."""

    async def close(self) -> None:
        await self._client.close()


class ServerIndex:
    """One collection."""

    def __init__(self, client: AsyncQdrantClient, name: str) -> None:
        self.name = name
        self.was_killed = False
        self._client = client

    async def upsert(self, points: Sequence[index.Point]) -> None:
        if points:
            async with _Errors():
                await self._client.upsert(self.name, [_point(point) for point in points], wait=True)

    async def present(self, ids: Sequence[str]) -> set[str]:
        if not ids:
            return set()
        async with _Errors():
            records = await self._client.retrieve(self.name, list(ids), with_payload=False, with_vectors=False)
        return {str(record.id) for record in records}

    async def keep_only(self, owner: str, recording_id: str, ids: Sequence[str]) -> None:
        gone = _within(scope_of(owner, SearchFilters(recording_id=recording_id)), without=ids)
        async with _Errors():
            await self._client.delete(self.name, models.FilterSelector(filter=gone), wait=True)

    async def search(self, scope: Scope, dense: Vectors | None, words: Sparse, count: int) -> Candidates:
        asked: list[tuple[str, Any]] = []
        if dense is not None:
            asked.append((DENSE, dense.tolist()))
        if words.indices:
            asked.append((WORDS, models.SparseVector(indices=list(words.indices), values=list(words.values))))
        if not asked:
            return Candidates((), ())
        requests = [
            models.QueryRequest(
                query=vector, using=side, filter=_within(scope), limit=count, with_payload=True, with_vector=[DENSE]
            )
            for side, vector in asked
        ]
        async with _Errors():
            answers = await self._client.query_batch_points(self.name, requests)
        sides = [tuple(_found(point) for point in answer.points) for answer in answers]
        by_dense = sides.pop(0) if dense is not None else ()
        return Candidates(by_dense, sides.pop(0) if sides else ())

    async def languages(self) -> set[str]:
        async with _Errors():
            facet = await self._client.facet(self.name, "language", limit=_LANGUAGES)
        return {str(hit.value) for hit in facet.hits}

    async def count(self) -> int:
        async with _Errors():
            return (await self._client.count(self.name, exact=True)).count

    async def improve(self) -> None:
        """The server does so by itself."""

    async def close(self) -> None:
        pass


class _Errors:
    """Around a call: what says that the server is away or refuses becomes BackendError."""

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, UnexpectedResponse):
            raise BackendError(f"Qdrant answered {error.status_code}: {error.reason_phrase}.", code="index_failed")
        # ValueError: of the client itself, for a collection that is gone.
        if isinstance(error, ApiException | ResponseHandlingException | httpx.HTTPError | OSError | ValueError):
            raise BackendError(f"Qdrant does not answer: {error}.", code="index_failed")


def _point(given: index.Point) -> models.PointStruct:
    words = models.SparseVector(indices=list(given.words.indices), values=list(given.words.values))
    return models.PointStruct(
        id=given.passage.id, vector={DENSE: given.dense.tolist(), WORDS: words}, payload=payload_of(given.passage)
    )


def _within(scope: Scope, *, without: Sequence[str] = ()) -> models.Filter:
    must: list[models.Condition] = [
        models.FieldCondition(key=condition.field, match=models.MatchValue(value=condition.value))
        if isinstance(condition, Equals)
        else models.FieldCondition(
            key=condition.field, range=models.DatetimeRange(gte=condition.since, lte=condition.until)
        )
        for condition in scope.conditions
    ]
    return models.Filter(must=must, must_not=[models.HasIdCondition(has_id=list(without))] if without else None)


def _found(scored: models.ScoredPoint) -> Found:
    vectors: Any = scored.vector
    return Found(str(scored.id), float(scored.score), scored.payload or {}, unit(vectors[DENSE]))
