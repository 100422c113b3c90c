"""The Python client of `/ws/s2t`: used by the command line, the tests and the benchmarks."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from ssl import SSLError
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from parley import wire
from parley.errors import BackendError, ClientError, ParleyError

_MESSAGE_BYTES = 262_144
"""Bytes of one audio message: a whole number of samples in every format, and under the server's limit."""


class LiveClient:
    """One open session. Iterate over it for the server's messages; the last one is `closed`, or an `error`."""

    def __init__(self, connection: ClientConnection, ready: wire.Ready, url: str) -> None:
        self._connection = connection
        self._url = url
        self.ready = ready

    async def send_audio(self, data: bytes) -> None:
        """Audio in the format that `start` named: whole samples, as many as there are.

        Waits while the server is read no further, so read its messages in another task meanwhile.
        """
        for start in range(0, len(data), _MESSAGE_BYTES):
            with _connection_errors(self._url):
                await self._connection.send(data[start : start + _MESSAGE_BYTES])

    async def send(self, message: wire.ClientMessage) -> None:
        """Raises BackendError where the connection is lost."""
        with _connection_errors(self._url):
            await self._connection.send(message.to_json())

    async def __aiter__(self) -> AsyncIterator[wire.ServerMessage]:
        """The server's messages. Raises BackendError where the connection is lost before the server said its last."""
        message: wire.ServerMessage | None = None
        try:
            async for text in self._connection:
                message = wire.parse_server_message(text if isinstance(text, str) else text.decode())
                yield message
        except ConnectionClosed as error:
            if not isinstance(message, wire.Closed | wire.Error):
                raise _went_away(self._url) from error


@contextlib.asynccontextmanager
async def open_session(url: str, start: wire.Start) -> AsyncIterator[LiveClient]:
    """A live session at the server `url` (http or https). Raises ParleyError with the server's own words."""
    url = url.rstrip("/")
    address = url.replace("http", "ws", 1) + "/ws/s2t"
    with _connection_errors(url):
        connection = await connect(
            address,
            compression=None,
            max_size=2**24,
            open_timeout=10,
            ping_timeout=None,
            proxy=None if _is_local(address) else True,
        )
    async with connection:
        with _connection_errors(url):
            await connection.send(start.to_json())
            answer = wire.parse_server_message(str(await connection.recv()))
        if isinstance(answer, wire.Error):
            raise ParleyError(answer.message, code=answer.code, retryable=answer.retryable)
        if not isinstance(answer, wire.Ready):
            raise ClientError(f"The server answered {answer.type!r} to start.", code="protocol")
        yield LiveClient(connection, answer, url)


async def is_running(url: str) -> bool:
    """Whether a Parley that can serve answers at `url`."""
    try:
        async with httpx.AsyncClient(timeout=5, trust_env=not _is_local(url)) as client:
            response = await client.get(f"{url.rstrip('/')}/api/v1/status")
            return response.status_code == 200 and "recognizer" in response.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False


@contextlib.contextmanager
def _connection_errors(url: str) -> Iterator[None]:
    """Says for the server at `url` what went wrong with the connection, without the library's phrases."""
    try:
        yield
    except ConnectionClosed as error:
        raise _went_away(url) from error
    except InvalidStatus as error:
        message = f"What answers at {url} is no Parley that takes sessions (HTTP status {error.response.status_code})."
        raise BackendError(message, code="connection_lost") from error
    except SSLError as error:
        raise BackendError(
            f"{url}: the certificate or TLS is not in order: {error}.", code="connection_lost"
        ) from error
    except (OSError, TimeoutError) as error:
        raise BackendError(f"No Parley answers at {url}.", code="connection_lost") from error
    except (InvalidHandshake, InvalidURI) as error:
        raise BackendError(f"No session can be opened at {url}: {error}.", code="connection_lost") from error


def _went_away(url: str) -> BackendError:
    return BackendError(f"The Parley at {url} went away.", code="connection_lost")


def _is_local(url: str) -> bool:
    """Whether `url` is of this machine, to which no proxy leads."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
