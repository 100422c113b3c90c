"""REST: a question about one's recordings, answered as server-sent events while the answer is being made."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from spectree import Response as Responses
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admission import check_origin, owner_of
from gateway.openapi import ErrorBody, body_of, describe
from gateway.wiring import Gateway
from parley import ask as wire
from parley.errors import ParleyError

_KEEP_ALIVE_S = 10


@describe(
    json=wire.AskBody,
    resp=Responses(HTTP_200=wire.Answer, HTTP_400=ErrorBody, HTTP_404=ErrorBody, HTTP_503=ErrorBody),
    tags=["search"],
)
async def ask(request: Request) -> Response:
    """A stream of events (text/event-stream): `status`, `passages`, `claim` for each statement, then `answer` with all
    of it, and `done`. Where it breaks off, `error` comes in the answer's place."""
    gateway: Gateway = request.app.state.gateway
    check_origin(request, gateway.settings.allowed_origins)
    body = await body_of(request, wire.AskBody)
    owner = owner_of(request)
    wire.check_question(body.question)
    if body.recording_id is not None:
        await gateway.recordings(owner).get(body.recording_id)
    events = gateway.rag.ask(wire.AskRequest(owner=owner, **dict(body)))
    first = await anext(events)  # where rag is away, the answer is a 503 and no stream
    return EventSourceResponse(_stream(first, events), ping=_KEEP_ALIVE_S)


async def _stream(first: wire.Event, others: AsyncGenerator[wire.Event]) -> AsyncIterator[ServerSentEvent]:
    """Ends with the client, and lets go of rag then."""
    async with contextlib.aclosing(others):
        yield _sent(first)
        try:
            async for event in others:
                yield _sent(event)
        except ParleyError as error:
            yield _sent(wire.Failed(code=error.code, message=error.message, retryable=error.retryable))
            yield _sent(wire.Done())


def _sent(event: wire.Event) -> ServerSentEvent:
    return ServerSentEvent(event.model_dump_json(), event=wire.name_of(event))


routes = [Route("/api/v1/ask", ask, methods=["POST"])]
