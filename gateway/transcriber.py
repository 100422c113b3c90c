"""Keeps the transcription of one recording going, whatever happens to engines: at first behind the durable audio, then
with what comes, and from the last final again where too much had to wait.

    journal ──▶ catch up ──▶ live ──▶ finish (every final) or leave (the open segment is another's)
                    ▲          │ stranded: no engine for minutes; memory is given back
                    └──────────┘ when an engine is back
"""

import asyncio
from typing import Literal

from gateway.journal import Journal
from gateway.replay import replay
from gateway.transcription import Listener, Transcription, engine_away, insist
from gateway.wiring import Gateway
from parley.audio import Samples
from parley.errors import AtCapacity, EngineError
from parley.logs import get_logger
from parley.segmenter import Checkpoint
from parley.store import RecordingWriter
from parley.tasks import background
from parley.transcript import Recognizer

_ENGINE_RETRY_S = 2.0
_log = get_logger(__name__)


class Transcriber:
    """One recording's, for as long as this process has it. `open`, then `run` in a task."""

    def __init__(self, gateway: Gateway, writer: RecordingWriter, journal: Journal, listener: Listener) -> None:
        """`journal` says what is durable, and holds what is not yet."""
        self._gateway = gateway
        self._writer = writer
        self._journal = journal
        self._listener = listener
        self._transcription = self._from(Checkpoint())
        self._live: Transcription | None = None
        self._stranded = asyncio.Event()
        self._over: asyncio.Future[Literal["finish", "leave"]] = asyncio.get_running_loop().create_future()
        self._finalized: set[int] = set()
        self._progress = 0

    @property
    def progress(self) -> int:
        """Grows whenever something was achieved."""
        return self._progress + self._transcription.progress + self._transcription.end

    def _from(self, checkpoint: Checkpoint) -> Transcription:
        return Transcription(self._gateway, self._writer, checkpoint, self._listener, self._journal.until_durable)

    async def open(self, *, is_new: bool) -> Recognizer | None:
        """Finds the place to go on and an engine; None where none is at hand now.

        Raises AtCapacity for a new recording where the engines are full, and EngineError where none can ever serve it.
        """
        if not is_new:
            self._transcription = self._from(Checkpoint.after(await self._writer.last_final()))
        try:
            return await self._transcription.connect()
        except (EngineError, AtCapacity) as error:
            if not error.retryable or (is_new and isinstance(error, AtCapacity)):
                raise
            _log.warning("opened without an engine", error=error.message)
            return None

    async def disconnect(self) -> None:
        """For one that is not run."""
        await self._transcription.disconnect()

    # --- what the session says

    async def feed(self, samples: Samples) -> None:
        """Takes what the journal was given last. Waits while the detector or the engine is far behind."""
        live = self._live
        if live is None:
            return
        known = live.end - (self._journal.end - len(samples))
        await live.feed(samples[known:] if known > 0 else samples)
        if live.is_stranded:
            self._live = None
            self._stranded.set()

    async def finalize(self) -> None:
        """Ends the open segment where the audio ends now."""
        self._finalized.add(self._journal.end)
        await self._journal.end_segment()
        if self._live is not None:
            await self._live.finalize()

    def finish(self) -> None:
        """No more audio comes. `run` ends when all of it has its finals."""
        self._end("finish")

    def leave(self) -> None:
        """Others go on with the recording. `run` ends when the segments that ended have their finals."""
        self._end("leave")

    def _end(self, how: Literal["finish", "leave"]) -> None:
        if not self._over.done():
            self._over.set_result(how)

    # --- the task

    async def run(self) -> None:
        """Raises EngineError where no engine will ever serve this recording, Superseded, NotFound."""
        while not await self._work(self._transcription):
            _log.warning("stranded", at=self._transcription.end)
            await self._begin_again()

    async def _work(self, transcription: Transcription) -> bool:
        """False where it was stranded."""
        self._stranded.clear()
        running = asyncio.create_task(transcription.run())
        driving = asyncio.create_task(self._drive(transcription))
        stranded = asyncio.create_task(self._stranded.wait())
        try:
            while not running.done():
                under_way = [task for task in (running, driving, stranded) if not task.done()]
                await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
                if driving.done():
                    driving.result()
                if stranded.done():
                    async with background(transcription.until_told()) as told:
                        await asyncio.wait((told, running), return_when=asyncio.FIRST_COMPLETED)
                    return False
            running.result()
            return True
        finally:
            self._live = None
            for task in (running, driving, stranded):
                task.cancel()
            await asyncio.gather(running, driving, stranded, return_exceptions=True)

    async def _drive(self, transcription: Transcription) -> None:
        async with (
            background(self._catch_up(transcription)) as catching_up,
            background(self._wants_to_leave()) as leaving,
        ):
            await asyncio.wait((catching_up, leaving), return_when=asyncio.FIRST_COMPLETED)
        how = await asyncio.shield(self._over)
        self._live = None
        if how == "finish":
            await transcription.finish()
        else:
            transcription.leave()

    async def _wants_to_leave(self) -> None:
        if await asyncio.shield(self._over) != "leave":
            await asyncio.Future()

    async def _catch_up(self, transcription: Transcription) -> None:
        """Feeds what there is already; from then on it is fed as it comes."""
        while True:
            if transcription.end in self._finalized:  # first: a replay from here on does not look back
                self._finalized.discard(transcription.end)
                await transcription.finalize()
                continue
            if transcription.end < self._journal.durable:
                await replay(self._gateway, self._writer, transcription, self._journal.durable, self._listener)
                continue
            samples, ends_segment = self._journal.tail(transcription.end)
            if not len(samples):
                self._live = transcription  # nothing was awaited since it had the last sample
                return
            await transcription.until_rescued()
            await transcription.feed(samples)
            if ends_segment:  # also where a transcription before this one had come so far
                self._finalized.add(transcription.end)

    async def _begin_again(self) -> None:
        """From the last final, as soon as there is an engine."""
        self._progress += self._transcription.progress + 1
        while True:
            await insist(self._find_place, self._listener)
            try:
                self._listener.on_recognizer(await self._transcription.connect())
            except (EngineError, AtCapacity) as error:
                if not error.retryable:
                    raise
                self._listener.on_trouble(engine_away(error.message))
                await asyncio.sleep(error.retry_after_s or _ENGINE_RETRY_S)
            else:
                return self._listener.on_recovery("engine_unavailable")

    async def _find_place(self) -> None:
        self._transcription = self._from(Checkpoint.after(await self._writer.last_final()))
