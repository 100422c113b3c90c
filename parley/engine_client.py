"""The client of the stream engine: sends a session's segments, takes back partials and finals.

It pulls: what must be sent follows from the audio source, the segments that have no final yet, and a cursor. So when
an engine is lost, the next connection begins again at the oldest segment without a final, and nothing is missing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from parley import engine_wire
from parley.audio import SAMPLE_RATE, Samples
from parley.engine_connection import error_of, open_stream, parse
from parley.errors import AtCapacity, EngineError
from parley.logs import get_logger
from parley.transcript import Recognizer, Segment

_BLOCK = SAMPLE_RATE // 2
_BACKOFF_S = (0.1, 0.3, 1.0, 2.0, 5.0)
_STEADY_S = 5.0
"""A connection that held for so long begins the back-off anew."""
_MOST_ATTEMPTS = 5
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
    """Connections on which it was begun."""


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
    """An engine serves the session again."""


EngineEvent = PartialText | Segment | EngineAway | EngineBack


class EngineStream:
    """One session's way to an engine. Use `connect` first, then `run` in a task and iterate over `events`."""

    def __init__(
        self,
        urls: Sequence[str],
        opening: engine_wire.Open,
        audio: Callable[[int, int], Samples],
    ) -> None:
        """`audio(start, end)` gives samples of the recording's clock, as many as there are yet."""
        self._urls = [url.replace("http", "ws", 1).rstrip("/") + "/v1/stream" for url in urls]
        self._opening = opening
        self._audio = audio
        self._open: dict[int, _Open] = {}
        self._events: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._closing = False
        self._connection: ClientConnection | None = None

    # --- what the session says

    def begin(self, number: int, start: int) -> None:
        """Segment `number` begins at sample `start` of the recording."""
        self._open[number] = _Open(number, start)
        self._wake.set()

    def pause(self, number: int, end: int) -> None:
        """The segment will end at `end` unless speech goes on."""
        self._open[number].paused_at = end
        self._wake.set()

    def end(self, number: int, end: int) -> None:
        """Segment `number` ends before sample `end`."""
        self._open[number].end = end
        self._wake.set()

    def more_audio(self) -> None:
        """The audio source has grown."""
        if self._open:
            self._wake.set()

    def close(self) -> None:
        """No more segments come; `run` ends, and with it `events`, when every segment has its final."""
        self._closing = True
        self._wake.set()

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
        """Opens the session at the first engine that takes it. Raises EngineError or AtCapacity when none does."""
        error: EngineError | AtCapacity = EngineError("There is no engine in the settings.", code="engine_unavailable")
        for url in self._urls:
            try:
                self._connection, recognizer = await open_stream(url, self._opening)
            except (EngineError, AtCapacity) as refused:
                error = refused
            else:
                return recognizer
        raise error

    async def disconnect(self) -> None:
        """Lets go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def run(self) -> None:
        """Serves until closed and done; connects again whenever the engine is lost.

        Raises EngineError where trying again is of no use: an engine that came back does not know the language.
        """
        losses = 0
        try:
            while self._open or not self._closing:
                began = asyncio.get_running_loop().time()
                try:
                    if self._connection is None:
                        await self.connect()
                        self._events.put_nowait(EngineBack())
                    await self._converse()
                except (EngineError, AtCapacity) as error:
                    if not error.retryable:
                        raise
                    lasted_s = asyncio.get_running_loop().time() - began
                    losses = 0 if lasted_s > _STEADY_S else losses + 1
                    self._events.put_nowait(EngineAway(error.message))
                    _log.warning("engine lost", error=error.message, open_segments=len(self._open), losses=losses)
                    self._give_up_poison()
                    await asyncio.sleep(max(error.retry_after_s or 0.0, _BACKOFF_S[min(losses, len(_BACKOFF_S) - 1)]))
        finally:
            self._events.put_nowait(None)
            await self.disconnect()

    async def _converse(self) -> None:
        """Sends and receives on one connection until it is lost (EngineError) or all is done."""
        connection = self._connection
        assert connection is not None
        tasks = [asyncio.create_task(self._send(connection)), asyncio.create_task(self._receive(connection))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in reversed(tasks):
                if task.done():
                    task.result()
        except (ConnectionClosed, OSError) as error:
            raise EngineError(f"The engine was lost: {error}.", code="engine_unavailable") from error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.disconnect()

    def _give_up_poison(self) -> None:
        """A segment that was there each time an engine was lost may be what breaks it: it ends empty and suspect."""
        for segment in list(self._open.values()):
            if segment.attempts >= _MOST_ATTEMPTS and segment.end is not None:
                self._finish(segment, engine_wire.Final.nothing(segment.number))

    async def _send(self, connection: ClientConnection) -> None:
        """Sends what is to be sent, as it comes. The cursors hold for this connection only."""
        cursors: dict[int, _Cursor] = {}
        while self._open or not self._closing:
            self._wake.clear()
            for segment in list(self._open.values()):
                cursor = cursors.setdefault(segment.number, _Cursor(segment.start))
                if not cursor.ended:
                    await self._send_segment(connection, segment, cursor)
                if segment.end is None:
                    break
            await self._wake.wait()

    async def _send_segment(self, connection: ClientConnection, segment: _Open, cursor: _Cursor) -> None:
        number = segment.number
        if not cursor.begun:
            cursor.begun = True
            segment.attempts += 1
            await connection.send(engine_wire.Begin(segment=number).to_json())
        await self._send_audio(connection, segment, cursor)
        if segment.end is not None:
            cursor.ended = True
            await connection.send(engine_wire.End(segment=number, samples=segment.end - segment.start).to_json())
        elif segment.paused_at is not None and segment.paused_at != cursor.paused_at:
            cursor.paused_at = segment.paused_at
            samples = segment.paused_at - segment.start
            await connection.send(engine_wire.Pause(segment=number, samples=samples).to_json())

    async def _send_audio(self, connection: ClientConnection, segment: _Open, cursor: _Cursor) -> None:
        while True:
            until = cursor.position + _BLOCK
            if segment.end is not None:
                until = min(until, segment.end)
            if until <= cursor.position or not len(samples := self._audio(cursor.position, until)):
                return
            await connection.send(samples.astype("<i2", copy=False).tobytes())
            cursor.position += len(samples)

    async def _receive(self, connection: ClientConnection) -> None:
        async for text in connection:
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
