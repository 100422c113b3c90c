"""A gateway that is lost as its script says: the real protocol over a real socket, with nothing behind it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from parley import wire
from parley.audio import SAMPLE_RATE

PART = SAMPLE_RATE // 4
"""Samples that become durable together, and are acknowledged."""
SEGMENT = SAMPLE_RATE
"""Samples of each segment; its final follows when they are durable."""
RECOGNIZER = wire.RecognizerInfo(name="scripted", model="none", device="cpu", fallback=False, reason="a test")


@dataclass(frozen=True, slots=True)
class Loss:
    """A connection's end when `at` samples of the recording were received: by `how`, behind `error`, if any.

    `cut` is the end of TCP without a close; in `silence` the connection stays, but nothing more is said or heard;
    `closed` closes the recording with what was received; a number is a close code.
    """

    at: int
    how: Literal["cut", "silence", "closed"] | int = "cut"
    error: wire.Error | None = None


@dataclass(frozen=True, slots=True)
class Denial:
    """An HTTP answer in place of a connection."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Recording:
    """What gateways of one store have of it. `received` is lost with its connection beyond what is `durable`."""

    received: bytearray = field(default_factory=bytearray)
    durable: int = 0
    finalized: list[int] = field(default_factory=list)
    stopped: bool = False

    def finals(self) -> list[wire.Final]:
        ends = range(SEGMENT, self.durable + 1, SEGMENT)
        return [_final(number, end) for number, end in enumerate(ends)]

    def forget_what_is_not_durable(self) -> None:
        del self.received[2 * self.durable :]
        self.finalized = [position for position in self.finalized if position < self.durable]


def _final(number: int, end: int) -> wire.Final:
    end_ms = end * 1000 // SAMPLE_RATE
    return wire.Final(
        segment=number,
        start_ms=end_ms - 1000,
        end_ms=end_ms,
        text=f"segment {number}",
        words=(),
        language="en",
        confidence=1.0,
        suspect=False,
    )


class ScriptedGateway:
    """Takes 16 kHz PCM. Each connection that it lets in ends as the next of `script` says, or by `stop`; an Error in
    its place refuses `start`, a Denial the WebSocket."""

    def __init__(
        self, *script: Loss | wire.Error | Denial, recording: Recording | None = None, acks: bool = True
    ) -> None:
        self._script = list(script)
        self._acks = acks
        self._server: Server | None = None
        self._port = 0
        self.recording = recording or Recording()
        self.starts: list[wire.Start] = []
        self.pings = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._connection, "127.0.0.1", self._port, close_timeout=0.2, process_request=self._deny
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        for connection in self._server.connections:
            connection.transport.abort()
        self._server.close()
        await self._server.wait_closed()

    def _deny(self, _connection: ServerConnection, _request: Request) -> Response | None:
        if not self._script or not isinstance(self._script[0], Denial):
            return None
        denial = self._script[0]
        del self._script[0]
        headers = Headers({"Content-Length": str(len(denial.body)), **denial.headers})
        return Response(denial.status, "Denied", headers, denial.body)

    async def _connection(self, connection: ServerConnection) -> None:
        start = wire.parse_client_message(await connection.recv(decode=True))
        assert isinstance(start, wire.Start)
        self.starts.append(start)
        fate = self._script.pop(0) if self._script else Loss(at=10**9)
        assert not isinstance(fate, Denial)
        if isinstance(fate, wire.Error):
            await _say(connection, fate)
            await connection.close(1013 if fate.retryable else 1008)
            return
        self.recording.forget_what_is_not_durable()
        try:
            await self._session(connection, start, fate)
        except ConnectionClosed:
            return

    async def _session(self, connection: ServerConnection, start: wire.Start, loss: Loss) -> None:
        recording = self.recording
        ready = wire.Ready(
            recording_id="r1",
            resume_token=f"token {len(self.starts)}",
            next_sample=recording.durable,
            recognizer=RECOGNIZER,
        )
        await _say(connection, ready, *recording.finals()[start.next_segment :])
        while len(recording.received) < 2 * loss.at:
            if recording.stopped:
                await self._close(connection)
                return
            await self._heed(connection, await connection.recv())
        await self._lose(connection, loss)

    async def _heed(self, connection: ServerConnection, message: str | bytes) -> None:
        recording = self.recording
        if isinstance(message, bytes):
            recording.received += message
            await self._keep(connection, len(recording.received) // 2 // PART * PART)
            return
        match wire.parse_client_message(message):
            case wire.Finalize():
                recording.finalized.append(len(recording.received) // 2)
            case wire.Ping():
                self.pings += 1
                await _say(connection, wire.Pong())
            case wire.Stop():
                recording.stopped = True
                await self._keep(connection, len(recording.received) // 2)

    async def _keep(self, connection: ServerConnection, samples: int) -> None:
        if samples > self.recording.durable and self._acks:
            known = len(self.recording.finals())
            self.recording.durable = samples
            for final in self.recording.finals()[known:]:
                await _say(connection, wire.SpeechStart(segment=final.segment, start_ms=final.start_ms), final)
            await _say(connection, wire.Ack(samples=samples))

    async def _lose(self, connection: ServerConnection, loss: Loss) -> None:
        if loss.error is not None:
            await _say(connection, loss.error)
        if loss.how == "cut":
            connection.transport.abort()
        elif loss.how == "silence":
            await connection.wait_closed()
        elif loss.how == "closed":
            await self._keep(connection, len(self.recording.received) // 2)
            await self._close(connection)
        else:
            await connection.close(loss.how)

    async def _close(self, connection: ServerConnection) -> None:
        duration_ms = len(self.recording.received) // 32
        await _say(connection, wire.Closed(recording_id="r1", duration_ms=duration_ms))


async def _say(connection: ServerConnection, *messages: wire.ServerMessage) -> None:
    for message in messages:
        await connection.send(message.to_json())


def numbers(finals: Sequence[wire.Final]) -> list[int]:
    return [final.segment for final in finals]
