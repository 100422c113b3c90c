"""The Python client of `/ws/s2t`: used by the command line, the tests and the benchmarks.

It keeps what the server has not stored yet, and where a connection or a gateway is lost, it finds another and goes on:
who iterates over a `LiveClient` sees one session. What it decides lies in `resuming`, what it keeps in `held_audio`.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from ssl import SSLError
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.http11 import Response

from parley import wire
from parley.errors import BackendError, ClientError, ParleyError
from parley.held_audio import HeldAudio
from parley.resuming import Backoff, Heard, ends_session, http_refusal, may_resume

_MESSAGE_BYTES = 262_144
"""Bytes of one audio message: a whole number of samples in every format, and under the server's limit."""
_CLOSE_TIMEOUT_S = 1.0
"""Seconds for the end of TCP behind a close: a server that is late with it must not delay the way back."""
_ROUNDING_S = 0.05
"""Seconds by which `duration_ms` may fall short of what was sent: rounding, and the edge of a resampler."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a client waits for what. `parley/wire.py` says what it may expect of a server."""

    max_held_s: float = 600.0
    """Seconds of audio kept at most while they are not stored; then `send_audio` waits. 19 MB at 16 kHz."""
    give_up_after_s: float = 300.0
    """Seconds of trying to come back, from the loss on. 0: never try."""
    silence_s: float = 12.0
    """Seconds without a message after which the server counts as lost."""
    ping_every_s: float = 5.0
    """Seconds without a message to the server after which a `ping` says that the client is there."""
    open_s: float = 10.0
    """Seconds for a connection and its handshake."""
    ready_s: float = 30.0
    """Seconds for `ready`: to resume, a gateway reads what was said since the last final."""


