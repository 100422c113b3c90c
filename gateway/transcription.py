"""A recording's audio, from a checkpoint on, turned into stored finals.

    feed ─▶ timeline ─▶ VAD ─▶ segmenter ─▶ engine ─▶ partials ──────────────▶ listener
                                                └───▶ finals ─▶ PostgreSQL ──▶ listener

What it makes is a function of the audio and the checkpoint, so it can be given up at any moment and begun again from
the last final by whoever comes next (invariant 3).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import uuid4

from gateway.wiring import Gateway
from parley import engine_wire, metrics, wire
from parley.audio import SAMPLE_RATE, Samples
from parley.engine_client import EngineAway, EngineBack, EngineStream, PartialText
from parley.errors import BackendError, EngineError, ParleyError
from parley.logs import get_logger
from parley.segmenter import Checkpoint, SegmentEnded, Segmenter, SegmentEvent, SegmentPaused, SegmentStarted
from parley.store import RecordingWriter
from parley.timeline import Timeline
from parley.transcript import Recognizer, Segment, samples_to_ms

STORE_RETRY_S = 0.5
SLICE = SAMPLE_RATE // 2
"""Samples that are taken at once: a message of many seconds must not run ahead of its own segments."""
_log = get_logger(__name__)


class Listener(Protocol):
    """Who is told what becomes of the audio."""

    def on_text(self, message: wire.SpeechStart | wire.Partial) -> None: ...

    def on_final(self, segment: Segment) -> None:
        """It is stored."""

    def on_recognizer(self, recognizer: Recognizer) -> None:
        """It writes from now on."""

    def on_trouble(self, error: ParleyError) -> None:
        """A part is away; may be said again and again."""

    def on_recovery(self, code: str) -> None:
        """What `on_trouble` was told of with this code is over."""


async def insist(write: Callable[[], Awaitable[None]], listener: Listener) -> None:
    """Writes to PostgreSQL, again and again while it is away: nothing that was accepted is given up."""
    while True:
        try:
            await write()
        except BackendError as error:
            _log.warning("not stored yet", error=error.message)
            listener.on_trouble(error)
            await asyncio.sleep(STORE_RETRY_S)
        else:
            return listener.on_recovery("database_unavailable")


def engine_away(reason: str) -> EngineError:
    """What a client is told while no engine serves its recording."""
    return EngineError(f"The text is delayed; the audio is kept. {reason}", code="engine_unavailable")


class Transcription:
    """One stretch of work on one recording. `run` must be running while it is fed."""

    def __init__(
        self,
        gateway: Gateway,
        writer: RecordingWriter,
        checkpoint: Checkpoint,
        listener: Listener,
        until_durable: Callable[[int], Awaitable[None]],
    ) -> None:
        """`until_durable` waits until all audio before a sample is durable: a final is never beyond."""
        settings = gateway.settings
        self._writer = writer
        self._listener = listener
        self._until_durable = until_durable
        self._max_backlog = int(settings.max_backlog_s * SAMPLE_RATE)
        self._heard_from = checkpoint.position
        self._timeline = Timeline(checkpoint.audio_from(settings.segmenter))
        self._segmenter = Segmenter(settings.segmenter, checkpoint)
        self._vad = gateway.detector.open(self._on_frames)
        self._engine = EngineStream(
            gateway.engines,
            _opening(writer.options),
            self._timeline.slice,
            silence_timeout_s=settings.engine_silence_timeout_s,
        )
        self._ended: dict[int, tuple[Checkpoint, float]] = {}
        self._finals: asyncio.Queue[Segment | None] = asyncio.Queue()
        self._untold = 0
        self._moved = asyncio.Event()
        self.progress = 0
        """Grows whenever something was achieved."""

    async def connect(self) -> Recognizer:
        """Opens the way to an engine, which `run` does by itself too. Raises EngineError or AtCapacity."""
        return await self._engine.connect()

    async def disconnect(self) -> None:
        """Lets go of the engine; for a transcription that is not run."""
        await self._engine.disconnect()

    @property
    def end(self) -> int:
        """The sample from which it wants to be fed."""
        return self._timeline.end

    @property
    def is_stranded(self) -> bool:
        """So much audio waits for an engine, and none is there, that it is not worth its memory."""
        return self._engine.is_away and self._backlog > self._max_backlog

    @property
    def _backlog(self) -> int:
        needed = self._engine.earliest_needed
        return 0 if needed is None else self._timeline.end - needed

    # --- audio in

    async def feed(self, samples: Samples) -> None:
        """Takes the next samples, shape (n,), int16. Waits while the detector or an engine is far behind.

        It does not wait for an engine that is not there: look at `is_stranded`.
        """
        for start in range(0, len(samples), SLICE):
            piece = samples[start : start + SLICE]
            await self._vad.settled(all_but=SLICE - len(piece))
            while self._backlog > self._max_backlog and not self._engine.is_away:
                await self._until_moved()
            self._take(piece)

    async def until_told(self) -> None:
        """Waits until every final that came is stored and told."""
        while self._untold:
            await self._until_moved()

    async def until_rescued(self) -> None:
        """Waits while it is stranded: for whoever has the audio at hand and may wait."""
        while self.is_stranded:
            await self._until_moved()

    async def _until_moved(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    def _take(self, samples: Samples) -> None:
        unheard = max(0, self._heard_from - self._timeline.end)
        self._timeline.append(samples)
        self._engine.more_audio()
        if unheard < len(samples):
            self._vad.feed(samples[unheard:])

    async def finalize(self) -> None:
        """Ends the open segment at the end of what was fed."""
        await self._vad.settled()
        self._apply(self._segmenter.finalize(self._timeline.end))

    async def finish(self) -> None:
        """No more audio comes: the open segment ends. `run` ends when every final is stored."""
        await self._vad.settled()  # a segment that ends meanwhile would take the padding with it
        self._vad.pad()
        await self._vad.settled()
        self._apply(self._segmenter.finalize(self._timeline.end, "stop"))
        self._engine.close()

    def leave(self) -> None:
        """Whoever goes on with the recording has the open segment; `run` ends when the others' finals are stored."""
        self._engine.abandon_open()
        self._engine.close()

    def _on_frames(self, probabilities: Sequence[float]) -> None:
        self._apply(self._segmenter.feed(probabilities))
        needed, earliest = self._engine.earliest_needed, self._segmenter.earliest_needed
        self._timeline.forget_before(earliest if needed is None else min(earliest, needed))

    def _apply(self, events: Sequence[SegmentEvent]) -> None:
        for event in events:
            match event:
                case SegmentStarted(number, start):
                    self._engine.begin(number, start)
                    self._listener.on_text(wire.SpeechStart(segment=number, start_ms=samples_to_ms(start)))
                case SegmentPaused(number, end):
                    self._engine.pause(number, min(end, self._timeline.end))
                case SegmentEnded():
                    self._end_segment(event)

    def _end_segment(self, ended: SegmentEnded) -> None:
        checkpoint = ended.checkpoint.within(self._timeline.end)
        self._ended[ended.number] = checkpoint, time.monotonic()
        self._engine.end(ended.number, checkpoint.last_end)
        metrics.SEGMENTS.labels(reason=ended.reason).inc()
        self._vad.restart(self._timeline.slice(checkpoint.position, self._timeline.end))

    # --- words out

    async def run(self) -> None:
        """Serves until `finish` or `leave`, and until every final is stored.

        Raises EngineError where no engine will ever serve this recording, Superseded where another session has it,
        NotFound where it was deleted.
        """
        tasks = [asyncio.create_task(work) for work in (self._engine.run(), self._relay(), self._store_finals())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _relay(self) -> None:
        """Passes on what the engine says: partials at once, finals to be stored first."""
        async for event in self._engine.events():
            match event:
                case PartialText():
                    self._on_partial(event)
                case Segment():
                    self._untold += 1
                    self._finals.put_nowait(event)
                case EngineAway(reason):
                    self._listener.on_trouble(engine_away(reason))
                    self._move()
                case EngineBack(recognizer):
                    self._listener.on_recognizer(recognizer)
                    self._listener.on_recovery("engine_unavailable")
                    self._move()
        self._finals.put_nowait(None)

    async def _store_finals(self) -> None:
        """A final is in PostgreSQL before the client sees it (invariant 4)."""
        while (segment := await self._finals.get()) is not None:
            await self._store_final(segment)

    async def _store_final(self, segment: Segment) -> None:
        """A final is never beyond the durable audio, so whoever resumes needs no more than that (invariant 3)."""
        checkpoint, ended_at = self._ended.pop(segment.number)
        await self._until_durable(max(segment.end, checkpoint.position))

        async def store() -> None:
            await self._writer.add_segment(segment, resume_at=checkpoint.position, continues=checkpoint.continues)

        await insist(store, self._listener)
        metrics.FINAL_LATENCY_S.observe(time.monotonic() - ended_at)
        self._listener.on_final(segment)
        self._untold -= 1
        self._move()

    def _on_partial(self, partial: PartialText) -> None:
        lag = max(0, self._timeline.end - partial.covered_until)
        metrics.PARTIAL_LAG_S.observe(lag / SAMPLE_RATE)
        self._listener.on_text(
            wire.Partial(
                segment=partial.segment,
                revision=partial.revision,
                start_ms=samples_to_ms(partial.start),
                committed=partial.committed,
                tentative=partial.tentative,
                lag_ms=samples_to_ms(lag),
            )
        )

    def _move(self) -> None:
        self.progress += 1
        self._moved.set()


def _opening(options: Mapping[str, Any]) -> engine_wire.Open:
    """What the engine is told, from a recording's `options`."""
    return engine_wire.Open(session=uuid4().hex[:16], **options)
