"""Reaching an engine: is it ready, will it take a session, and what it says when it will not."""

import asyncio

import httpx
from pydantic import TypeAdapter, ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from parley import engine_wire
from parley.errors import AtCapacity, EngineError
from parley.transcript import Recognizer


async def engine_status(url: str) -> Recognizer:
    """What the engine at `url` recognises with. Raises EngineError, with its own words, while it is not ready."""
    try:
        async with httpx.AsyncClient(timeout=3, trust_env=False) as client:
            response = await client.get(f"{url.rstrip('/')}/readyz")
        body = response.json()
        if response.status_code == 200:
            return TypeAdapter(Recognizer).validate_python(body["recognizer"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        raise EngineError(f"No engine answers at {url}: {error}.", code="engine_unavailable") from error
    raise EngineError(f"The engine is not ready: {body.get('reason', 'no reason given')}", code="engine_unavailable")


async def open_stream(url: str, opening: engine_wire.Open) -> tuple[ClientConnection, Recognizer]:
    """A session at the engine's WebSocket `url`. Raises EngineError or AtCapacity, with its own words."""
    try:
        connection = await connect(
            url, compression=None, open_timeout=5, max_size=2**22, close_timeout=2, ping_timeout=None, proxy=None
        )
        try:
            await connection.send(opening.to_json())
            async with asyncio.timeout(10):
                answer = parse(await connection.recv())
            return connection, _accepted(answer)
        except BaseException:
            await connection.close()
            raise
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
        reason = str(error) or type(error).__name__
        raise EngineError(f"No engine answers at {url}: {reason}.", code="engine_unavailable") from error


def _accepted(answer: engine_wire.EngineMessage) -> Recognizer:
    if isinstance(answer, engine_wire.Opened):
        return answer.recognizer
    if isinstance(answer, engine_wire.Error):
        raise error_of(answer)
    raise EngineError(f"The engine answered {answer.type!r} to open.", code="engine_protocol")


def parse(text: str | bytes) -> engine_wire.EngineMessage:
    """One message of an engine. Raises EngineError for what is none."""
    try:
        return engine_wire.engine_messages.validate_json(text)
    except ValidationError as error:
        raise EngineError(f"The engine sent what is no message: {error}.", code="engine_protocol") from error


def error_of(message: engine_wire.Error) -> EngineError | AtCapacity:
    """The error that an engine told of."""
    if message.retry_after_s is not None:
        return AtCapacity(message.message, retry_after_s=message.retry_after_s)
    return EngineError(message.message, code=message.code, retryable=message.retryable)
