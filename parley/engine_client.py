"""The client of the stream engine: sends a session's segments, takes back partials and finals.

It pulls: what must be sent follows from the audio source, the segments that have no final yet, and a cursor. So when
an engine is lost, the next connection begins again at the oldest segment without a final, and nothing is missing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from parley import engine_wire
from parley.audio import SAMPLE_RATE, Samples
from parley.engine_connection import error_of, parse
from parley.engine_pool import EnginePool, OpenedStream
from parley.errors import AtCapacity, EngineError
from parley.logs import get_logger
from parley.transcript import Recognizer, Segment

_BLOCK = SAMPLE_RATE // 2
_BACKOFF_S = (0.1, 0.3, 1.0, 2.0, 5.0)
_STEADY_S = 5.0
"""A connection that held for so long begins the back-off anew."""
_LOSSES_IN_COMPANY = 2
"""After so many losses in a row segments go one by one, so that what breaks an engine is known from what only waits."""
_MOST_ATTEMPTS = 5
_MOST_UNSENT = 2**16
"""Bytes that wait for a connection at most; over `websockets`' own limit, from which on `drain` waits."""
_SILENT_TICKS = 4
_log = get_logger(__name__)


@dataclass(slots=True)
class _Open:
    """A segment without a final, on the recording's clock; `end` is None while speech goes on."""

    number: int
    start: int
    end: int | None = None
    paused_at: int | None = None
    committed: str = ""
    revisions: int = 0
    attempts: int = 0
    """Connections on which it was begun as the oldest without a final: those whose loss it may be to blame for."""


@dataclass(slots=True)
class _Cursor:
    """How far one connection has sent a segment."""

    position: int
    begun: bool = False
    ended: bool = False
    paused_at: int | None = None


@dataclass(frozen=True, slots=True)
class PartialText:
    """A partial with its audio's end on the recording's clock."""

    segment: int
    revision: int
    start: int
    committed: str
    tentative: str
    covered_until: int


@dataclass(frozen=True, slots=True)
class EngineAway:
    """No engine serves the session now; its text comes later."""

    reason: str


@dataclass(frozen=True, slots=True)
class EngineBack:
    """An engine serves the session again, or for the first time."""

    recognizer: Recognizer


EngineEvent = PartialText | Segment | EngineAway | EngineBack


class _Sender:
    """What one connection was sent of the open segments: the cursors hold for this connection only."""

    def __init__(
        self,
        connection: ClientConnection,
        segments: Mapping[int, _Open],
        audio: Callable[[int, int], Samples],
        *,
        one_by_one: bool,
    ) -> None:
        """`one_by_one`: a segment is sent only when the one before it has its final."""
        self._connection = connection
        self._protocol = connection.protocol
        self._segments = segments
        self._audio = audio
        self._one_by_one = one_by_one
        self._cursors: dict[int, _Cursor] = {}
        self._room = 0

    def send(self) -> bool:
        """Sends what is to be sent, as one write. False where the connection takes no more of it: await its `drain`.

        It does not wait, as the connection's own `send` would. A connection that is lost takes all: who receives from
        it learns of it.
        """
        transport = self._connection.transport
        if self._connection.state is not State.OPEN or transport.is_closing():
            return True
        self._room = _MOST_UNSENT - transport.get_write_buffer_size()
        done = self._send_segments()
        transport.write(b"".join(self._protocol.data_to_send()))
        return done

    def _send_segments(self) -> bool:
        for index, segment in enumerate(self._segments.values()):
            cursor = self._cursors.setdefault(segment.number, _Cursor(segment.start))
            if index == 0 and not cursor.begun:
                segment.attempts += 1
            if not cursor.ended and not self._send_segment(segment, cursor):
                return False
            if segment.end is None or self._one_by_one:
                break
        return True

    def _send_segment(self, segment: _Open, cursor: _Cursor) -> bool:
        number = segment.number
        if not cursor.begun:
            cursor.begun = True
            self._say(engine_wire.Begin(segment=number))
        if not self._send_audio(segment, cursor):
            return False
        if segment.end is not None:
            cursor.ended = True
            self._say(engine_wire.End(segment=number, samples=segment.end - segment.start))
        elif segment.paused_at is not None and segment.paused_at != cursor.paused_at:
            cursor.paused_at = segment.paused_at
            samples = segment.paused_at - segment.start
            self._say(engine_wire.Pause(segment=number, samples=samples))
        return True

    def _say(self, message: engine_wire.GatewayMessage) -> None:
        self._protocol.send_text(message.to_json().encode())

    def _send_audio(self, segment: _Open, cursor: _Cursor) -> bool:
        while self._room > 0:
            until = cursor.position + _BLOCK
            if segment.end is not None:
                until = min(until, segment.end)
            if until <= cursor.position or not len(samples := self._audio(cursor.position, until)):
                return True
            data = samples.astype("<i2", copy=False).tobytes()
            self._protocol.send_binary(data)
            self._room -= len(data)
            cursor.position += len(samples)
        return False


