"""The engine's HTTP face: `/v1/stream` for gateways, `/healthz`, `/readyz` and `/metrics` for whoever watches."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import asdict

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from parley.engine_wire import (
    ALIVE_AFTER_S,
    Alive,
    Begin,
    End,
    Error,
    GatewayMessage,
    Open,
    Opened,
    Pause,
    gateway_messages,
)
from parley.errors import ClientError, EngineError, ParleyError
from parley.logs import bound, get_logger
from parley.metrics import ENGINE_SESSIONS_OPEN
from parley.wire import explain
from stream_engine.engine import Engine
from stream_engine.outbox import MAX_BATCH_FINALS, MAX_FINALS, Outbox
from stream_engine.session import Session

log = get_logger(__name__)

_OPEN_TIMEOUT_S = 10.0
_NOT_READY_RETRY_S = 2.0
_POLICY_VIOLATION, _INTERNAL_ERROR, _TRY_AGAIN_LATER = 1008, 1011, 1013
"""Close codes, RFC 6455 section 7.4.1 and the IANA registry."""


def create_app(engine: Engine) -> Starlette:
    """The ASGI application of `engine`, which runs as long as the application does."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with engine.running():
            yield

    app = Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            WebSocketRoute("/v1/stream", stream),
        ],
        lifespan=lifespan,
    )
    app.state.engine = engine
    return app


async def healthz(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    engine: Engine = request.app.state.engine
    if engine.recognizer is not None:
        return JSONResponse(
            {"status": "ready", "recognizer": asdict(engine.recognizer.info), "load": round(engine.load(), 3)}
        )
    reason = engine.failure.message if engine.failure else "The engine is still loading its model."
    return JSONResponse({"status": "not ready", "reason": reason}, status_code=503)


async def metrics(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def stream(socket: WebSocket) -> None:
    """One session, from `open` to the end of the connection."""
    await socket.accept()
    ENGINE_SESSIONS_OPEN.inc()
    try:
        await _serve(socket, socket.app.state.engine)
    except WebSocketDisconnect:
        pass
    except ParleyError as error:
        await _refuse(socket, error)
    except Exception:  # the session's outer edge
        log.exception("session_failed")
        await _refuse(socket, EngineError("The engine failed; see its log."))
    finally:
        ENGINE_SESSIONS_OPEN.dec()


async def _serve(socket: WebSocket, engine: Engine) -> None:
    scheduler = engine.scheduler
    if "origin" in socket.headers:
        raise ClientError("Engines serve gateways, no pages.", code="forbidden_origin")
    try:
        opened = await asyncio.wait_for(_receive(socket), _OPEN_TIMEOUT_S)
    except TimeoutError:
        raise ClientError(f"No open came within {_OPEN_TIMEOUT_S:g} s.", code="start_timeout") from None
    if not isinstance(opened, Open):
        raise ClientError("The first message must be open.", code="out_of_order")
    assert engine.recognizer is not None
    info = engine.recognizer.info
    if opened.language is not None and opened.language not in info.languages:
        raise EngineError(
            f"{info.name} with the model {info.model} does not know the language {opened.language!r}.",
            code="unsupported_language",
            retryable=False,
        )
    if opened.task not in info.tasks:
        raise EngineError(
            f"{info.name} with the model {info.model} does not {opened.task}; it can {' and '.join(info.tasks)}.",
            code="unsupported_task",
            retryable=False,
        )
    live = opened.lane == "live"
    with engine.live_session() if live else engine.batch_session():
        await socket.send_text(Opened(recognizer=info).to_json())
        outbox = Outbox(MAX_FINALS if live else MAX_BATCH_FINALS)
        session = Session(next(engine.session_numbers), opened, scheduler, engine.settings, outbox)
        await _converse(socket, opened.session, session, outbox)


async def _converse(socket: WebSocket, name: str, session: Session, outbox: Outbox) -> None:
    """The session, until the gateway goes."""
    with bound(session=name):
        reader = asyncio.create_task(_read(socket, session, outbox))
        sender = asyncio.create_task(_send(socket, outbox))
    try:
        # Either can notice that the gateway is gone: the reader may be waiting for room, the sender for words.
        done, _ = await asyncio.wait({reader, sender}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        session.close()
        reader.cancel()
        sender.cancel()
        await asyncio.gather(reader, sender, return_exceptions=True)


async def _read(socket: WebSocket, session: Session, outbox: Outbox) -> None:
    """Passes the gateway's messages to the session until the connection ends."""
    while True:
        await outbox.room()
        match await _receive(socket):
            case bytes() as data:
                session.audio(data)
            case Begin() as begin:
                session.begin(begin)
            case Pause() as pause:
                session.pause(pause)
            case End() as end:
                session.end(end)
            case Open():
                raise ClientError("open came twice.", code="out_of_order")


async def _receive(socket: WebSocket) -> GatewayMessage | bytes:
    """The next message. Raises WebSocketDisconnect at the end, ClientError for what is no message."""
    event = await socket.receive()
    if event["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(event.get("code", 1005))
    if event.get("bytes") is not None:
        return bytes(event["bytes"])
    try:
        return gateway_messages.validate_json(event["text"])
    except ValidationError as error:
        raise ClientError(explain(error), code="malformed_message") from None


async def _send(socket: WebSocket, outbox: Outbox) -> None:
    """Sends what the session has to say, or that it lives. Raises WebSocketDisconnect when the connection is gone."""
    while True:
        try:
            async with asyncio.timeout(ALIVE_AFTER_S):
                message = await outbox.next()
        except TimeoutError:
            await socket.send_text(Alive().to_json())
            continue
        await socket.send_text(message.to_json())
        outbox.sent(message)


async def _refuse(socket: WebSocket, error: ParleyError) -> None:
    """Says what was wrong and closes."""
    retry_after_s = _NOT_READY_RETRY_S if error.code == "not_ready" else error.retry_after_s
    message = Error(code=error.code, message=error.message, retryable=error.retryable, retry_after_s=retry_after_s)
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # it may be closed already
        await socket.send_text(message.to_json())
        await socket.close(_close_code(error, retry_after_s), error.code)


def _close_code(error: ParleyError, retry_after_s: float | None) -> int:
    if retry_after_s is not None:
        return _TRY_AGAIN_LATER
    return _POLICY_VIOLATION if isinstance(error, ClientError) else _INTERNAL_ERROR
