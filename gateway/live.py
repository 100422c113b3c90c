"""The endpoint `/ws/s2t`: lets a client in, holds its session, and closes with a code that says how it ended."""

import asyncio

from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.admission import check_origin, owner_of
from gateway.failures import close_code
from gateway.openapi import error_response
from gateway.session import LiveSession
from gateway.sessions import GoingAway
from gateway.wiring import Gateway
from parley import metrics, wire
from parley.errors import ClientError, ParleyError
from parley.logs import get_logger

_CLOSE_TIMEOUT_S = 5.0
"""A client that does not read holds up even the close; after this time it is left to the operating system."""
_log = get_logger(__name__)


async def live(websocket: WebSocket) -> None:
    """One connection, from its first message to its close."""
    gateway: Gateway = websocket.app.state.gateway
    if gateway.sessions.going_away:
        # While it is still HTTP, so that a proxy asks another gateway in place of this one.
        await websocket.send_denial_response(error_response(GoingAway(), websocket.state.request_id))
        return
    await websocket.accept()
    error: ParleyError | None = None
    try:
        check_origin(websocket, gateway.settings.allowed_origins)
        start = await _receive_start(websocket, gateway)
        session = await LiveSession.open(gateway, websocket, start, owner_of(websocket))
        error = await session.run()
    except ParleyError as refused:
        error = refused
        metrics.SESSIONS.labels(outcome=refused.code).inc()
        await _tell(websocket, refused)
    except WebSocketDisconnect:
        return
    except Exception:  # noqa: BLE001 — the session's outer edge
        _log.exception("session failed")
        metrics.SESSIONS.labels(outcome="internal").inc()
        error = ParleyError("Something went wrong on the server; what was acknowledged is kept.", retryable=True)
        await _tell(websocket, error)
    await _close(websocket, close_code(error))


async def _receive_start(websocket: WebSocket, gateway: Gateway) -> wire.Start:
    limit_s = gateway.settings.start_timeout_s
    try:
        async with asyncio.timeout(limit_s):
            message = await websocket.receive()
    except TimeoutError:
        raise ClientError(f"No start came within {limit_s:g} s.", code="start_timeout") from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    if message.get("text") is None:
        raise ClientError("Audio came before start; the first message must be start.", code="start_expected")
    parsed = wire.parse_client_message(message["text"])
    if not isinstance(parsed, wire.Start):
        raise ClientError(f"The first message is {parsed.type}; it must be start.", code="start_expected")
    return parsed


async def _tell(websocket: WebSocket, error: ParleyError) -> None:
    metrics.ERRORS.labels(code=error.code).inc()
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await websocket.send_text(wire.Error.of(error).to_json())
    except (WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
        _log.info("client gone before it could be told", code=error.code)


async def _close(websocket: WebSocket, code: int) -> None:
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await websocket.close(code)
    except (WebSocketDisconnect, RuntimeError, OSError, TimeoutError):
        _log.debug("client closed first")
