"""The client of the engines' batch lane: whole segments, many of them in flight, each with one final.

    ask(0) ask(1) … ──▶ sender ──▶ engine
      ▲      ▲                        │
      └──────┴──── receiver ◀─────────┘   in whatever order they are decoded

A segment's samples are held until its final is there. Where an engine is lost, the next one gets all that have none. A
segment may be what loses engines: so after a loss the segments that were in flight are sent one at a time. One that
loses engines even when it is alone is set aside; it ends empty and suspect once an engine has decoded another, which
shows that it is not the engines' fault.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from parley import engine_wire
from parley.audio import Samples
from parley.engine_connection import error_of, parse
from parley.engine_pool import EnginePool, OpenedStream
from parley.errors import AtCapacity, EngineError
from parley.logs import get_logger
from parley.tasks import background
from parley.transcript import Recognizer

IN_FLIGHT = 32
"""Segments that an engine has without a final: as many as it takes, and enough for good batches."""
_MOST_LOSSES_ALONE = 3
_MOST_BARREN = 6
"""Engines that were lost one after the other, and none gave a final: whoever asks waits elsewhere."""
_RETRY_S = (0.1, 0.3, 1.0, 2.0)
_log = get_logger(__name__)


@dataclass(slots=True, eq=False)
class _Piece:
    """A segment without a final. `losses` counts engines that were lost while it was the only one in flight."""

    number: int
    samples: Samples
    likely: str | None
    final: asyncio.Future[engine_wire.Final] = field(default_factory=asyncio.Future)
    doubted: bool = False
    losses: int = 0


class BatchLane:
    """One job's session. Use `batch_lane`, which opens and closes it."""

    def __init__(
        self, pool: EnginePool, opening: engine_wire.Open, *, silence_timeout_s: float, patience_s: float
    ) -> None:
        self._pool = pool
        self._opening = opening
        self._silence_timeout_s = silence_timeout_s
        self._patience_s = patience_s
        self._waiting: dict[int, _Piece] = {}
        self._in_flight: dict[int, _Piece] = {}
        self._aside: list[_Piece] = []
        self._moved = asyncio.Event()
        self._barren = 0  # engines that were lost without a final since the last one
        self._failure: Exception | None = None
        self.recognizer: Recognizer | None = None
        """Who writes: of the engine that was reached last."""

    def ask(self, number: int, samples: Samples, likely: str | None = None) -> asyncio.Future[engine_wire.Final]:
        """The final of segment `number`, int16 of shape (n,), to be awaited; word times are samples from its beginning.

        Each call has a higher number than the one before. `likely`: the language where what is heard is not certain. A
        segment that cannot be decoded ends empty and suspect. Awaiting raises EngineError or AtCapacity where no engine
        takes the session for too long, or none ever will.
        """
        piece = _Piece(number, samples, likely)
        if self._failure is not None:
            piece.final.set_exception(self._failure)
        else:
            self._waiting[number] = piece
            self._moved.set()
        return piece.final

    # --- the connection

    async def open(self) -> OpenedStream:
        """A session at an engine. Raises EngineError or AtCapacity."""
        stream = await self._pool.open(self._opening)
        self.recognizer = stream.recognizer
        return stream

    async def run(self, stream: OpenedStream) -> None:
        """Serves until cancelled, at this engine and, where it is lost, at others."""
        try:
            while True:
                try:
                    await self._converse(stream)
                except (EngineError, AtCapacity) as error:
                    self._barren += 1
                    if not error.retryable or self._barren > _MOST_BARREN:
                        raise
                    _log.warning("engine lost", error=error.message, in_flight=len(self._in_flight))
                self._begin_again()
                await asyncio.sleep(_RETRY_S[min(self._barren, len(_RETRY_S)) - 1])
                stream = await self._reopen()
        except Exception as error:  # noqa: BLE001 — the task's outer edge: whoever waits for a final learns it
            self._failure = error
            for piece in (*self._waiting.values(), *self._in_flight.values(), *self._aside):
                if not piece.final.done():
                    piece.final.set_exception(error)

    async def _reopen(self) -> OpenedStream:
        """Raises what the engines said last where none takes the session for `patience_s`."""
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while True:
            try:
                return await self.open()
            except (EngineError, AtCapacity) as error:
                pause_s = error.retry_after_s or _RETRY_S[-1]
                if not error.retryable or asyncio.get_running_loop().time() + pause_s > deadline:
                    raise
            await asyncio.sleep(pause_s)

    def _begin_again(self) -> None:
        """What was in flight waits again, unless it lost engines all by itself.

        Raises EngineError where that is all there is.
        """
        lost = dict(sorted(self._in_flight.items()))
        for piece in lost.values():
            piece.doubted = True
            piece.losses += len(lost) == 1
        self._aside += (piece for piece in lost.values() if piece.losses >= _MOST_LOSSES_ALONE)
        self._waiting = {number: piece for number, piece in lost.items() if piece not in self._aside} | self._waiting
        self._in_flight.clear()
        if self._aside and not self._waiting:
            raise EngineError(f"Engines are lost at segment {self._aside[0].number}.", code="engine_lost")

    async def _converse(self, stream: OpenedStream) -> None:
        """Sends and receives until the connection is lost, which raises EngineError or AtCapacity."""
        connection = stream.connection
        try:
            async with (
                background(self._send(connection)) as sending,
                background(self._receive(connection)) as receiving,
            ):
                await asyncio.wait((sending, receiving), return_when=asyncio.FIRST_COMPLETED)
        except (ConnectionClosed, OSError) as error:
            self._pool.doubt(stream.engine)
            raise EngineError("The connection to the engine was lost.", code="engine_unavailable") from error
        except (EngineError, AtCapacity):
            self._pool.doubt(stream.engine)
            raise
        finally:
            connection.transport.abort()  # one that hangs would not answer a close

    async def _send(self, connection: ClientConnection) -> None:
        while True:
            self._moved.clear()
            while (piece := self._next()) is not None:
                del self._waiting[piece.number]
                self._in_flight[piece.number] = piece
                await connection.send(engine_wire.Begin(segment=piece.number, likely=piece.likely).to_json())
                if len(piece.samples):
                    await connection.send(piece.samples.astype("<i2", copy=False).tobytes())
                await connection.send(engine_wire.End(segment=piece.number, samples=len(piece.samples)).to_json())
            await self._moved.wait()

    def _next(self) -> _Piece | None:
        """The segment to send now: one at a time where one of them may be what loses engines."""
        piece = next(iter(self._waiting.values()), None)
        if piece is None or len(self._in_flight) >= IN_FLIGHT:
            return None
        careful = piece.doubted or any(each.doubted for each in self._in_flight.values())
        return None if careful and self._in_flight else piece

    async def _receive(self, connection: ClientConnection) -> None:
        while True:
            try:
                async with asyncio.timeout(self._silence_timeout_s):
                    message = parse(await connection.recv())
            except TimeoutError:
                what = f"The engine has said nothing for {self._silence_timeout_s:g} s."
                raise EngineError(what, code="engine_unavailable") from None
            match message:
                case engine_wire.Final():
                    self._finish(message)
                case engine_wire.Error(segment=None):
                    raise error_of(message)
                case engine_wire.Error(segment=int(number)):
                    _log.error("segment not decoded", segment=number, code=message.code, error=message.message)
                    self._finish(engine_wire.Final.nothing(number))

    def _finish(self, final: engine_wire.Final) -> None:
        if (piece := self._in_flight.pop(final.segment, None)) is not None:
            _answer(piece, final)
            self._barren = 0
            while self._aside:
                poison = self._aside.pop()
                _log.error("segment not decoded: engines are lost at it", segment=poison.number)
                _answer(poison, engine_wire.Final.nothing(poison.number))
            self._moved.set()


def _answer(piece: _Piece, final: engine_wire.Final) -> None:
    if not piece.final.done():  # whoever waited may be gone
        piece.final.set_result(final)


@contextlib.asynccontextmanager
async def batch_lane(
    pool: EnginePool, opening: engine_wire.Open, *, silence_timeout_s: float, patience_s: float
) -> AsyncIterator[BatchLane]:
    """A session in the batch lane of the engine that the pool chooses, for as long as the block runs.

    An engine that says nothing for `silence_timeout_s` is lost; for `patience_s` another one is sought then. Raises
    EngineError or AtCapacity where none takes the session.
    """
    lane = BatchLane(pool, opening, silence_timeout_s=silence_timeout_s, patience_s=patience_s)
    stream = await lane.open()
    async with background(lane.run(stream)):
        yield lane