PATIENT = Patience()


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The server was lost; `held_s` seconds of audio wait here. The next attempt comes in `retry_in_s` seconds."""

    reason: str
    held_s: float
    attempt: int
    retry_in_s: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """The session goes on where the server has everything before `next_sample`; `held_s` s are not stored yet."""

    next_sample: int
    held_s: float


SessionEvent = wire.ServerMessage | Reconnecting | Resumed
"""What iterating over a `LiveClient` gives."""


class Refused(ParleyError):
    """The server answered `start`, or the request for a WebSocket, with an error: its own words."""

    def __init__(self, error: wire.Error) -> None:
        super().__init__(error.message, code=error.code, retryable=error.retryable)
        self.error = error

    @property
    def retry_after_s(self) -> float | None:
        return self.error.retry_after_s


class CutShort(ParleyError):
    """The server closed the recording without the last `missing_s` seconds of what was sent. `closed` is its word."""

    code = "audio_missing"

    def __init__(self, closed: wire.Closed, missing_s: float, reason: wire.Error | None) -> None:
        why = reason.message if reason else "The server closed the recording before it had all of it."
        kept_s = closed.duration_ms / 1000
        super().__init__(f"{why} {kept_s:.1f} s of the audio are kept, the {missing_s:.1f} s behind them are not.")
        self.closed = closed
        self.missing_s = missing_s


class LiveClient:
    """One session, over as many connections as it takes.

    Iterate over it, in a task of its own where much is sent: reading is what notes the acknowledgements, and what comes
    back after a loss. `ready` is the server's latest, `url` the gateway that said it, `ended_by` the error that ended
    the session before its time, if one did: a `closed` behind it says that what came is kept, not that it is complete.
    """

    def __init__(
        self, backoff: Backoff, start: wire.Start, connection: ClientConnection, ready: wire.Ready, patience: Patience
    ) -> None:
        self._backoff = backoff
        self._start = start
        self._connection: ClientConnection | None = connection
        self._patience = patience
        self._held = HeldAudio(start.audio_format(), ready.next_sample)
        self._heard = Heard(start.next_segment)
        self._room = asyncio.Event()
        self._sender: ClientConnection | None = None  # the connection that a task sends on
        self._replay: asyncio.Task[None] | None = None
        self._last_error: wire.Error | None = None
        self._token: str | None = ready.resume_token
        self._acked = self._lost_at = self._dial_at = 0.0
        self._quiet_since = math.inf  # while nobody waits for a message, nothing is missed
        self._hung: ClientConnection | None = None  # the one that was given up for its silence
        self._said_at = time.monotonic()
        self._ended = False
        self.ready, self.url = ready, backoff.address
        self.ended_by: wire.Error | None = None

    @property
    def held_s(self) -> float:
        """Seconds of audio that are kept here because the server has not stored them yet."""
        return self._held.held_s

    # --- to the server

    async def send_audio(self, data: bytes) -> None:
        """Audio in the format that `start` named: whole samples, as many as there are.

        Kept until it is stored; while there is no connection, that is all. Waits while the server reads no further or
        `max_held_s` are kept. Raises BackendError once the session is over.
        """
        for start in range(0, len(data), _MESSAGE_BYTES):
            await self._has_room()
            self._held.push(data[start : start + _MESSAGE_BYTES])
            await self._send_waiting()

    async def send(self, message: wire.Finalize | wire.Stop) -> None:
        """Behind all the audio so far. Raises BackendError once the session is over."""
        self._check_open()
        if isinstance(message, wire.Stop):
            self._held.stop()
        else:
            self._held.finalize()
        await self._send_waiting()

    async def _has_room(self) -> None:
        while not self._ended and self._held.held_s >= self._patience.max_held_s:
            self._room.clear()
            await self._room.wait()
        self._check_open()

    def _check_open(self) -> None:
        if self._ended:
            raise BackendError("The session is over; no more can be sent.", code="connection_lost")

    async def _send_waiting(self) -> None:
        """Sends what was not sent on this connection, unless another task is at it.

        Who is cancelled here leaves open how much was sent, so the connection goes too: a new one will know.
        """
        connection = self._connection
        if connection is None or connection is self._sender:
            return
        self._sender = connection
        try:
            while connection is self._connection and (message := self._held.take()) is not None:
                await connection.send(message if isinstance(message, bytes) else message.to_json())
                self._said_at = time.monotonic()
        except ConnectionClosed:
            pass  # `_receive` sees it too, and acts
        except BaseException:
            connection.transport.abort()
            raise
        finally:
            if connection is self._sender:
                self._sender = None

    async def _watch(self) -> None:
        """Looks once in a while whether the server is there, and lets it know that the client is."""
        while not self._ended:
            await asyncio.sleep(self._patience.ping_every_s / 5)
            if self._connection is not None:
                await self._look_after(self._connection, time.monotonic())

    async def _look_after(self, connection: ClientConnection, now: float) -> None:
        if now - self._quiet_since > self._patience.silence_s:
            self._hung = connection
            connection.transport.abort()
        elif now - self._said_at > self._patience.ping_every_s and not connection.transport.get_write_buffer_size():
            self._said_at = now
            with contextlib.suppress(ConnectionClosed):
                await connection.send(wire.Ping().to_json())

    # --- from the server

    async def __aiter__(self) -> AsyncIterator[SessionEvent]:
        """The server's messages as of one session, finals once each; `Reconnecting` and `Resumed` where it was not.

        The last is `closed`, or the `error` that ended it. Raises BackendError where the server does not come back, and
        CutShort, in place of `closed`, where that comes without all of the audio.
        """
        while not self._ended:
            event = await (self._redial() if self._connection is None else self._receive(self._connection))
            if event is not None:
                yield event

    async def _receive(self, connection: ClientConnection) -> SessionEvent | None:
        self._quiet_since = time.monotonic()
        try:
            text = await connection.recv(decode=True)
        except ConnectionClosed:
            return None if self._ended else self._lose(connection)
        finally:
            self._quiet_since = math.inf
        return self._note(wire.parse_server_message(text))

    def _note(self, message: wire.ServerMessage) -> wire.ServerMessage | None:
        """What of the message is news to whoever iterates."""
        self._last_error = message if isinstance(message, wire.Error) else None
        match message:
            case wire.Ack():
                return message if self._is_progress(message) else None
            case wire.SpeechStart() | wire.Partial() | wire.Final():
                return message if self._heard.is_new(message) else None
            case wire.Pong() | wire.Error(code="going_away"):  # told as Reconnecting
                return None
            case wire.Error() if ends_session(message):
                self.ended_by = message
            case wire.Closed():
                self._end()
                self._check_whole(message)
        return message

    def _check_whole(self, closed: wire.Closed) -> None:
        """By its length: acks lag at other rates than 16 kHz."""
        missing_s = self._held.end_s - closed.duration_ms / 1000
        if missing_s > _ROUNDING_S:
            raise CutShort(closed, missing_s, self.ended_by)

    def _is_progress(self, ack: wire.Ack) -> bool:
        """Notes an ack; false for one that a resumed session says again."""
        self._backoff.went_well()
        self._held.ack(ack.samples)
        self._room.set()
        before, self._acked = self._acked, max(self._acked, ack.samples)
        return ack.samples >= before

    # --- lost, and back

    def _lose(self, connection: ClientConnection) -> Reconnecting | None:
        """The connection ended. None where its last error was the session's end, too."""
        error = self._last_error
        if not may_resume(connection.close_code, error):
            self._end()
            if error is None:
                raise self._given_up(self._why_lost(connection))
            return None
        self._connection, self._last_error, self.ended_by = None, None, None
        self._lost_at = time.monotonic()
        if error is None or not error.retryable:
            return self._plan(self._why_lost(connection), None)
        return self._plan(error.message, error.retry_after_s)

    def _why_lost(self, connection: ClientConnection) -> str:
        if connection is self._hung:
            return f"The Parley at {self.url} has said nothing for {self._patience.silence_s:g} s."
        return _went_away(self.url).message

    def _plan(self, reason: str, retry_after_s: float | None) -> Reconnecting:
        now = time.monotonic()
        wait_s = self._backoff.next(now, retry_after_s)
        if now + wait_s - self._lost_at >= self._patience.give_up_after_s:
            self._end()
            raise self._given_up(reason)
        self._dial_at = now + wait_s
        return Reconnecting(reason, self.held_s, self._backoff.attempt, wait_s)

    def _given_up(self, reason: str) -> BackendError:
        kept = f"{self._held.acked_s:.1f} s of the audio are kept there"
        rest = f", the {self.held_s:.1f} s behind them are not" if self.held_s else ""
        return BackendError(f"{reason} {kept}{rest}.", code="connection_lost")

    async def _redial(self) -> Reconnecting | Resumed | wire.Error:
        await asyncio.sleep(max(0.0, self._dial_at - time.monotonic()))
        try:
            connection, ready = await _dial(self._backoff.address, self._resumption(), self._patience)
            await self._go_on(connection, ready)
        except ParleyError as error:
            if error.retryable:
                return self._plan(error.message, error.retry_after_s)
            if error.code == "resume_invalid" and self._token and self._held.is_whole:
                self._token = None
                return self._plan(error.message, None)
            self._end()
            if isinstance(error, Refused):
                self.ended_by = error.error
                return error.error
            raise
        return Resumed(ready.next_sample, self.held_s)

    def _resumption(self) -> wire.Start:
        """The recording's other options are those it was begun with.

        Where the server lost it before it had stored anything, a new one, of all that is held: the same audio has the
        same segments, so what was heard of it counts on.
        """
        start = self._start
        if self._token is None:
            return start.model_copy(update={"resume": None, "next_segment": 0})
        return wire.Start(
            sample_rate=start.sample_rate,
            encoding=start.encoding,
            channels=start.channels,
            resume=self._token,
            next_segment=self._heard.next_segment,
        )

    async def _go_on(self, connection: ClientConnection, ready: wire.Ready) -> None:
        """Says again what the server lacks, in a task of its own: it must be read meanwhile."""
        try:
            self._held.rewind(ready.next_sample)
        except ClientError:
            await connection.close()
            raise
        self._connection, self.ready, self.url = connection, ready, self._backoff.address
        self._token = ready.resume_token
        self._said_at = time.monotonic()
        self._replay = asyncio.create_task(self._send_waiting())

    # --- the end

    def _end(self) -> None:
        """Nothing more is sent or received, and whoever waits to send is told."""
        self._ended = True
        self._room.set()

    async def _close(self) -> None:
        """Leaves the session as it is. One that was not stopped can be resumed for a time."""
        self._end()
        if self._replay is not None:
            self._replay.cancel()
            await asyncio.wait((self._replay,))
        if self._connection is not None:
            await _shut(self._connection)


