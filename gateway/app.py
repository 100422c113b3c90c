"""The gateway as an ASGI application: its routes, its lifetime, and what is true of every request."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import recordings, status
from gateway.admission import check_origin, hosts_of, owner_of
from gateway.live import live
from gateway.openapi import described, error_response
from gateway.web import web_routes
from gateway.wiring import Gateway, wire
from parley.errors import BackendError, ClientError, ParleyError
from parley.logs import bound, get_logger
from parley.settings import Settings
from parley.tasks import background

_BUILT_WEB = Path(__file__).parent.parent / "web" / "dist"
_log = get_logger(__name__)


class RequestIds:
    """Gives every request and session an id, in the log and in the answer's `X-Request-Id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = uuid4().hex[:16]
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
            await send(message)

        with bound(request=request_id):
            await self._app(scope, receive, send_with_id)


async def metrics_page(request: Request) -> Response:
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def events(request: Request) -> Response:
    """Server-sent events: `recording` whenever one of the owner's recordings changed. `Last-Event-ID` catches up."""
    gateway: Gateway = request.app.state.gateway
    check_origin(request, gateway.settings.allowed_origins)
    await gateway.events.check()

    async def stream() -> AsyncIterator[ServerSentEvent]:
        try:
            async for event in gateway.events.follow(owner_of(request), request.headers.get("last-event-id")):
                if event is not None:
                    change = {"recording_id": event.recording_id, "change": event.kind}
                    yield ServerSentEvent(json.dumps(change), event="recording", id=event.id)
        except BackendError as error:
            _log.warning("event stream ended", error=error.message)

    return EventSourceResponse(stream(), ping=15)


async def on_parley_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ParleyError)
    if not isinstance(error, ClientError):
        _log.warning("request failed", code=error.code, error=error.message, path=request.url.path)
    return error_response(error, request.state.request_id)


async def on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    body = {"code": f"http_{error.status_code}", "message": f"{error.detail}.", "request_id": request.state.request_id}
    return JSONResponse({"error": {**body, "retryable": False, "retry_after_s": None}}, error.status_code)


async def on_bug(request: Request, error: Exception) -> Response:
    return error_response(ParleyError("Something went wrong on the server."), request.state.request_id)


def create_app(settings: Settings) -> Starlette:
    """The application; what it needs is opened when it starts and closed when it stops."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with wire(settings) as gateway, background(gateway.detector.run()):
            app.state.gateway = gateway
            yield

    return Starlette(
        routes=[
            WebSocketRoute("/ws/s2t", live),
            *described([*recordings.routes, *status.routes]),
            Route("/api/v1/events", events),
            Route("/metrics", metrics_page),
            *web_routes(settings.gateway.web_dir or _BUILT_WEB),
        ],
        middleware=[
            Middleware(RequestIds),
            Middleware(TrustedHostMiddleware, allowed_hosts=hosts_of(settings.gateway), www_redirect=False),
        ],
        exception_handlers={ParleyError: on_parley_error, HTTPException: on_http_error, Exception: on_bug},
        lifespan=lifespan,
    )
