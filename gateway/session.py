"""A live session: audio in, durable and acknowledged; the speech in it to an engine; words back to the client.

    receive ─▶ decode ─▶ journal ─────────────▶ object storage, PostgreSQL ─▶ ack
                  └────▶ transcriber ─▶ VAD ─▶ segmenter ─▶ engine ─▶ partials, finals ─▶ outbox ─▶ client

How it ends:

    stop                              every final is written, the recording is finished, `closed`
    bad audio                         the same, but the recording is interrupted, and the client is told why
    anything else, the client gone    the recording stays open: whoever resumes it goes on with the open segment
    taken over, deleted               at once; another session has the recording, or nobody
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, NamedTuple

from itsdangerous import BadSignature, SignatureExpired
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.follow_up import finish
from gateway.journal import Journal
from gateway.outbox import ClientStalled, Outbox
from gateway.reception import ClientGone, ClientSilent, Reception, error_message
from gateway.transcriber import Transcriber
from gateway.transcription import insist
from gateway.watchdog import NoWords
from gateway.wiring import Gateway
from parley import metrics, wire
from parley.audio import StreamDecoder, resume_point
from parley.errors import BackendError, ClientError, EngineError, NotFound, ParleyError
from parley.logs import bind, get_logger
from parley.store import RecordingWriter, Superseded
from parley.tasks import background, outcome_of
from parley.transcript import Recognizer, RecordingState, Segment, samples_to_ms

_SIGN_EVERY_S = 2.0
"""Seconds without a message to the client after which it is told that the session lives; it is promised one every 5."""
_TOUCH_EVERY_S = 10.0
_LEAVE_S = 5.0
"""Seconds for what is under way when the client is gone; whoever resumes does the rest again."""
_log = get_logger(__name__)


class DrainTimeout(EngineError):
    """The last words of a stopped recording do not come."""

    code = "drain_timeout"


_Away = ClientGone | ClientSilent | ClientStalled
_Outcome = asyncio.Task[ParleyError | None]


class _UnderWay(NamedTuple):
    """A session's tasks whose end matters at its own end."""

    journal: _Outcome
    words: _Outcome
    ordered: _Outcome

    @property
    def done(self) -> bool:
        return self.journal.done() and self.words.done()

    @property
    def is_durable(self) -> bool:
        """All that came is."""
        return self.journal.done() and self.journal.result() is None

    @property
    def failure(self) -> ParleyError | None:
        """What one of them ended with, where that was not as it should."""
        return next((error for task in self if task.done() and (error := task.result()) is not None), None)