@contextlib.asynccontextmanager
async def open_session(
    urls: str | Sequence[str], start: wire.Start, patience: Patience = PATIENT
) -> AsyncIterator[LiveClient]:
    """A live session at the server `urls` (http or https), or at the first of several gateways that takes it.

    Raises ParleyError with the server's own words where none does; then nothing is tried again.
    """
    backoff = Backoff([url.rstrip("/") for url in ([urls] if isinstance(urls, str) else urls)])
    connection, ready = await _dial_any(backoff, start, patience)
    session = LiveClient(backoff, start, connection, ready, patience)
    watching = asyncio.create_task(session._watch())
    try:
        yield session
    finally:
        watching.cancel()
        await session._close()


async def is_running(url: str) -> bool:
    """Whether a Parley that can serve answers at `url`."""
    try:
        async with httpx.AsyncClient(timeout=5, trust_env=not _is_local(url)) as client:
            response = await client.get(f"{url.rstrip('/')}/api/v1/status")
            return response.status_code == 200 and "recognizer" in response.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return False


async def _dial_any(backoff: Backoff, start: wire.Start, patience: Patience) -> tuple[ClientConnection, wire.Ready]:
    """At each address once, without a wait. Raises the error of the last, or one that no other address would mend."""
    while True:
        try:
            opened = await _dial(backoff.address, start, patience)
        except ParleyError as error:
            if not error.retryable or backoff.is_last:
                raise
            backoff.next(time.monotonic(), error.retry_after_s)
        else:
            backoff.went_well()
            return opened


