"""Closes recordings whose client never came back: their last words are written, and they say that they were cut off.

Each gateway looks for them; the database gives each to one.
"""

import asyncio

from gateway.journal import Journal
from gateway.transcriber import Transcriber
from gateway.transcription import insist
from gateway.wiring import Gateway
from parley import wire
from parley.errors import BackendError, NotFound, ParleyError
from parley.logs import bound, get_logger
from parley.store import RecordingWriter, Superseded
from parley.store.upkeep import Upkeep
from parley.tasks import background, outcome_of
from parley.transcript import RecordingState, Segment

_LOOK_EVERY_S = 10.0
_TOUCH_EVERY_S = 10.0
_log = get_logger(__name__)


class Caretaker:
    """`run` in a task, for as long as the gateway lives."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._upkeep = Upkeep(gateway.pool)

    async def run(self) -> None:
        while True:
            try:
                while await self.close_one():
                    pass
            except BackendError as error:
                _log.warning("not looked for abandoned recordings", error=error.message)
            except Exception:  # noqa: BLE001 — the task's outer edge: one recording must not keep the others
                _log.exception("abandoned recording not closed")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def close_one(self) -> bool:
        """Closes the one that was abandoned first; False where there is none, or no engine to write its words."""
        if not any(engine.report for engine in self._gateway.engines.states()):
            return False
        abandoned = await self._upkeep.claim_abandoned(self._gateway.settings.abandoned_after_s)
        if abandoned is None:
            return False
        owner, recording_id = abandoned
        with bound(recording=recording_id):
            writer = await RecordingWriter.take_over(self._gateway.pool, owner, recording_id)
            error = await outcome_of(_Closing(self._gateway, writer).run())
            _log.info("abandoned recording closed" if error is None else "left to others", error=str(error or ""))
        return True


class _Closing:
    """One recording, from its last final to its end."""

    def __init__(self, gateway: Gateway, writer: RecordingWriter) -> None:
        self._gateway = gateway
        self._writer = writer
        journal = Journal(
            writer,
            blobs=gateway.blobs,
            part_s=gateway.settings.journal_part_s,
            on_durable=lambda _samples: None,
            on_trouble=self.on_trouble,
        )
        self._transcriber = Transcriber(gateway, writer, journal, self)

    async def run(self) -> None:
        """Raises Superseded where its client came back after all."""
        if not self._writer.samples:
            await self._writer.discard()
            await self._publish("deleted")
            return
        await self._transcriber.open(is_new=False)
        self._transcriber.finish()
        async with background(self._touch()):
            try:
                await self._transcriber.run()
            except ParleyError as error:
                if error.retryable or isinstance(error, Superseded | NotFound):
                    raise
                _log.error("its last words cannot be written", error=error.message, code=error.code)
        state: RecordingState = "finished" if self._writer.stopped else "interrupted"
        await insist(lambda: self._writer.finish(state), self)
        await self._publish("updated")

    async def _touch(self) -> None:
        while True:
            await asyncio.sleep(_TOUCH_EVERY_S)
            if await outcome_of(self._writer.touch()) is not None:
                return

    async def _publish(self, kind: str) -> None:
        await self._gateway.events.publish(self._writer.owner, kind, self._writer.recording_id)

    def on_text(self, message: wire.SpeechStart | wire.Partial) -> None:
        """Nobody reads along."""

    def on_final(self, segment: Segment) -> None:
        """Nobody reads along."""

    def on_trouble(self, error: ParleyError) -> None:
        _log.warning("closing held up", error=error.message)

    def on_recovery(self, code: str) -> None:
        pass