class LiveSession:
    """One connection's part in a recording. `open`, then `run`."""

    def __init__(
        self, gateway: Gateway, websocket: WebSocket, writer: RecordingWriter, start: wire.Start, next_sample: int
    ) -> None:
        settings = gateway.settings
        self._gateway = gateway
        self._settings = settings
        self._writer = writer
        self._sample_rate = start.sample_rate
        self._recognizer: Recognizer | None = None
        self._troubled: set[str] = set()
        self._revision = 0
        self._no_words = NoWords(settings.no_words_after_s)
        self._progress = asyncio.Event()
        self._ordered: asyncio.Future[ParleyError] = asyncio.get_running_loop().create_future()
        self._outbox = Outbox(websocket.send_text, stalled_after_s=settings.stalled_client_timeout_s)
        self._journal = Journal(
            writer,
            blobs=gateway.blobs,
            part_s=settings.journal_part_s,
            on_durable=self._on_durable,
            on_trouble=self.on_trouble,
        )
        self._transcriber = Transcriber(gateway, writer, self._journal, self)
        decoder = StreamDecoder(start.audio_format(), skip=writer.samples - next_sample)
        self._reception = Reception(websocket, decoder, self._journal, self._transcriber, settings, self._outbox.post)

    @property
    def recording_id(self) -> str:
        return self._writer.recording_id

    @property
    def fence(self) -> int:
        return self._writer.fence

    @classmethod
    async def open(cls, gateway: Gateway, websocket: WebSocket, start: wire.Start, owner: str) -> "LiveSession":
        """A new recording, or one that goes on; answers `ready`. Raises ParleyError where that is not possible."""
        start.audio_format()
        gateway.sessions.check_open()
        if start.resume is None:
            options = start.model_dump(include={"language", "task", "vocabulary"}, exclude_none=True, mode="json")
            writer = RecordingWriter.new(gateway.pool, owner, options)
        else:
            writer = await _take_over(gateway, start.resume, owner)
        bind(recording=writer.recording_id)
        next_sample = resume_point(writer.samples, start.sample_rate)
        session = cls(gateway, websocket, writer, start, next_sample)
        try:
            gateway.sessions.add(session)
            await session._open(start, next_sample)
        except BaseException:
            gateway.sessions.remove(session)
            await session._transcriber.disconnect()
            raise
        return session

    async def _open(self, start: wire.Start, next_sample: int) -> None:
        writer, resumed = self._writer, start.resume is not None
        if writer.state != "finished":
            self._recognizer = await self._transcriber.open(is_new=not resumed)
        if not resumed:
            await writer.create(title=start.title)
        ready = wire.Ready(
            recording_id=writer.recording_id,
            resume_token=str(self._gateway.resume_tokens.dumps(writer.recording_id)),
            next_sample=next_sample,
            recognizer=wire.RecognizerInfo.of(self._recognizer) if self._recognizer else None,
        )
        self._outbox.post(ready)
        if resumed:
            recordings = self._gateway.recordings(writer.owner)
            for segment in await recordings.segments(writer.recording_id, first=start.next_segment):
                self._outbox.post(wire.Final.of(segment))

    async def run(self) -> ParleyError | None:
        """The whole session; what ended it before its time, if anything did."""
        _log.info("session opened", next_sample=self._journal.durable)
        try:
            if self._writer.state == "finished":
                error = None
                await self._say_closed()
            else:
                error = await self._serve()
        finally:
            self._gateway.sessions.remove(self)
        outcome = error.code if error else "stopped"
        metrics.SESSIONS.labels(outcome=outcome).inc()
        _log.info("session closed", outcome=outcome, samples=self._journal.end)
        return error

    def end(self, error: ParleyError) -> None:
        """Asks the session to end because of `error`."""
        if not self._ordered.done():
            self._ordered.set_result(error)

    async def _say_closed(self) -> None:
        """The recording was finished already: the client is told what it missed."""
        self._on_durable(self._journal.durable)
        self._post_closed()
        self._outbox.close()
        await self._send()

    async def _serve(self) -> ParleyError | None:
        async with contextlib.AsyncExitStack() as stack:

            async def begin(work: Coroutine[Any, Any, ParleyError | None]) -> _Outcome:
                return await stack.enter_async_context(background(work))

            sending = await begin(self._send())
            journal = await begin(outcome_of(self._journal.run()))
            words = await begin(outcome_of(self._transcriber.run()))
            ordered = await begin(self._await_orders())
            looking_after = self._reception.watch_idle(), outcome_of(self._give_signs()), outcome_of(self._keep())
            watches = [await begin(watch) for watch in looking_after]
            await self._publish("updated" if self._journal.durable else "created")
            error = await self._receive_unless(sending, journal, words, ordered, *watches)
            error = await self._end(error, _UnderWay(journal, words, ordered))
            self._outbox.close()
            await asyncio.wait([sending])
            return error

    async def _receive_unless(self, *failing: asyncio.Task[ParleyError | None]) -> ParleyError | None:
        """Receives to the end, or until one of the `failing` tasks has an error: the session's end either way."""
        receiving = asyncio.create_task(self._reception.run())
        watched = {receiving, *failing}
        try:
            while True:
                done, watched = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
                for task in done - {receiving}:
                    if (error := task.result()) is not None:
                        return error
                if receiving in done:
                    return receiving.result()
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    async def _give_signs(self) -> None:
        """Says to the client now and then that the session lives."""
        while True:
            sent = self._outbox.sent
            await asyncio.sleep(_SIGN_EVERY_S)
            if self._outbox.sent == sent:
                self._outbox.post(wire.Pong())

    async def _keep(self) -> None:
        """Says now and then, to whoever looks for abandoned recordings, that this one is not.

        Raises BackendError where nobody could be told for so long that another gateway may soon take it for abandoned:
        the client, told in time, connects again and has the recording, in place of losing it to the caretaker.
        """
        loop = asyncio.get_running_loop()
        kept_at = loop.time()
        while True:
            await asyncio.sleep(_TOUCH_EVERY_S)
            try:
                await self._writer.touch()
            except BackendError as error:
                self.on_trouble(error)
                if loop.time() - kept_at > self._settings.abandoned_after_s / 2:
                    raise
            else:
                kept_at = loop.time()
                self.on_recovery("database_unavailable")

    async def _await_orders(self) -> ParleyError:
        return await asyncio.shield(self._ordered)

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

    def on_text(self, message: wire.SpeechStart | wire.Partial) -> None:
        """Revisions grow even where a segment is begun again at another engine."""
        if isinstance(message, wire.Partial):
            message = message.model_copy(update={"revision": self._revision})
            self._revision += 1
        self._outbox.post(message)

    def on_final(self, segment: Segment) -> None:
        """It is stored: the client may see it."""
        self._outbox.post(wire.Final.of(segment))
        self._progress.set()
        if self._no_words.heard(segment):
            self._tell_of_no_words()

    def on_recognizer(self, recognizer: Recognizer) -> None:
        """Tells the client, where it is another than it knows of."""
        if recognizer != self._recognizer:
            self._recognizer = recognizer
            self._outbox.post(wire.RecognizerChange(recognizer=wire.RecognizerInfo.of(recognizer)))

    def on_trouble(self, error: ParleyError) -> None:
        """Tells the client of a part that is away, once for each time that it goes."""
        if error.code not in self._troubled:
            self._troubled.add(error.code)
            self._post_error(error)

    def on_recovery(self, code: str) -> None:
        self._troubled.discard(code)

    def _on_durable(self, samples: int) -> None:
        self._troubled.discard("storage_unavailable")
        self._progress.set()
        self._outbox.post(wire.Ack(samples=resume_point(samples, self._sample_rate)))

    def _tell_of_no_words(self) -> None:
        message = (
            f"In the last {self._settings.no_words_after_s:g} s of speech no word was recognised."
            " Check the language and the microphone; noise and music bring no words either."
        )
        _log.warning("speech but no words")
        self._post_error(EngineError(message, code="no_words", retryable=False))

    def _post_error(self, error: ParleyError) -> None:
        self._outbox.post(error_message(error))

    def _post_closed(self) -> None:
        duration_ms = samples_to_ms(self._journal.durable)
        self._outbox.post(wire.Closed(recording_id=self.recording_id, duration_ms=duration_ms))

    async def _publish(self, kind: str) -> None:
        await self._gateway.events.publish(self._writer.owner, kind, self.recording_id)

    # --- the end

    async def _end(self, error: ParleyError | None, under_way: _UnderWay) -> ParleyError | None:
        """What is to be done because of `error` (None: `stop`); what the session ended with."""
        was_stopped = error is None
        if error is None:
            async with background(self._reception.refuse_late_audio()):
                error = await self._drain(under_way, "finished")
        elif _is_clients_mistake(error):
            self._post_error(error)
            if (failure := await self._drain(under_way, "interrupted")) is None:
                return error
            error = failure
        if error is None:
            return None
        if not isinstance(error, Superseded | NotFound):
            await self._leave(under_way, wait_for_words=isinstance(error, _Away))
        if isinstance(error, EngineError) and not error.retryable:
            await outcome_of(self._close_recording("interrupted"))
        if was_stopped and under_way.is_durable:
            await self._note_stop()
        self._post_error(error)
        return error

    async def _leave(self, under_way: _UnderWay, *, wait_for_words: bool) -> None:
        """Makes durable what came, and lets those segments have their finals that have ended."""
        await self._journal.close()
        self._transcriber.leave()
        waiting = [under_way.journal, under_way.words] if wait_for_words else [under_way.journal]
        await asyncio.wait(waiting, timeout=_LEAVE_S)

    async def _drain(self, under_way: _UnderWay, state: RecordingState) -> ParleyError | None:
        """Finishes what is under way, closes the recording in `state` and says `closed`; or what kept it from that."""
        if state == "finished" and (error := await self._flush(under_way)) is not None:
            return under_way.failure or error
        await self._journal.close()
        self._transcriber.finish()
        while (error := under_way.failure) is None and not under_way.done:
            if not await self._next_outcome(under_way):
                return self._drain_timeout()
        if error is not None or (error := await outcome_of(self._close_recording(state))) is not None:
            return error
        self._post_closed()
        return None

    async def _flush(self, under_way: _UnderWay) -> ParleyError | None:
        """What went wrong, or what was ordered while the journal had no room for the last samples."""
        async with background(outcome_of(self._reception.flush())) as flushing:
            await asyncio.wait([flushing, under_way.ordered], return_when=asyncio.FIRST_COMPLETED)
            return flushing.result() if flushing.done() else under_way.ordered.result()

    async def _next_outcome(self, under_way: _UnderWay) -> bool:
        """Waits until something has come to its end or was achieved; False where nothing was, for too long."""
        progress = self._transcriber.progress
        self._progress.clear()
        moved = asyncio.create_task(self._progress.wait())
        waiting = [task for task in under_way if not task.done()]
        limit_s = self._settings.drain_timeout_s
        done, _ = await asyncio.wait([*waiting, moved], timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        moved.cancel()
        return bool(done) or self._transcriber.progress != progress

    async def _note_stop(self) -> None:
        """The client said all it had to say, so that whoever writes the last words may call the recording finished."""
        with contextlib.suppress(TimeoutError, ParleyError):
            async with asyncio.timeout(_LEAVE_S):
                await self._writer.stop()

    def _drain_timeout(self) -> DrainTimeout:
        return DrainTimeout(
            f"The last words are not written down yet: nothing came for {self._settings.drain_timeout_s:g} s."
            f" The audio up to {samples_to_ms(self._journal.durable)} ms is kept, and its words will come."
        )

    async def _close_recording(self, state: RecordingState) -> None:
        """Marks the recording's end; one that never had a sample is not kept."""
        if self._journal.durable:
            await insist(lambda: finish(self._gateway, self._writer, state), self)
            await self._publish("updated")
        else:
            await insist(self._writer.discard, self)
            await self._publish("deleted")


def _is_clients_mistake(error: ParleyError) -> bool:
    """The session ends, but nothing keeps what was said from being written down."""
    return isinstance(error, ClientError) and not isinstance(error, _Away | Superseded | NotFound)


async def _take_over(gateway: Gateway, token: str, owner: str) -> RecordingWriter:
    """The recording that a resume token names. Raises ClientError for a token that is no good."""
    try:
        recording_id = str(gateway.resume_tokens.loads(token, max_age=gateway.settings.resume_token_max_age_s))
        return await RecordingWriter.take_over(gateway.pool, owner, recording_id)
    except SignatureExpired as error:
        signed = f"{error.date_signed:%Y-%m-%d %H:%M} UTC" if error.date_signed else "too long ago"
        raise ClientError(f"The resume token is of {signed}, which is too old.", code="resume_expired") from None
    except BadSignature:
        raise ClientError("The resume token was not made by this server.", code="resume_invalid") from None
    except NotFound as error:
        raise ClientError(f"{error.message} It cannot be resumed.", code="resume_invalid") from None
