"""A query in, hits out: both sides asked, fused, set apart, and marked. Nothing here is said without an owner.

query ─ embedding, words ─▶ index (dense, BM25) ─ fuse ─▶ diverse ─▶ page ─ marked ─▶ hits
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from parley import metrics
from parley.errors import BackendError, ClientError
from parley.rag_wire import LONGEST_QUERY, Hit, Scores, SearchAnswer, SearchFilters, SearchRequest, SegmentHit
from rag import words
from rag.embedding import Embedder
from rag.index import Candidates, Found, scope_of
from rag.marking import marked
from rag.ranking import DENSE_WEIGHT, WORDS_WEIGHT, diverse, fuse
from rag.shelf import Shelf

CANDIDATES = 50
"""That each side names: so a search finds 50 to 100 passages at most, page by page."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A passage with the scores that brought it to its place."""

    found: Found
    scores: Scores


class Searcher:
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    @property
    def languages(self) -> frozenset[str]:
        """Those of the passages. Raises BackendError before the index is open."""
        return frozenset(self._shelf.current.languages)

    @property
    def embedder(self) -> Embedder | None:
        """That of the index in use; None where its model is gone. Raises BackendError before the index is open."""
        return self._shelf.current.embedder

    async def search(self, request: SearchRequest) -> SearchAnswer:
        """One page of hits. Raises ClientError for a query without words or too long, BackendError where the index is
        not ready."""
        began = time.perf_counter()
        ranked = await self.ranked(request.owner, request.query, request.filters)
        page = ranked[request.offset : request.offset + request.limit]
        wanted = frozenset(self._query_words(request.query).indices)
        last = request.offset + len(page)
        answer = SearchAnswer(
            hits=tuple(hit_of(each, wanted) for each in page), next_offset=last if last < len(ranked) else None
        )
        metrics.RAG_SEARCH_S.observe(time.perf_counter() - began)
        return answer

    async def ranked(self, owner: str, query: str, filters: SearchFilters | None = None) -> list[Ranked]:
        """All that is found for a query among the passages of `owner`, the best first."""
        check_query(query)
        scope, asked_words = scope_of(owner, filters), self._query_words(query)
        while True:
            opened = self._shelf.current
            try:
                dense = await opened.embedder.query(query) if opened.embedder else None
                found = await opened.index.search(scope, dense, asked_words, CANDIDATES)
            except BackendError:
                # Another index may have been put in use just now, here or by another process.
                if opened is self._shelf.current and not await self._shelf.look_again():
                    raise
                continue
            return rank(found)

    def _query_words(self, query: str) -> words.Sparse:
        return words.of_query(query, self._shelf.current.languages)


def check_query(query: str) -> None:
    """Raises ClientError for a query that asks nothing, or too much."""
    if len(query) > LONGEST_QUERY:
        raise ClientError(f"The query has {len(query)} characters; {LONGEST_QUERY} are allowed.", code="query_too_long")
    if not any(character.isalnum() for character in query):
        raise ClientError("The query has no letters or digits; there is nothing to look for.", code="empty_query")


def rank(candidates: Candidates) -> list[Ranked]:
    """The candidates of both sides in one order, likely neighbours apart."""
    by_id = {found.id: found for found in (*candidates.words, *candidates.dense)}
    if not by_id:
        return []
    sides = ((DENSE_WEIGHT, _ids(candidates.dense)), (WORDS_WEIGHT, _ids(candidates.words)))
    fused = fuse([side for side in sides if side[1]])
    order = sorted(fused, key=lambda id_: (-fused[id_], id_))
    vectors = np.stack([by_id[id_].vector for id_ in order])
    dense = {found.id: found.score for found in candidates.dense}
    by_words = {found.id: found.score for found in candidates.words}
    ids = [order[place] for place in diverse([fused[id_] for id_ in order], vectors)]
    return [Ranked(by_id[id_], Scores(fused=fused[id_], dense=dense.get(id_), words=by_words.get(id_))) for id_ in ids]


def _ids(found: Sequence[Found]) -> list[str]:
    return [each.id for each in found]


def hit_of(ranked: Ranked, wanted: frozenset[int]) -> Hit:
    """What is shown of a passage. `wanted`: the numbers of the query's words."""
    payload = ranked.found.payload
    segments, most, at_ms = [], 0, payload["segments"][0][1]
    for number, start_ms, end_ms, text in payload["segments"]:
        pieces, met = marked(text, payload["language"], wanted)
        segments.append(SegmentHit(number=number, start_ms=start_ms, end_ms=end_ms, pieces=pieces))
        if met > most:
            most, at_ms = met, start_ms
    return Hit(
        passage_id=ranked.found.id,
        recording_id=payload["recording"],
        title=payload["title"],
        created_at=payload["date"],
        language=payload["language"],
        start_ms=segments[0].start_ms,
        end_ms=segments[-1].end_ms,
        at_ms=at_ms,
        segments=tuple(segments),
        scores=ranked.scores,
    )
