"""A live session: audio in, durable and acknowledged; the speech in it to an engine; words back to the client.

    receive ─▶ decode ─▶ journal ─────────────▶ object storage, PostgreSQL ─▶ ack
                  └────▶ timeline ─▶ VAD ─▶ segmenter ─▶ engine ─▶ partials, finals ─▶ outbox ─▶ client

The session is a handful of small loops in one task group. It ends when the client stops, goes away, is silent for
too long or sends what can't be used; then the speech that was accepted still gets its finals. Where that cannot be,
the recording is marked as interrupted and keeps what is durable.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable, Sequence

from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.journal import Journal
from gateway.outbox import ClientStalled, Outbox
from gateway.segmenter import Segmenter, SegmentEvent, SegmentPaused, SegmentStarted
from gateway.timeline import Timeline
from gateway.watchdog import NoWords
from gateway.wiring import Gateway
from parley import engine_wire, metrics, wire
from parley.audio import SAMPLE_RATE, Samples, StreamDecoder
from parley.engine_client import EngineAway, EngineBack, EngineStream, PartialText
from parley.errors import BackendError, ClientError, EngineError, ParleyError
from parley.logs import bind, get_logger
from parley.transcript import RecordingState, Segment, samples_to_ms

_HEARTBEAT_S = 10
_STORE_RETRY_S = 0.5
_RESCUE_TIMEOUT_S = 5.0
_SLICE = SAMPLE_RATE // 2
"""Samples that go through the session at once: a message of many seconds must not run ahead of its own segments."""
_log = get_logger(__name__)


class LiveSession:
    """One recording while it is being made. `open`, then `run`."""

    def __init__(
        self,
        gateway: Gateway,
        websocket: WebSocket,
        owner: str,
        *,
        recording_id: str,
        decoder: StreamDecoder,
        timeline: Timeline,
        engine: EngineStream,
    ) -> None:
        self._settings = gateway.settings
        self._events = gateway.events
        self._websocket = websocket
        self._owner = owner
        self._recordings = gateway.recordings(owner)
        self._recording_id = recording_id
        self._decoder = decoder
        self._timeline = timeline
        self._segmenter = Segmenter(gateway.settings.segmenter)
        self._vad = gateway.detector.open(self._on_frames)
        self._engine = engine
        self._endpoint_at: dict[int, float] = {}
        self._finals: asyncio.Queue[Segment | None] = asyncio.Queue()
        self._progress = asyncio.Event()
        self._heard_at = time.monotonic()
        self._troubled: set[str] = set()
        self._no_words = NoWords(gateway.settings.no_words_after_s)
        self._outbox = Outbox(websocket.send_text, stalled_after_s=gateway.settings.stalled_client_timeout_s)
        self._journal = Journal(
            recording_id,
            blobs=gateway.blobs,
            recordings=self._recordings,
            part_s=gateway.settings.journal_part_s,
            on_durable=self._on_durable,
            on_trouble=self._on_trouble,
        )

    @classmethod
    async def open(cls, gateway: Gateway, websocket: WebSocket, start: wire.Start, owner: str) -> "LiveSession":
        """Finds an engine, makes the recording and answers `ready`. Raises ParleyError where that is not possible."""
        decoder, timeline = StreamDecoder(start.audio_format()), Timeline()
        opening = engine_wire.Open(
            session=websocket.state.request_id, language=start.language, task=start.task, vocabulary=start.vocabulary
        )
        silence_timeout_s = gateway.settings.engine_silence_timeout_s
        engine = EngineStream(gateway.engines, opening, timeline.slice, silence_timeout_s=silence_timeout_s)
        recognizer = await engine.connect()
        try:
            recording_id = await gateway.recordings(owner).create(title=start.title)
        except BaseException:
            await engine.disconnect()
            raise
        bind(recording=recording_id)
        session = cls(
            gateway, websocket, owner, recording_id=recording_id, decoder=decoder, timeline=timeline, engine=engine
        )
        ready = wire.Ready(
            recording_id=recording_id,
            resume_token=str(gateway.resume_tokens.dumps(recording_id)),
            next_sample=0,
            recognizer=wire.RecognizerInfo.of(recognizer),
        )
        session._outbox.post(ready)
        return session

    async def run(self) -> ParleyError | None:
        """The whole session; what ended it before its time, if anything did."""
        _log.info("session opened")
        closed = False
        with metrics.SESSIONS_OPEN.track_inprogress():
            try:
                async with asyncio.TaskGroup() as tasks:
                    error = await self._serve(tasks)
                    closed = True
            finally:
                if not closed:
                    await self._rescue()
        outcome = error.code if error else "stopped"
        metrics.SESSIONS.labels(outcome=outcome).inc()
        _log.info("session closed", outcome=outcome, samples=self._timeline.end)
        return error

    async def _serve(self, tasks: asyncio.TaskGroup) -> ParleyError | None:
        sending = tasks.create_task(self._send())
        engine = tasks.create_task(self._run_engine())
        journal = tasks.create_task(self._journal.run())
        relay = tasks.create_task(self._relay())
        storing = tasks.create_task(self._store_finals())
        idle = tasks.create_task(self._watch_idle())
        helpers = [journal, engine, relay, storing, idle, tasks.create_task(self._heartbeat())]
        await self._events.publish(self._owner, "created", self._recording_id)
        error = await self._receive_unless(sending, engine, idle)
        if error is None:
            helpers.append(tasks.create_task(self._refuse_late_audio()))
        else:
            self._post_error(error)
        error = await self._drain([relay, storing, journal], "interrupted" if error else "finished") or error
        self._outbox.close()
        await asyncio.wait([sending])
        for task in helpers:
            task.cancel()
        return error

    # --- audio in

    async def _receive_unless(self, *failing: asyncio.Task[ParleyError | None]) -> ParleyError | None:
        """Receives to the end, or until one of the `failing` tasks has an error: the session's end either way."""
        receiving = asyncio.create_task(self._receive())
        watched = {receiving, *failing}
        try:
            while True:
                done, watched = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                if receiving in done:
                    return receiving.result()
                for task in done:
                    if (error := task.result()) is not None:
                        return error
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    async def _receive(self) -> ParleyError | None:
        """Takes audio and messages until there are no more: None after `stop`, else what was wrong."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return ClientError("The connection was lost before stop.", code="client_gone")
            try:
                if (data := message.get("bytes")) is not None:
                    await self._on_audio(data)
                elif isinstance(command := await self._parse(message["text"]), wire.Stop):
                    return None
                elif not isinstance(command, wire.Ping):
                    continue
            except ClientError as error:
                return error
            self._heard_at = time.monotonic()

    async def _watch_idle(self) -> ParleyError:
        """Returns when the client has been silent for too long. Who is held back (`_has_room`) is not silent."""
        idle_s = self._settings.idle_timeout_s
        while True:
            left_s = self._heard_at + idle_s - time.monotonic()
            if left_s <= 0:
                return ClientError(
                    f"No audio came for {idle_s:g} s, so the recording was closed; ping keeps a silent session open.",
                    code="no_audio",
                )
            await asyncio.sleep(min(left_s, idle_s))

    async def _parse(self, text: str) -> wire.ClientMessage | None:
        """Obeys a text message and returns it; None where it was no use, which the client is told."""
        try:
            message = wire.parse_client_message(text)
            if isinstance(message, wire.Start):
                raise ClientError("The session was started already.", code="malformed_message")
        except ClientError as error:
            self._post_error(error)
            return None
        if isinstance(message, wire.Ping):
            self._outbox.post(wire.Pong())
        elif isinstance(message, wire.Finalize):
            await self._vad.settled()
            self._apply(self._segmenter.finalize(self._timeline.end))
        return message

    async def _on_audio(self, data: bytes) -> None:
        limit = self._settings.max_frame_bytes
        if len(data) > limit:
            raise ClientError(
                f"An audio message of {len(data)} bytes is over the limit of {limit}.", code="frame_too_large"
            )
        await self._take(self._decoder.feed(data))

    async def _take(self, samples: Samples) -> None:
        metrics.AUDIO_SECONDS.inc(len(samples) / SAMPLE_RATE)
        for start in range(0, len(samples), _SLICE):
            await self._take_slice(samples[start : start + _SLICE])

    async def _take_slice(self, samples: Samples) -> None:
        await self._has_room(len(samples))
        await self._journal.append(samples)
        self._timeline.append(samples)
        self._engine.more_audio()
        self._vad.feed(samples)

    async def _has_room(self, samples: int) -> None:
        """Waits until neither the detector nor the engine is far behind."""
        self._heard_at = math.inf
        await self._vad.settled(all_but=_SLICE - samples)
        await self._wait_for_engine()

    def _on_frames(self, probabilities: Sequence[float]) -> None:
        self._apply(self._segmenter.feed(probabilities))
        needed, earliest = self._engine.earliest_needed, self._segmenter.earliest_needed
        self._timeline.forget_before(earliest if needed is None else min(earliest, needed))

    async def _wait_for_engine(self) -> None:
        """Holds the client back while very much audio waits for the engine, so that memory stays bounded."""
        limit = int(self._settings.max_backlog_s * SAMPLE_RATE)
        while (needed := self._engine.earliest_needed) is not None and self._timeline.end - needed > limit:
            self._progress.clear()
            await self._progress.wait()

    def _apply(self, events: list[SegmentEvent]) -> None:
        for event in events:
            if isinstance(event, SegmentStarted):
                self._engine.begin(event.number, event.start)
                self._outbox.post(wire.SpeechStart(segment=event.number, start_ms=samples_to_ms(event.start)))
                continue
            end = min(event.end, self._timeline.end)
            if isinstance(event, SegmentPaused):
                self._engine.pause(event.number, end)
            else:
                self._endpoint_at[event.number] = time.monotonic()
                self._engine.end(event.number, end)
                metrics.SEGMENTS.labels(reason=event.reason).inc()

    async def _refuse_late_audio(self) -> None:
        """After `stop`: reads on, so that the client's close is seen, and says once that audio came too late."""
        told = False
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            if message.get("bytes") is not None and not told:
                told = True
                self._post_error(ClientError("Audio came after stop; it was not recorded.", code="audio_after_stop"))

    # --- words out

    async def _send(self) -> ParleyError | None:
        """Empties the outbox until it is closed; ClientStalled where the client does not read."""
        try:
            await self._outbox.run()
        except ClientStalled as error:
            return error
        except (WebSocketDisconnect, RuntimeError, OSError):
            _log.info("client gone")
        finally:
            self._outbox.abandon()
        return None

    async def _run_engine(self) -> ParleyError | None:
        """Serves the engine until it is done; an error where no engine will ever serve this session again."""
        try:
            await self._engine.run()
        except EngineError as error:
            return error
        return None

    async def _relay(self) -> None:
        """Passes on what the engine says: partials at once, finals to be stored first."""
        async for event in self._engine.events():
            match event:
                case PartialText():
                    self._on_partial(event)
                case Segment():
                    self._finals.put_nowait(event)
                case EngineAway(reason):
                    message = f"The text is delayed; the audio is kept. {reason}"
                    self._on_trouble(EngineError(message, code="engine_unavailable"))
                case EngineBack():
                    self._troubled.discard("engine_unavailable")
        self._finals.put_nowait(None)

    async def _store_finals(self) -> None:
        """A final is in PostgreSQL before the client sees it (invariant 4)."""
        while (segment := await self._finals.get()) is not None:
            await self._store_final(segment)

    async def _store_final(self, segment: Segment) -> None:
        """A final is never beyond the durable audio, so whoever resumes needs no more than that (invariant 3)."""
        await self._journal.until_durable(segment.end)
        await self._stored(lambda: self._recordings.add_segment(self._recording_id, segment))
        self._outbox.post(wire.Final.of(segment))
        if self._no_words.heard(segment):
            self._tell_of_no_words()
        metrics.FINAL_LATENCY_S.observe(time.monotonic() - self._endpoint_at.pop(segment.number))
        self._progress.set()

    def _on_partial(self, partial: PartialText) -> None:
        lag = max(0, self._timeline.end - partial.covered_until)
        metrics.PARTIAL_LAG_S.observe(lag / SAMPLE_RATE)
        self._outbox.post(
            wire.Partial(
                segment=partial.segment,
                revision=partial.revision,
                start_ms=samples_to_ms(partial.start),
                committed=partial.committed,
                tentative=partial.tentative,
                lag_ms=samples_to_ms(lag),
            )
        )

    def _on_durable(self, samples: int) -> None:
        self._troubled.discard("storage_unavailable")
        self._progress.set()
        self._outbox.post(wire.Ack(samples=samples))

    def _on_trouble(self, error: ParleyError) -> None:
        """Tells the client of a part that is away, once for each time that it goes."""
        if error.code not in self._troubled:
            self._troubled.add(error.code)
            self._post_error(error)

    def _tell_of_no_words(self) -> None:
        message = (
            f"In the last {self._settings.no_words_after_s:g} s of speech no word was recognised."
            " Check the language and the microphone; noise and music bring no words either."
        )
        _log.warning("speech but no words")
        self._post_error(EngineError(message, code="no_words", retryable=False))

    def _post_error(self, error: ParleyError) -> None:
        metrics.ERRORS.labels(code=error.code).inc()
        self._outbox.post(wire.Error.of(error))

    # --- the end

    async def _drain(self, under_way: list[asyncio.Task[None]], state: RecordingState) -> ParleyError | None:
        """Finishes what is under way, closes the recording in `state` and says `closed`; or says what is missing."""
        limit_s = self._settings.drain_timeout_s
        await self._end_of_audio()
        waiting = set(under_way)
        while waiting:
            self._progress.clear()
            progress = asyncio.create_task(self._progress.wait())
            done, _ = await asyncio.wait({*waiting, progress}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            progress.cancel()
            waiting -= done
            if not done:
                await self._rescue()
                error = EngineError(
                    f"The last words were not written down: nothing came for {limit_s:g} s."
                    f" The audio up to {samples_to_ms(self._journal.durable)} ms is kept.",
                    code="drain_timeout",
                )
                self._post_error(error)
                return error
        await self._close_recording(state)
        duration_ms = samples_to_ms(self._journal.durable)
        self._outbox.post(wire.Closed(recording_id=self._recording_id, duration_ms=duration_ms))
        return None

    async def _end_of_audio(self) -> None:
        await self._take(self._decoder.flush())
        self._vad.pad()
        await self._vad.settled()
        self._apply(self._segmenter.finalize(self._timeline.end, "stop"))
        self._engine.close()
        await self._journal.close()

    async def _close_recording(self, state: RecordingState) -> None:
        """Marks the recording's end; one that never had a sample is not kept."""
        if self._journal.durable:
            await self._stored(lambda: self._recordings.finish(self._recording_id, state))
            await self._events.publish(self._owner, "updated", self._recording_id)
        else:
            await self._stored(lambda: self._recordings.delete(self._recording_id))
            await self._events.publish(self._owner, "deleted", self._recording_id)

    async def _rescue(self) -> None:
        """Where a session could not end as it should, its recording is at least marked as interrupted."""
        with contextlib.suppress(TimeoutError, BackendError):
            async with asyncio.timeout(_RESCUE_TIMEOUT_S):
                await self._recordings.finish(self._recording_id, "interrupted")
                await self._events.publish(self._owner, "updated", self._recording_id)

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            await self._stored(lambda: self._recordings.touch(self._recording_id))

    async def _stored(self, write: Callable[[], Awaitable[None]]) -> None:
        """Writes to PostgreSQL, again and again while it is away: nothing that was accepted is given up."""
        while True:
            try:
                await write()
            except BackendError as error:
                _log.warning("not stored yet", error=error.message)
                self._on_trouble(error)
                await asyncio.sleep(_STORE_RETRY_S)
            else:
                self._troubled.discard("database_unavailable")
                return