class EngineStream:
    """One session's way to an engine. Use `connect` first, then `run` in a task and iterate over `events`."""

    def __init__(
        self,
        pool: EnginePool,
        opening: engine_wire.Open,
        audio: Callable[[int, int], Samples],
        *,
        silence_timeout_s: float = 20.0,
    ) -> None:
        """`audio(start, end)` gives samples of the recording's clock, as many as there are yet.

        An engine that says nothing at all for `silence_timeout_s` seconds is lost.
        """
        self._pool = pool
        self._silence_timeout_s = silence_timeout_s
        self._opening = opening
        self._audio = audio
        self._open: dict[int, _Open] = {}
        self._events: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._sender: _Sender | None = None
        self._closing = False
        self._losses = 0
        """In a row, of connections that did not last."""
        self._stream: OpenedStream | None = None
        self._heard = False

    # --- what the session says

    def begin(self, number: int, start: int) -> None:
        """Segment `number` begins at sample `start` of the recording."""
        self._open[number] = _Open(number, start)
        self._push()

    def pause(self, number: int, end: int) -> None:
        """The segment will end at `end` unless speech goes on."""
        self._open[number].paused_at = end
        self._push()

    def end(self, number: int, end: int) -> None:
        """Segment `number` ends before sample `end`."""
        self._open[number].end = end
        self._push()

    def abandon_open(self) -> None:
        """Lets go of the segment that has not ended: it gets no final here."""
        for segment in [segment for segment in self._open.values() if segment.end is None]:
            del self._open[segment.number]
        self._wake.set()

    def more_audio(self) -> None:
        """The audio source has grown."""
        if self._open:
            self._push()

    def close(self) -> None:
        """No more segments come; `run` ends, and with it `events`, when every segment has its final."""
        self._closing = True
        self._wake.set()

    @property
    def is_away(self) -> bool:
        """No engine serves the session now."""
        return self._stream is None

    @property
    def earliest_needed(self) -> int | None:
        """The first sample that may have to be sent again; None when every segment has its final."""
        return min((segment.start for segment in self._open.values()), default=None)

    async def events(self) -> AsyncIterator[EngineEvent]:
        """What comes back, until `run` ends."""
        while (event := await self._events.get()) is not None:
            yield event

    # --- the connection

    async def connect(self) -> Recognizer:
        """Opens the session at the engine that the pool chooses. Raises EngineError or AtCapacity where none does."""
        self._stream = await self._pool.open(self._opening)
        return self._stream.recognizer

    async def disconnect(self) -> None:
        """Lets go of the connection."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.connection.close()

    async def run(self) -> None:
        """Serves until closed and done; connects again whenever the engine is lost.

        Raises EngineError where trying again is of no use: an engine that came back does not know the language.
        """
        try:
            while self._open or not self._closing:
                began = float("inf")
                try:
                    if self._stream is None:
                        self._events.put_nowait(EngineBack(await self.connect()))
                    began = asyncio.get_running_loop().time()
                    await self._converse()
                except (EngineError, AtCapacity) as error:
                    if not error.retryable:
                        raise
                    lasted_s = asyncio.get_running_loop().time() - began
                    self._losses = 0 if lasted_s > _STEADY_S else self._losses + 1
                    self._events.put_nowait(EngineAway(error.message))
                    _log.warning("engine lost", error=error.message, open_segments=len(self._open), losses=self._losses)
                    self._give_up_poison()
                    backoff_s = _BACKOFF_S[min(self._losses, len(_BACKOFF_S) - 1)]
                    await asyncio.sleep(max(error.retry_after_s or 0.0, backoff_s))
        finally:
            self._events.put_nowait(None)
            await self.disconnect()

    async def _converse(self) -> None:
        """Sends and receives on one connection until it is lost (EngineError) or all is done."""
        stream = self._stream
        assert stream is not None
        loops = self._watch(), self._send(stream.connection), self._receive(stream.connection)
        tasks = [asyncio.create_task(loop) for loop in loops]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in reversed(tasks):
                if task.done():
                    task.result()
        except (ConnectionClosed, OSError) as error:
            self._pool.doubt(stream.engine)
            raise EngineError("The connection to the engine was lost.", code="engine_unavailable") from error
        except (EngineError, AtCapacity):
            self._pool.doubt(stream.engine)
            stream.connection.transport.abort()  # one that hangs would not answer a close
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.disconnect()

    async def _watch(self) -> None:
        """Raises EngineError where the engine says nothing for too long; one that lives says at least `alive`.

        It counts ticks, so that a stall of this process is not taken for one of the engine.
        """
        silent = 0
        while silent < _SILENT_TICKS:
            self._heard = False
            await asyncio.sleep(self._silence_timeout_s / _SILENT_TICKS)
            silent = 0 if self._heard else silent + 1
        raise EngineError(f"The engine has said nothing for {self._silence_timeout_s:g} s.", code="engine_unavailable")

    def _give_up_poison(self) -> None:
        """What was decoded each time that an engine was lost may be what breaks it: it ends empty and suspect."""
        oldest = next(iter(self._open.values()), None)
        if oldest is not None and oldest.attempts >= _MOST_ATTEMPTS and oldest.end is not None:
            self._finish(oldest, engine_wire.Final.nothing(oldest.number))

    async def _send(self, connection: ClientConnection) -> None:
        """Sends what waits, and then whenever the connection takes more. Else it is sent as it comes, by `_push`."""
        one_by_one = self._losses >= _LOSSES_IN_COMPANY
        self._sender = _Sender(connection, self._open, self._audio, one_by_one=one_by_one)
        try:
            while self._open or not self._closing:
                self._wake.clear()
                while not self._sender.send():
                    await connection.drain()
                await self._wake.wait()
        finally:
            self._sender = None

    def _push(self) -> None:
        """Sends what there is to send, now: a task of its own would cost as much again."""
        if self._sender is not None and not self._sender.send():
            self._wake.set()

    async def _receive(self, connection: ClientConnection) -> None:
        async for text in connection:
            self._heard = True
            message = parse(text)
            match message:
                case engine_wire.Partial():
                    self._on_partial(message)
                case engine_wire.Final():
                    self._on_final(message)
                case engine_wire.Error(segment=None):
                    raise error_of(message)
                case engine_wire.Error():
                    self._on_segment_error(message)
                case _:
                    pass
            if self._closing and not self._open:
                return
        raise EngineError("The engine closed the connection.", code="engine_unavailable")

    def _on_partial(self, message: engine_wire.Partial) -> None:
        segment = self._open.get(message.segment)
        if segment is None:
            return
        segment.committed, tentative = extend_committed(segment.committed, message.committed, message.tentative)
        self._events.put_nowait(
            PartialText(
                segment=message.segment,
                revision=segment.revisions,
                start=segment.start,
                committed=segment.committed,
                tentative=tentative,
                covered_until=segment.start + message.samples,
            )
        )
        segment.revisions += 1

    def _on_final(self, message: engine_wire.Final) -> None:
        segment = self._open.get(message.segment)
        if segment is not None and segment.end is not None:
            self._finish(segment, message)

    def _on_segment_error(self, message: engine_wire.Error) -> None:
        """One segment could not be decoded: an empty, suspect final stands in its place, visibly."""
        assert message.segment is not None
        _log.error("segment not decoded", segment=message.segment, code=message.code, error=message.message)
        self._on_final(engine_wire.Final.nothing(message.segment))

    def _finish(self, segment: _Open, final: engine_wire.Final) -> None:
        assert segment.end is not None
        del self._open[segment.number]
        self._wake.set()
        self._events.put_nowait(
            Segment(
                number=segment.number,
                start=segment.start,
                end=segment.end,
                words=tuple(word.shifted(segment.start) for word in final.words),
                language=final.language,
                confidence=final.confidence,
                suspect=final.suspect,
            )
        )


def extend_committed(before: str, committed: str, tentative: str) -> tuple[str, str]:
    """The committed and the tentative text to show after `before` was committed, which never shrinks.

    An engine that took over a segment begins to commit anew; until it is past `before`, what it has beyond that is
    tentative, and where it disagrees with what was committed, only the final will say so.
    """
    if committed.startswith(before):
        return committed, tentative
    whole = f"{committed} {tentative}".strip()
    return before, whole[len(before) :].strip() if whole.startswith(before) else ""
