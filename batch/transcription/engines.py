"""Finals from the engines' batch lane."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from functools import partial
from typing import Any
from uuid import uuid4

from batch.transcription.language import LikelyLanguage
from batch.transcription.speech import Piece
from batch.transcription.transcriber import Final, Order, Quality
from parley import engine_wire
from parley.audio import SAMPLE_RATE
from parley.engine_batch import IN_FLIGHT, BatchLane, batch_lane
from parley.engine_pool import EnginePool
from parley.errors import ClientError, EngineError
from parley.settings import Settings
from parley.tasks import background, in_order
from parley.transcript import Recognizer, Segment

_AT_ONCE = 2 * IN_FLIGHT
"""Finals that wait for one before them, which is heard again, must not keep the engine waiting."""
_PATIENCE_S = 30.0
"""For which another engine is sought where one is lost: as long as one takes to start. Then the job is delayed."""


class Engines:
    """The engines of each quality; in most installations they are the same."""

    def __init__(self, pools: Mapping[Quality, EnginePool], *, silence_timeout_s: float) -> None:
        self._pools = pools
        self._silence_timeout_s = silence_timeout_s

    def label(self, quality: Quality) -> str:
        return f"engines:{quality}" if self._pools["fast"] is not self._pools["accurate"] else "engines"

    async def check(self, quality: Quality) -> None:
        pool = self._pools[quality]
        await pool.first_look()
        states = pool.states()
        if not any(state.report for state in states):
            raise EngineError(" ".join(dict.fromkeys(state.reason for state in states)), code="engine_unavailable")

    def run(self, order: Order) -> "EngineRun":
        return EngineRun(self._pools[order.quality], order, self._silence_timeout_s)


@contextlib.asynccontextmanager
async def open_engines(settings: Settings) -> AsyncIterator[Engines]:
    """The engines that the settings name, looked after for as long as the block runs."""
    named = settings.transcription.accurate_engine_urls or settings.gateway.engine_urls
    accurate = fast = EnginePool(named)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(background(accurate.run()))
        if settings.transcription.fast_engine_urls:
            fast = EnginePool(settings.transcription.fast_engine_urls)
            await stack.enter_async_context(background(fast.run()))
        pools: dict[Quality, EnginePool] = {"accurate": accurate, "fast": fast}
        yield Engines(pools, silence_timeout_s=settings.gateway.engine_silence_timeout_s)


class EngineRun:
    """One attempt at one recording."""

    def __init__(self, pool: EnginePool, order: Order, silence_timeout_s: float) -> None:
        self._pool = pool
        self._order = order
        self._silence_timeout_s = silence_timeout_s
        self._likely = LikelyLanguage(order.options.language, order.first)
        self._turn = asyncio.Lock()  # who waits for it gets it in order
        self._recognizer: Recognizer | None = None
        self._samples = 0

    @property
    def writer(self) -> Mapping[str, Any]:
        found = self._recognizer
        if found is None:
            return {}
        told = {"recognizer": found.name, "model": found.model, "device": found.device}
        return told | ({"fallback": found.reason} if found.fallback else {})

    @property
    def usage(self) -> Mapping[str, Any]:
        model = self._recognizer.model if self._recognizer else None
        return {"provider": "engine", "model": model, "audio_s": round(self._samples / SAMPLE_RATE, 3)}

    async def finals(self, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Final, None]:
        options = self._order.options
        opening = engine_wire.Open(
            session=uuid4().hex[:16], lane="batch", language=options.language, vocabulary=options.vocabulary
        )
        try:
            async with (
                batch_lane(
                    self._pool, opening, silence_timeout_s=self._silence_timeout_s, patience_s=_PATIENCE_S
                ) as lane,
                contextlib.aclosing(in_order(pieces, partial(self._final, lane), at_once=_AT_ONCE)) as finals,
            ):
                async for final in finals:
                    self._recognizer = lane.recognizer
                    yield final
            if self._recognizer is not None:
                await self._order.purse.book("engine", self._recognizer.model, self._samples / SAMPLE_RATE)
        except EngineError as error:
            if error.retryable:
                raise
            raise ClientError(error.message, code=error.code) from error  # no engine ever will

    async def _final(self, lane: BatchLane, piece: Piece) -> Final:
        async with self._turn:
            answer = lane.ask(piece.number, piece.samples, self._likely.language)
            if not self._likely.settled:
                self._likely.heard(_segment(piece, await answer))
        segment = _segment(piece, await answer)
        self._samples += len(piece.samples)
        return Final(segment, piece.checkpoint)


def _segment(piece: Piece, final: engine_wire.Final) -> Segment:
    return Segment(
        number=piece.number,
        start=piece.start,
        end=piece.end,
        words=tuple(word.shifted(piece.start) for word in final.words),
        language=final.language,
        confidence=final.confidence,
        suspect=final.suspect,
    )
