"""The gateway as an ASGI application: its routes, its lifetime, and what is true of every request."""

import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import uuid4

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import (
    ask,
    events,
    files,
    job_events,
    jobs,
    notes,
    recordings,
    search,
    status,
    templates,
    translations,
    usage,
    webhooks,
)
from gateway.admission import check_origin, hosts_of
from gateway.caretaker import Caretaker
from gateway.compaction import Compactor
from gateway.live import live
from gateway.openapi import described, error_response
from gateway.upload_store import KeptUploads, limits_of
from gateway.upload_sweeper import UploadSweeper
from gateway.uploads import Uploads
from gateway.web import web_routes
from gateway.wiring import open_gateway
from parley.errors import ClientError, ParleyError
from parley.logs import bound, get_logger
from parley.settings import Settings
from parley.tasks import background

_BUILT_WEB = Path(__file__).parent.parent / "web" / "dist"
_ID_OF_PROXY = re.compile(rb"[0-9A-Za-z_-]{8,64}")
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST_SHOWN = 260
"""Characters of a host that an error repeats: the longest name, and a port. Source: RFC 1035, section 2.3.4."""
_log = get_logger(__name__)


class RequestIds:
    """Gives every request and session an id, in the log and in the answer's `X-Request-Id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
            await send(message)

        with bound(request=request_id):
            await self._app(scope, receive, send_with_id)


def _request_id(scope: Scope) -> str:
    """The id that a proxy before us gave the request, so that its log and ours tell of the same; else a new one."""
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _ID_OF_PROXY.fullmatch(given) else uuid4().hex[:16]


class KnownHosts:
    """Starlette's check of the Host header; its refusal, which is plain text, in the one form of an error."""

    def __init__(self, app: ASGIApp, allowed_hosts: Sequence[str]) -> None:
        self._app = app
        self._check = TrustedHostMiddleware(_say_nothing, allowed_hosts, www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal: list[Message] = []

        async def keep(message: Message) -> None:
            refusal.append(message)

        await self._check(scope, receive, keep)
        if not refusal:
            await self._app(scope, receive, send)
            return
        response = error_response(_unknown_host(Headers(scope=scope).get("host", "")), scope["state"]["request_id"])
        await response(scope, receive, send)


async def _say_nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """What the check calls where it has nothing against a host."""


def _unknown_host(host: str) -> ClientError:
    return ClientError(
        f"This gateway does not answer to the host {host[:_HOST_SHOWN]!r}; PARLEY_GATEWAY__ALLOWED_HOSTS can allow the"
        " name, without a port.",
        code="unknown_host",
    )


class OwnPages:
    """Lets no page of another site change anything: a browser sends its forms without asking first."""

    def __init__(self, app: ASGIApp, allowed_origins: tuple[str, ...]) -> None:
        self._app = app
        self._allowed_origins = allowed_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] == "http" and scope["method"] not in _SAFE_METHODS:
                check_origin(HTTPConnection(scope), self._allowed_origins)
        except ClientError as error:
            await error_response(error, scope["state"]["request_id"])(scope, receive, send)
            return
        await self._app(scope, receive, send)


async def metrics_page(request: Request) -> Response:
    return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


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
    request_id = request.state.request_id
    _log.error("request failed", request=request_id, path=request.url.path, exc_info=error)
    response = error_response(ParleyError("Something went wrong on the server."), request_id)
    response.headers["X-Request-Id"] = request_id  # this handler stands outside RequestIds
    return response


def create_app(settings: Settings) -> Starlette:
    """The application; what it needs is opened when it starts and closed when it stops.

    Where that fails, `app.state.failure` is the ParleyError.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            async with (
                open_gateway(settings) as gateway,
                background(gateway.detector.run()),
                background(Caretaker(gateway).run()),
                background(Compactor(gateway.pool, gateway.blobs).run()),
                background(UploadSweeper(gateway.pool, gateway.blobs).run()),
            ):
                app.state.gateway = gateway
                yield
        except ParleyError as error:
            app.state.failure = error
            raise

    uploads = Uploads(KeptUploads, limits_of(settings.uploads), stalled_after_s=settings.uploads.stalled_after_s)
    app = Starlette(
        routes=[
            WebSocketRoute("/ws/s2t", live),
            *described(
                [
                    *recordings.routes,
                    *notes.routes,
                    *translations.routes,
                    *templates.routes,
                    *usage.routes,
                    *webhooks.routes,
                    *files.routes,
                    *uploads.routes("/api/v1/uploads"),
                    *jobs.routes,
                    *job_events.routes,
                    *search.routes,
                    *ask.routes,
                    *status.routes,
                    *events.routes,
                ]
            ),
            Route("/metrics", metrics_page),
            *web_routes(settings.gateway.web_dir or _BUILT_WEB),
        ],
        middleware=[
            Middleware(RequestIds),
            Middleware(KnownHosts, allowed_hosts=hosts_of(settings.gateway)),
            Middleware(OwnPages, allowed_origins=settings.gateway.allowed_origins),
        ],
        exception_handlers={ParleyError: on_parley_error, HTTPException: on_http_error, Exception: on_bug},
        lifespan=lifespan,
    )
    app.state.failure = None
    return app
