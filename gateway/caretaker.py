"""Closes recordings whose client never came back: their last words are written, and they say that they were cut off.

Each gateway looks for them; the database gives each to one.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from gateway.follow_up import finish
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
from parley.transcript import Recognizer, RecordingState, Segment

_LOOK_EVERY_S = 10.0
_STEADY_S = 30.0
"""Seconds for which PostgreSQL must have answered without a break: while it was away, or this machine slept, no session
could give a sign of life, and all look abandoned."""
_TOUCH_EVERY_S = 10.0
_PATIENCE_S = 300.0
"""Seconds for one recording to get no further in: as long as a long window on a slow engine that others use too."""
_AT_ONCE = 4
"""Recordings that one gateway closes at the same time: a crowd that was cut off is written down in minutes, and who
speaks is not held up."""
_log = get_logger(__name__)


class Caretaker:
    """`run` in a task, for as long as the gateway lives."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._upkeep = Upkeep(gateway.pool)
        self._steady = Steady(gap_s=2 * _LOOK_EVERY_S)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._for_ever(self._look))
            for _ in range(_AT_ONCE):
                tasks.create_task(self._for_ever(self._close_waiting))

    async def _for_ever(self, work: Callable[[], Awaitable[None]]) -> None:
        """Again and again: what one recording comes to must keep neither the others nor the other tasks."""
        while True:
            try:
                await work()
            except BackendError as error:
                self._steady.broke()
                _log.warning("not looked for abandoned recordings", error=error.message)
            except Exception:  # noqa: BLE001 — the outer edge
                _log.exception("abandoned recordings not looked after")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self) -> None:
        """Removes what has been empty for long; and with that sees that PostgreSQL answers."""
        await self._upkeep.discard_empty(self._gateway.settings.resume_token_max_age_s)
        self._steady.lasted_s(time.time())

    async def _close_waiting(self) -> None:
        """Closes one after the other, until there is none."""
        while self._steady.lasted_s(time.time()) >= _STEADY_S and await self.close_one():
            pass

    async def close_one(self) -> bool:
        """Closes the one that was abandoned first; False where there is none, or no engine to write its words."""
        if not any(engine.report for engine in self._gateway.engines.states()):
            return False
        writer = await self._upkeep.claim_abandoned(self._gateway.settings.abandoned_after_s)
        if writer is None:
            return False
        with bound(recording=writer.recording_id):
            error = await outcome_of(_Closing(self._gateway, writer).run())
            _log.info("abandoned recording closed" if error is None else "left to others", error=str(error or ""))
        return True


class Steady:
    """How long something has gone well. Pure: times are seconds by the clock on the wall, which goes on while a machine
    sleeps."""

    def __init__(self, *, gap_s: float) -> None:
        """Who is not asked for so long does not know."""
        self._gap_s = gap_s
        self._since: float | None = None
        self._last = 0.0

    def broke(self) -> None:
        self._since = None

    def lasted_s(self, now: float) -> float:
        """It goes well now: for so many seconds already."""
        if self._since is None or not 0 <= now - self._last <= self._gap_s:
            self._since = now
        self._last = now
        return now - self._since


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
        if not self._writer.samples:  # its client may hold all of it, and come back
            await self._writer.finish("interrupted")
            return
        async with background(outcome_of(self._touch())):
            try:
                await self._write_words()
            except ParleyError as error:
                if error.retryable or isinstance(error, Superseded | NotFound):
                    raise
                _log.error("its last words cannot be written", error=error.message, code=error.code)
        state: RecordingState = "finished" if self._writer.stopped else "interrupted"
        await insist(lambda: finish(self._gateway, self._writer, state), self)
        await self._publish("updated")

    async def _write_words(self) -> None:
        """Raises BackendError where it gets no further: another attempt is made later, behind the others' turn."""
        await self._transcriber.open(is_new=False)
        self._transcriber.finish()
        async with background(self._transcriber.run()) as writing:
            progress = -1
            while not writing.done():
                if self._transcriber.progress == progress:
                    message = f"Its words got no further for {_PATIENCE_S:g} s."
                    raise BackendError(message, code="closing_stuck")
                progress = self._transcriber.progress
                await asyncio.wait([writing], timeout=_PATIENCE_S)
            writing.result()

    async def _touch(self) -> None:
        while True:
            await asyncio.sleep(_TOUCH_EVERY_S)
            await insist(self._writer.touch, self)

    async def _publish(self, kind: str) -> None:
        await self._gateway.events.publish(self._writer.owner, kind, self._writer.recording_id)

    def on_text(self, message: wire.SpeechStart | wire.Partial) -> None:
        """Nobody reads along."""

    def on_final(self, segment: Segment) -> None:
        """Nobody reads along."""

    def on_recognizer(self, recognizer: Recognizer) -> None:
        """Nobody reads along."""

    def on_trouble(self, error: ParleyError) -> None:
        _log.warning("closing held up", error=error.message)

    def on_recovery(self, code: str) -> None:
        pass
