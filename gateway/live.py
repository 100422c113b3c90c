"""A live session: audio in, durable and acknowledged; the speech in it to an engine; words back to the client.

    receive ─▶ decode ─▶ journal ─────────────▶ object storage, PostgreSQL ─▶ ack
                  └────▶ timeline ─▶ VAD ─▶ segmenter ─▶ engine ─▶ partials, finals ─▶ outbox ─▶ client

The session is a handful of small loops in one task group. It ends when the client stops, goes away, is silent for
too long or sends what can't be used; however it ends, the speech that was accepted gets its finals and is kept.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from uuid import uuid4

from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.admission import check_origin, owner_of
from gateway.failures import close_code
from gateway.journal import Journal
from gateway.outbox import ClientStalled, Outbox
from gateway.segmenter import Segmenter, SegmentEvent, SegmentPaused, SegmentStarted
from gateway.timeline import Timeline
from gateway.wiring import Gateway
from parley import engine_wire, metrics, wire
from parley.audio import SAMPLE_RATE, Samples, StreamDecoder
from parley.engine_client import EngineAway, EngineStream, PartialText
from parley.errors import BackendError, ClientError, EngineError, ParleyError
from parley.logs import bind, get_logger
from parley.transcript import RecordingState, Segment, samples_to_ms

_HEARTBEAT_S = 30
_STORE_RETRY_S = 0.5
_log = get_logger(__name__)


async def live(websocket: WebSocket) -> None:
    """The endpoint `/ws/s2t`."""
    gateway: Gateway = websocket.app.state.gateway
    await websocket.accept()
    error: ParleyError | None = None
    try:
        check_origin(websocket, gateway.settings.allowed_origins)
        start = await _receive_start(websocket, gateway)
        session = await LiveSession.open(gateway, websocket, start)
        error = await session.run()
    except ParleyError as refused:
        error = refused
        metrics.SESSIONS.labels(outcome=refused.code).inc()
        await _tell(websocket, refused)
    except WebSocketDisconnect:
        return
    except Exception:  # noqa: BLE001 — the session's outer edge
        _log.exception("session failed")
        error = ParleyError("Something went wrong on the server; the audio that was acknowledged is kept.")
        await _tell(websocket, error)
    await _close(websocket, close_code(error))


async def _receive_start(websocket: WebSocket, gateway: Gateway) -> wire.Start:
    try:
        async with asyncio.timeout(gateway.settings.start_timeout_s):
            message = await websocket.receive()
    except TimeoutError:
        raise ClientError(
            f"No start came within {gateway.settings.start_timeout_s:g} s.", code="start_timeout"
        ) from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message["code"])
    if message.get("text") is None:
        raise ClientError("Audio came before start; the first message must be start.", code="start_expected")
    parsed = wire.parse_client_message(message["text"])
    if not isinstance(parsed, wire.Start):
        raise ClientError(f"The first message is {parsed.type}; it must be start.", code="start_expected")
    if parsed.resume is not None:
        raise ClientError("This server does not resume recordings.", code="resume_unsupported")
    return parsed


async def _tell(websocket: WebSocket, error: ParleyError) -> None:
    metrics.ERRORS.labels(code=error.code).inc()
    try:
        await websocket.send_text(wire.Error.of(error).to_json())
    except (WebSocketDisconnect, RuntimeError, OSError):
        _log.info("client gone before it could be told", code=error.code)


async def _close(websocket: WebSocket, code: int) -> None:
    try:
        await websocket.close(code)
    except (WebSocketDisconnect, RuntimeError, OSError):
        _log.debug("client closed first")


class LiveSession:
    """One recording while it is being made. `open`, then `run`."""

    def __init__(
        self,
        gateway: Gateway,
        websocket: WebSocket,
        *,
        recording_id: str,
        decoder: StreamDecoder,
        timeline: Timeline,
        engine: EngineStream,
    ) -> None:
        self._settings = gateway.settings
        self._events = gateway.events
        self._websocket = websocket
        self._owner = owner_of(websocket)
        self._recordings = gateway.recordings(self._owner)
        self._recording_id = recording_id
        self._decoder = decoder
        self._timeline = timeline
        self._vad = gateway.detector.open()
        self._segmenter = Segmenter(gateway.settings.segmenter)
        self._engine = engine
        self._endpoint_at: dict[int, float] = {}
        self._outbox = Outbox(websocket.send_text, stalled_after_s=gateway.settings.stalled_client_timeout_s)
        self._journal = Journal(
            recording_id,
            blobs=gateway.blobs,
            recordings=self._recordings,
            part_s=gateway.settings.journal_part_s,
            on_durable=lambda samples: self._outbox.post(wire.Ack(samples=samples)),
        )

    @classmethod
    async def open(cls, gateway: Gateway, websocket: WebSocket, start: wire.Start) -> "LiveSession":
        """Finds an engine, makes the recording and answers `ready`. Raises ParleyError where that is not possible."""
        decoder, timeline = StreamDecoder(start.audio_format()), Timeline()
        owner = owner_of(websocket)
        opening = engine_wire.Open(
            session=uuid4().hex, language=start.language, task=start.task, vocabulary=start.vocabulary
        )
        engine = EngineStream(gateway.settings.engine_urls, opening, timeline.slice)
        recognizer = await engine.connect()
        try:
            recording_id = await gateway.recordings(owner).create(title=start.title)
        except BaseException:
            await engine.disconnect()
            raise
        bind(recording=recording_id)
        session = cls(gateway, websocket, recording_id=recording_id, decoder=decoder, timeline=timeline, engine=engine)
        ready = wire.Ready(
            recording_id=recording_id,
            resume_token=str(gateway.resume_tokens.dumps(recording_id)),
            next_sample=0,
            recognizer=wire.RecognizerInfo.of(recognizer),
        )
        session._outbox.post(ready)
        await gateway.events.publish(owner, "created", recording_id)
        return session

    async def run(self) -> ParleyError | None:
        """The whole session; what ended it before its time, if anything did."""
        _log.info("session opened")
        with metrics.SESSIONS_OPEN.track_inprogress():
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(self._send())
                journal = tasks.create_task(self._journal.run())
                engine = tasks.create_task(self._run_engine())
                relay = tasks.create_task(self._relay())
                heartbeat = tasks.create_task(self._heartbeat())
                error = await self._receive_or_stall(sending)
                if error is None:
                    late = tasks.create_task(self._refuse_late_audio())
                else:
                    self._post_error(error)
                drained = await self._drain(journal, relay, "interrupted" if error else "finished")
                self._outbox.close()
                await asyncio.wait([sending])
                for task in (heartbeat, engine, relay, journal, *([late] if error is None else [])):
                    task.cancel()
        error = error or drained
        metrics.SESSIONS.labels(outcome=error.code if error else "stopped").inc()
        _log.info("session closed", outcome=error.code if error else "stopped", samples=self._timeline.end)
        return error

    # --- audio in

    async def _receive_or_stall(self, sending: asyncio.Task[ParleyError | None]) -> ParleyError | None:
        receiving = asyncio.create_task(self._receive())
        try:
            await asyncio.wait({receiving, sending}, return_when=asyncio.FIRST_COMPLETED)
            return await receiving if receiving.done() or sending.result() is None else sending.result()
        finally:
            receiving.cancel()

    async def _receive(self) -> ParleyError | None:
        """Takes audio and messages until there are no more: None after `stop`, else what was wrong."""
        loop, idle_s = asyncio.get_running_loop(), self._settings.idle_timeout_s
        deadline = loop.time() + idle_s
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    message = await self._websocket.receive()
            except TimeoutError:
                return ClientError(
                    f"No audio came for {idle_s:g} s, so the recording was closed; ping keeps a silent session open.",
                    code="no_audio",
                )
            if message["type"] == "websocket.disconnect":
                return ClientError("The connection was lost before stop.", code="client_gone")
            try:
                if (data := message.get("bytes")) is not None:
                    await self._on_audio(data)
                elif isinstance(command := self._parse(message["text"]), wire.Stop):
                    return None
                elif not isinstance(command, wire.Ping):
                    continue
            except ClientError as error:
                return error
            deadline = loop.time() + idle_s

    def _parse(self, text: str) -> wire.ClientMessage | None:
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
        if not len(samples):
            return
        metrics.AUDIO_SECONDS.inc(len(samples) / SAMPLE_RATE)
        await self._journal.append(samples)
        self._timeline.append(samples)
        self._engine.more_audio()
        self._apply(self._segmenter.feed(await self._vad.feed(samples)))
        needed = self._engine.earliest_needed
        earliest = self._segmenter.earliest_needed
        self._timeline.forget_before(earliest if needed is None else min(earliest, needed))

    def _apply(self, events: list[SegmentEvent]) -> None:
        for event in events:
            if isinstance(event, SegmentStarted):
                self._engine.begin(event.number, event.start)
                self._outbox.post(wire.SpeechStart(segment=event.number, start_ms=samples_to_ms(event.start)))
            elif isinstance(event, SegmentPaused):
                self._engine.pause(event.number, min(event.end, self._timeline.end))
            else:
                self._endpoint_at[event.number] = time.monotonic()
                self._engine.end(event.number, min(event.end, self._timeline.end))
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

    async def _run_engine(self) -> None:
        try:
            await self._engine.run()
        except EngineError as error:
            self._post_error(error)

    async def _relay(self) -> None:
        """Passes on what the engine says, finals only after they are stored."""
        async for event in self._engine.events():
            match event:
                case PartialText():
                    self._on_partial(event)
                case Segment():
                    await self._on_final(event)
                case EngineAway(error):
                    self._post_error(error)

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

    async def _on_final(self, segment: Segment) -> None:
        await self._stored(lambda: self._recordings.add_segment(self._recording_id, segment))
        self._outbox.post(wire.Final.of(segment))
        metrics.FINAL_LATENCY_S.observe(time.monotonic() - self._endpoint_at.pop(segment.number))

    def _post_error(self, error: ParleyError) -> None:
        metrics.ERRORS.labels(code=error.code).inc()
        self._outbox.post(wire.Error.of(error))

    # --- the end

    async def _drain(
        self, journal: asyncio.Task[None], relay: asyncio.Task[None], state: RecordingState
    ) -> ParleyError | None:
        """Finishes what is under way and closes the recording in `state`; what could not be finished in time."""
        error: ParleyError | None = None
        try:
            async with asyncio.timeout(self._settings.drain_timeout_s):
                await self._end_of_audio()
                await asyncio.wait([relay, journal])
                await self._close_recording(state)
        except TimeoutError:
            error = EngineError(
                f"The last words were not written down within {self._settings.drain_timeout_s:g} s;"
                f" the audio up to {samples_to_ms(self._journal.durable)} ms is kept.",
                code="drain_timeout",
            )
            self._post_error(error)
        duration_ms = samples_to_ms(self._journal.durable)
        self._outbox.post(wire.Closed(recording_id=self._recording_id, duration_ms=duration_ms))
        return error

    async def _end_of_audio(self) -> None:
        await self._take(self._decoder.flush())
        self._apply(self._segmenter.feed(await self._vad.flush()))
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

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(_HEARTBEAT_S)
            await self._stored(lambda: self._recordings.touch(self._recording_id))

    async def _stored(self, write: Callable[[], Awaitable[None]]) -> None:
        """Writes to PostgreSQL, again and again while it is away: nothing that was accepted is given up."""
        while True:
            try:
                return await write()
            except BackendError as error:
                _log.warning("not stored yet", error=error.message)
                await asyncio.sleep(_STORE_RETRY_S)
