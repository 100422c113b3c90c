"""REST for search over what was said: one's own passages, by meaning and by word, each with where it can be played."""

import re
import time
from datetime import datetime
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field
from spectree import Response as Responses
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admission import owner_of
from gateway.openapi import ErrorBody, describe, query_of
from gateway.wiring import Gateway
from parley import metrics, rag_wire
from parley.errors import ClientError

_MODEL = ConfigDict(frozen=True, extra="forbid")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def _start_of_day(given: object) -> object:
    """A day alone begins at midnight, UTC."""
    return f"{given}T00:00:00Z" if isinstance(given, str) and _DAY.fullmatch(given) else given


def _end_of_day(given: object) -> object:
    return f"{given}T23:59:59.999999Z" if isinstance(given, str) and _DAY.fullmatch(given) else given


class SearchQuery(BaseModel):
    """`since` and `until`: a date or a time at which recordings began, the ends included."""

    model_config = _MODEL
    q: str
    recording: str | None = None
    since: Annotated[AwareDatetime | None, BeforeValidator(_start_of_day)] = None
    until: Annotated[AwareDatetime | None, BeforeValidator(_end_of_day)] = None
    language: Annotated[str, Field(max_length=16)] | None = None
    tag: Annotated[str, Field(max_length=80)] | None = None
    limit: Annotated[int, Field(ge=1, le=50)] = 10
    offset: Annotated[int, Field(ge=0, le=rag_wire.MOST_HITS)] = 0

    def filters(self) -> rag_wire.SearchFilters:
        """Raises ClientError for those that nothing can meet."""
        if self.since and self.until and self.since > self.until:
            raise ClientError(
                f"since, {self.since.isoformat()}, is after until, {self.until.isoformat()}.", code="bad_filter"
            )
        return rag_wire.SearchFilters(
            recording_id=self.recording, since=self.since, until=self.until, language=self.language, tag=self.tag
        )


class PieceBody(BaseModel):
    """A stretch of text; `match`: words of the query stand here."""

    model_config = _MODEL
    text: str
    match: bool


class SegmentBody(BaseModel):
    """One segment of a passage; its pieces, joined, are its text."""

    model_config = _MODEL
    number: int
    start_ms: int
    end_ms: int
    pieces: list[PieceBody]


class ScoresBody(BaseModel):
    """`fused` orders hits: 1 is the first of both sides. `dense`: cosine of meaning; `words`: BM25; null: not among the
    nearest of that side."""

    model_config = _MODEL
    fused: float
    dense: float | None
    words: float | None


class HitBody(BaseModel):
    """A passage: neighbouring segments of one recording. `at_ms`: where its best segment begins; play from there."""

    model_config = _MODEL
    recording_id: str
    title: str | None
    created_at: datetime
    language: str
    start_ms: int
    end_ms: int
    at_ms: int
    segments: list[SegmentBody]
    scores: ScoresBody


class SearchBody(BaseModel):
    """The best first. `next_offset` gives the page after this one, null on the last."""

    model_config = _MODEL
    hits: list[HitBody]
    next_offset: int | None

    @classmethod
    def of(cls, answer: rag_wire.SearchAnswer) -> Self:
        hits = [HitBody.model_validate(hit.model_dump(exclude={"passage_id"})) for hit in answer.hits]
        return cls(hits=hits, next_offset=answer.next_offset)


@describe(
    query=SearchQuery,
    resp=Responses(HTTP_200=SearchBody, HTTP_400=ErrorBody, HTTP_404=ErrorBody, HTTP_503=ErrorBody),
    tags=["search"],
)
async def search(request: Request) -> Response:
    """What was said, by meaning and by word. 503 `rag_unavailable` while the search service is away."""
    began, gateway, owner = time.perf_counter(), _gateway(request), owner_of(request)
    query = query_of(request, SearchQuery)
    asked = rag_wire.SearchRequest(
        owner=owner, query=query.q, filters=query.filters(), limit=query.limit, offset=query.offset
    )
    if query.recording is not None:
        await gateway.recordings(owner).get(query.recording)
    slot = await gateway.searches.look_up(owner, asked.model_dump_json())
    body = slot.answer
    if body is None:
        body = SearchBody.of(await gateway.rag.search(asked)).model_dump_json().encode()
        await gateway.searches.remember(slot, body)
    source = "rag" if slot.answer is None else "cache"
    metrics.SEARCH_S.labels(source).observe(time.perf_counter() - began)
    return Response(body, media_type="application/json", headers={"X-Search-Source": source})


routes = [Route("/api/v1/search", search, methods=["GET"])]


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway
