"""Server-sent events: what happens to one's recordings and jobs, as it happens."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Literal

from pydantic import BaseModel, ConfigDict, RootModel
from spectree import Response as Responses
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admission import check_origin, owner_of
from gateway.openapi import describe
from gateway.wiring import Gateway
from parley.errors import BackendError
from parley.jobs import JobState
from parley.logs import get_logger

_RETRY_S = 2.0
KEEP_ALIVE_S = 15
_log = get_logger(__name__)


class RecordingEvent(BaseModel):
    """The data of an event named `recording`."""

    model_config = ConfigDict(frozen=True)
    recording_id: str
    change: Literal["created", "updated", "deleted"]


class JobEvent(BaseModel):
    """The data of an event named `job`. `remaining_s` is null where it is not known."""

    model_config = ConfigDict(frozen=True)
    job_id: str
    recording_id: str | None
    state: JobState | Literal["deleted"]
    delayed: str | None
    step: str | None
    stage: str | None
    percent: int
    remaining_s: float | None


class EventBody(RootModel[RecordingEvent | JobEvent]):
    """The data of an event."""


@describe(resp=Responses(HTTP_200=EventBody), tags=["events"])
async def events(request: Request) -> Response:
    """A stream of `recording` and `job` events (text/event-stream). `Last-Event-ID` catches up with what came
    meanwhile."""
    gateway: Gateway = request.app.state.gateway
    check_origin(request, gateway.settings.allowed_origins)
    stream = _stream(gateway, owner_of(request), request.headers.get("last-event-id"))
    return EventSourceResponse(stream, ping=KEEP_ALIVE_S)


async def _stream(gateway: Gateway, owner: str, last_id: str | None) -> AsyncIterator[ServerSentEvent]:
    """Follows the owner's events for ever; while Redis is away, it waits."""
    while True:
        try:
            async for event in gateway.events.follow(owner, last_id):
                if event is not None:
                    last_id = event.id
                    yield ServerSentEvent(json.dumps(event.data), event=event.topic, id=event.id)
        except BackendError as error:
            _log.warning("events are away", error=error.message)
            await asyncio.sleep(_RETRY_S)


routes = [Route("/api/v1/events", events, methods=["GET"])]
