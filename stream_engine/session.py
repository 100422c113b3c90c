"""One session on an engine: the gateway's messages in, requests to the scheduler and messages out. Does no I/O."""

from collections.abc import Callable

import numpy as np

from parley.engine_wire import Begin, End, EngineMessage, Error, Final, Open, Partial, Pause
from parley.errors import ClientError, EngineError
from parley.logs import get_logger
from parley.settings import EngineSettings
from parley.transcript import Hypothesis, join_words, ms_to_samples
from stream_engine.commit import Committer
from stream_engine.outbox import Outbox
from stream_engine.scheduler import Audio, Outcome, Request, Scheduler
from stream_engine.segment import Draft, OpenSegment
from stream_engine.windows import Lane

log = get_logger(__name__)


class Session:
    """What one gateway connection has open. `number` is this engine's own; names that gateways give may repeat."""

    def __init__(
        self, number: int, opened: Open, scheduler: Scheduler, settings: EngineSettings, outbox: Outbox
    ) -> None:
        self._number = number
        self._opened = opened
        self._scheduler = scheduler
        self._outbox = outbox
        self._interval = ms_to_samples(settings.partial_interval_ms)
        self._guard = ms_to_samples(settings.guard_ms)
        self._max_samples = ms_to_samples(settings.max_segment_s * 1000)
        self._segment: OpenSegment | None = None
        self._last_number = -1

    def begin(self, message: Begin) -> None:
        """Opens a segment. Raises ClientError while another is open, and for a number that is not above the last."""
        if self._segment is not None:
            raise ClientError(
                f"begin {message.segment} came while segment {self._segment.number} is open.", code="out_of_order"
            )
        if message.segment <= self._last_number:
            raise ClientError(f"begin {message.segment} came after segment {self._last_number}.", code="out_of_order")
        self._last_number = message.segment
        self._segment = OpenSegment(message.segment, Committer(self._guard), self._max_samples)

    def audio(self, data: bytes) -> None:
        """Adds int16 little-endian audio to the open segment. Raises ClientError for odd bytes or no segment."""
        if len(data) % 2:
            raise ClientError(f"An audio message of {len(data)} bytes ends in half a sample.", code="malformed_audio")
        if self._segment is None:
            raise ClientError("Audio came while no segment is open.", code="out_of_order")
        self._segment.append(np.frombuffer(data, "<i2").astype(np.int16, copy=False))
        if self._opened.lane == "live" and self._segment.wants_partial(self._interval):
            self._ask(self._segment, Lane.PARTIAL)

    def pause(self, message: Pause) -> None:
        """Asks for the final in advance, for the case that the segment ends there."""
        segment = self._open_segment(message)
        if self._opened.lane == "live":
            segment.draft = draft = Draft(segment, message.samples)
            self._request(Lane.DRAFT, draft, lambda outcome, _samples: self._drafted(segment, draft, outcome))

    def end(self, message: End) -> None:
        """Closes the open segment and asks for its final, unless that was decoded in advance."""
        segment = self._open_segment(message)
        segment.end(message.samples)
        self._segment = None
        self._outbox.expect_final()
        draft = segment.draft
        if draft is None or len(draft) != message.samples or not draft.started:
            self._ask(segment, Lane.FINAL if self._opened.lane == "live" else Lane.BATCH)
        elif draft.outcome is not None:
            self._outbox.put(self._final(segment, draft.outcome))

    def _open_segment(self, message: Pause | End) -> OpenSegment:
        """The segment that `message` means. Raises ClientError where it is not open or not so long."""
        segment = self._segment
        if segment is None or segment.number != message.segment:
            still = "none is" if segment is None else f"segment {segment.number} is"
            raise ClientError(f"{message.type} {message.segment} came while {still} open.", code="out_of_order")
        if not 0 <= message.samples <= len(segment):
            raise ClientError(
                f"{message.type} {message.segment} keeps {message.samples} samples, but {len(segment)} came.",
                code="malformed_message",
            )
        return segment

    def close(self) -> None:
        """Forgets the session: what waits is dropped."""
        self._segment = None
        self._scheduler.drop(self._number)

    def _ask(self, segment: OpenSegment, lane: Lane) -> None:
        def deliver(outcome: Outcome, samples: int) -> None:
            if lane is not Lane.PARTIAL:
                self._outbox.put(self._final(segment, outcome))
            elif (message := self._partial(segment, outcome, samples)) is not None:
                self._outbox.put(message)

        self._request(lane, segment, deliver)

    def _request(self, lane: Lane, audio: Audio, deliver: Callable[[Outcome, int], None]) -> None:
        opened = self._opened
        self._scheduler.ask(
            Request(self._number, lane, audio, deliver, opened.language, opened.task, opened.vocabulary)
        )

    def _drafted(self, segment: OpenSegment, draft: Draft, outcome: Outcome) -> None:
        """Keeps a final that was decoded in advance, or sends it where the segment ended there meanwhile.

        Until then it is a partial, the best there is.
        """
        draft.outcome = outcome
        if segment.over:
            if segment.draft is draft and len(segment) == len(draft):
                self._outbox.put(self._final(segment, outcome))
        elif (message := self._partial(segment, outcome, len(draft))) is not None:
            self._outbox.put(message)

    def _partial(self, segment: OpenSegment, outcome: Outcome, samples: int) -> EngineMessage | None:
        """The message of a partial; None where the segment is over by now, or where nothing was heard yet."""
        if segment.over:
            return None
        if isinstance(outcome, EngineError):
            log.warning("partial_failed", session=self._opened.session, segment=segment.number, error=outcome.message)
            return None
        segment.committer = segment.committer.heard(outcome.words, samples)
        committed, tentative = segment.committer.committed, segment.committer.tentative
        if not segment.revision and not committed and not tentative:
            return None
        message = Partial(
            segment=segment.number,
            revision=segment.revision,
            committed=join_words(committed),
            tentative=join_words(tentative),
            samples=samples,
        )
        segment.revision += 1
        return message

    def _final(self, segment: OpenSegment, outcome: Outcome) -> EngineMessage:
        if isinstance(outcome, Hypothesis):
            return Final(
                segment=segment.number,
                words=outcome.words,
                language=outcome.language,
                confidence=outcome.confidence,
                suspect=outcome.suspect,
            )
        return Error(code=outcome.code, message=outcome.message, retryable=outcome.retryable, segment=segment.number)
