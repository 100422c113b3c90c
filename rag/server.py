"""The rag service's HTTP face: `/v1/…` for gateways and workers, under a token; `/healthz`, `/readyz`, `/metrics`.

`parley/rag_wire.py` says what is asked and answered, `parley/rag_client.py` asks.
"""

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from parley import rag_wire as wire
from parley.ask import SIGN_OF_LIFE_S, AskRequest, Event, line_of
from parley.errors import BackendError, ClientError, NotFound, ParleyError, TooLarge
from parley.logs import get_logger
from parley.wire import explain
from rag.service import Service

_MOST_BODY_BYTES = 32 * 2**20
"""MOST_TEXTS passages of the longest kind are a tenth of it."""
_Model = TypeVar("_Model", bound=BaseModel)
_log = get_logger(__name__)


class UnderToken:
    """Lets in who knows the token; 401 for others."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._wanted = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if secrets.compare_digest(given, self._wanted):
            await self._app(scope, receive, send)
            return
        response = _error(401, "unauthorized", "The token is missing or wrong; it is PARLEY_RAG__TOKEN.")
        response.headers["WWW-Authenticate"] = "Bearer"
        await response(scope, receive, send)


def create_app(open_service: Callable[[], AbstractAsyncContextManager[Service]], token: str) -> Starlette:
    """The ASGI application; what it needs is opened when it starts and closed when it stops.

    Where that fails, at once or while the model loads, `app.state.failure` is the ParleyError; `app.state.stop` is
    called to stop the server then.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            async with open_service() as service:
                guarded.state.service = app.state.service = service
                service.stop_at_failure(app.state.stop)
                yield
        except ParleyError as error:
            app.state.failure = error
            raise
        app.state.failure = service.failure

    guarded = Starlette(
        routes=[
            Route("/embed", embed, methods=["POST"]),
            Route("/search", search, methods=["POST"]),
            Route("/ask", ask, methods=["POST"]),
            Route("/index", bring_up, methods=["POST"]),
            Route("/reindex", reindex, methods=["POST"]),
            Route("/status", status, methods=["GET"]),
        ],
        exception_handlers={ParleyError: on_parley_error, HTTPException: on_http_error, Exception: on_bug},
    )
    app = Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Mount("/v1", UnderToken(guarded, token)),
        ],
        lifespan=lifespan,
    )
    app.state.failure, app.state.stop = None, lambda: None
    return app


async def healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """200 once the model and the index are open."""
    shelf = _service(request).shelf
    try:
        model, current = shelf.own, shelf.current
    except BackendError as error:
        return JSONResponse({"status": "not ready", "reason": error.message}, status_code=503)
    facts = {"model": model.name, "dimension": model.dimension, "index": current.name, "notice": current.row.notice}
    return JSONResponse({"status": "ready", **facts})


async def metrics(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def embed(request: Request) -> Response:
    """The vectors of texts, as they would be of passages."""
    texts = (await _body_of(request, wire.EmbedRequest)).texts
    embedder = _service(request).shelf.own
    vectors = await embedder.passages(texts)
    encoded = base64.b64encode(vectors.astype("<f4").tobytes()).decode()
    return _json(wire.EmbedAnswer(model=embedder.name, dimension=embedder.dimension, vectors=encoded))


async def search(request: Request) -> Response:
    """One page of hits among the passages of one owner."""
    asked = await _body_of(request, wire.SearchRequest)
    return _json(await _service(request).searcher.search(asked))


async def ask(request: Request) -> Response:
    """The events of an answer, a line of JSON each; an empty line now and then says that it is still being made."""
    asked = await _body_of(request, AskRequest)
    events = _service(request).asker.ask(asked)
    first = await anext(events)  # what cannot be looked for is refused before there is a stream
    return StreamingResponse(_lines(first, events), media_type="application/x-ndjson")


async def _lines(first: Event, others: AsyncGenerator[Event]) -> AsyncIterator[str]:
    """Ends with the client: what is still being asked of a language model is given up then."""
    yield f"{line_of(first)}\n"
    async with contextlib.aclosing(others):
        while True:
            coming = asyncio.ensure_future(anext(others, None))
            try:
                while not (await asyncio.wait({coming}, timeout=SIGN_OF_LIFE_S))[0]:
                    yield "\n"
            finally:
                coming.cancel()
            if (event := coming.result()) is None:
                return
            yield f"{line_of(event)}\n"


async def bring_up(request: Request) -> Response:
    """Waits until a recording is found as it is now."""
    asked = await _body_of(request, wire.IndexRequest)
    return _json(wire.IndexAnswer(passages=await _service(request).keeper.up_to_date(asked.owner, asked.recording_id)))


async def reindex(request: Request) -> Response:
    """Begins to build the index anew; the status says how far that is."""
    service = _service(request)
    await service.keeper.rebuild()
    return _json(await service.status())


async def status(request: Request) -> Response:
    return _json(await _service(request).status())


async def on_parley_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ParleyError)
    match error:
        case NotFound():
            status = 404
        case TooLarge():
            status = 413
        case ClientError():
            status = 400
        case _:
            status = 503
            _log.warning("request failed", code=error.code, error=error.message)
    return _error(status, error.code, error.message)


async def on_http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, f"http_{error.status_code}", f"{error.detail}.")


async def on_bug(request: Request, error: Exception) -> Response:
    _log.error("request failed", path=request.url.path, exc_info=error)
    return _error(500, "internal", "The search service failed; see its log.")


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status)


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


async def _body_of(request: Request, model: type[_Model]) -> _Model:
    """The JSON body as `model`. Raises ClientError with the field and the value that was wrong, TooLarge beforehand."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BODY_BYTES:
            raise TooLarge(f"The body is over the limit of {_MOST_BODY_BYTES} bytes.")
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        raise ClientError(explain(error)) from None


def _json(body: BaseModel) -> Response:
    return Response(body.model_dump_json(), media_type="application/json")
