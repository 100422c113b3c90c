"""Reaching an engine: is it ready and how busy, will it take a session, and what it says when it will not."""

import asyncio
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from pydantic import TypeAdapter, ValidationError
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from parley import engine_wire
from parley.errors import AtCapacity, EngineError
from parley.transcript import Recognizer

_TIMEOUT_S = 5.0
"""For the handshake, and for the answer to `open`."""
_ASK_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """One engine: a URL of the settings, and one of the addresses that its name has."""

    url: str
    ip: str

    def __str__(self) -> str:
        """The URL with the address in the name's place."""
        parts = urlsplit(self.url)
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        netloc = host if parts.port is None else f"{host}:{parts.port}"
        return parts._replace(netloc=netloc).geturl().rstrip("/")


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What an engine that is ready says of itself. `load`: 0 idle, 1 full."""

    recognizer: Recognizer
    load: float = 0.0


_bodies = TypeAdapter(dict[str, object])
_reports = TypeAdapter(EngineReport)


async def ask_engine(client: httpx.AsyncClient, address: EngineAddress) -> EngineReport:
    """The engine's `/readyz`. Raises EngineError, with its own words, while it is not ready."""
    name = urlsplit(address.url)
    try:
        async with asyncio.timeout(_ASK_TIMEOUT_S):
            response = await client.get(
                f"{address}/readyz",
                headers={"Host": name.netloc.rpartition("@")[2]},
                extensions={"sni_hostname": name.hostname},
            )
        body = _bodies.validate_json(response.content)
        if response.status_code == 200:
            return _reports.validate_python(body)
    except TimeoutError as error:
        raise _no_engine(address, TimeoutError(f"it said nothing for {_ASK_TIMEOUT_S:g} s")) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _no_engine(address, error) from error
    except ValueError as error:
        raise _no_engine(address, ValueError("what answers there is no engine")) from error
    reason = body.get("reason", "no reason given")
    raise EngineError(f"The engine at {address} is not ready: {reason}", code="engine_unavailable")


async def open_stream(address: EngineAddress, opening: engine_wire.Open) -> tuple[ClientConnection, Recognizer]:
    """A session at the engine. Raises EngineError or AtCapacity, with its own words."""
    url = address.url.replace("http", "ws", 1).rstrip("/") + "/v1/stream"
    try:
        # No pings: an engine that is full does not read, so it would not answer them. What shows that it lives are its
        # own messages, `alive` among them.
        connection = await connect(
            url,
            host=address.ip,
            port=_port(address.url),
            compression=None,
            open_timeout=_TIMEOUT_S,
            max_size=2**22,
            close_timeout=2,
            ping_interval=None,
            proxy=None,
        )
        try:
            await connection.send(opening.to_json())
            async with asyncio.timeout(_TIMEOUT_S):
                answer = parse(await connection.recv())
            return connection, _accepted(answer)
        except BaseException:
            await connection.close()
            raise
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, ConnectionClosed) as error:
        raise _no_engine(address, error) from error


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _no_engine(address: EngineAddress, error: Exception) -> EngineError:
    reason = str(error) or type(error).__name__
    return EngineError(f"No engine answers at {address}: {reason}.", code="engine_unavailable")


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
    """The error that an engine told of. One that is not ready yet is not full: it counts as if it were not there."""
    if message.code == AtCapacity.code and message.retry_after_s is not None:
        return AtCapacity(message.message, retry_after_s=message.retry_after_s)
    return EngineError(message.message, code=message.code, retryable=message.retryable)