async def _dial(url: str, start: wire.Start, patience: Patience) -> tuple[ClientConnection, wire.Ready]:
    """Raises Refused, BackendError where nobody answers, ClientError where what answers is no Parley."""
    address = url.replace("http", "ws", 1) + "/ws/s2t"
    with _connection_errors(url):
        connection = await connect(
            address,
            compression=None,
            max_size=2**24,
            open_timeout=patience.open_s,
            close_timeout=_CLOSE_TIMEOUT_S,
            ping_interval=None,  # the protocol has its own
            proxy=None if _is_local(address) else True,
        )
    try:
        with _connection_errors(url):
            await connection.send(start.to_json())
            async with asyncio.timeout(patience.ready_s):
                return connection, await _ready(connection)
    except BaseException:
        connection.transport.abort()
        await connection.wait_closed()
        raise


async def _ready(connection: ClientConnection) -> wire.Ready:
    answer = wire.parse_server_message(await connection.recv(decode=True))
    if isinstance(answer, wire.Error):
        raise Refused(answer)
    if not isinstance(answer, wire.Ready):
        raise ClientError(f"The server answered {answer.type!r} to start.", code="protocol")
    return answer


async def _shut(connection: ClientConnection) -> None:
    """With the close handshake, unless the server does not take part in it."""
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await connection.close()
    except TimeoutError:
        connection.transport.abort()


@contextlib.contextmanager
def _connection_errors(url: str) -> Iterator[None]:
    """Says for the server at `url` what went wrong with the connection, without the library's phrases."""
    try:
        yield
    except ConnectionClosed as error:
        raise _went_away(url) from error
    except InvalidStatus as error:
        raise _refusal(url, error.response) from error
    except SSLError as error:
        raise BackendError(
            f"{url}: the certificate or TLS is not in order: {error}.", code="connection_lost"
        ) from error
    except (OSError, TimeoutError) as error:
        raise BackendError(f"No Parley answers at {url}.", code="connection_lost") from error
    except (InvalidHandshake, InvalidURI) as error:
        raise BackendError(f"No session can be opened at {url}: {error}.", code="connection_lost") from error


def _refusal(url: str, response: Response) -> ParleyError:
    status = response.status_code
    if told := http_refusal(status, response.headers.get("Retry-After"), bytes(response.body)):
        return Refused(told)
    message = f"What answers at {url} is no Parley that takes sessions (HTTP status {status})."
    return BackendError(message, code="connection_lost")


def _went_away(url: str) -> BackendError:
    return BackendError(f"The Parley at {url} went away.", code="connection_lost")


def _is_local(url: str) -> bool:
    """Whether `url` is of this machine, to which no proxy leads."""
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")
