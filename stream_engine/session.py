"""One session on an engine: the gateway's messages in, requests to the scheduler and messages out. Does no I/O."""

from collections.abc import Callable

import numpy as np

from parley.audio import SAMPLE_RATE
from parley.engine_wire import Begin, End, EngineMessage, Error, Final, Open, Partial, Pause
from parley.errors import ClientError, EngineError
from parley.logs import get_logger
from parley.settings import EngineSettings
from parley.transcript import Hypothesis, join_words, ms_to_samples
from stream_engine.commit import Committer
from stream_engine.outbox import Outbox
from stream_engine.scheduler import Audio, Outcome, Request, Scheduler
from stream_engine.segment import OpenSegment, Prefix
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
        self._trim_after = int(settings.trim_after_s * SAMPLE_RATE)
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
            segment = self._segment
            self._request(Lane.PARTIAL, segment.window, lambda outcome, samples: self._heard(segment, outcome, samples))

    def pause(self, message: Pause) -> None:
        """Asks for the final in advance, for the case that the segment ends there."""
        segment = self._open_segment(message)
        if self._opened.lane == "live":
            segment.draft = draft = Prefix(segment, message.samples)
            self._request(Lane.DRAFT, draft, lambda outcome, _samples: self._drafted(segment, draft, outcome))

    def end(self, message: End) -> None:
        """Closes the open segment and asks for its final, unless that was decoded in advance."""
        segment = self._open_segment(message)
        segment.end(message.samples)
        self._segment = None
        self._outbox.expect_final()
        draft = segment.draft
        if draft is None or len(draft) != message.samples or not draft.started:
            self._request(
                Lane.FINAL if self._opened.lane == "live" else Lane.BATCH,
                Prefix(segment, message.samples),
                lambda outcome, _: self._outbox.put(self._final(segment, outcome)),
            )
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

    def _request(self, lane: Lane, audio: Audio, deliver: Callable[[Outcome, int], None]) -> None:
        opened = self._opened
        self._scheduler.ask(
            Request(self._number, lane, audio, deliver, opened.language, opened.task, opened.vocabulary)
        )

    def _drafted(self, segment: OpenSegment, draft: Prefix, outcome: Outcome) -> None:
        """Keeps a final that was decoded in advance, or sends it where the segment ended there meanwhile.

        Until then it is a partial, the best there is.
        """
        draft.outcome = outcome
        if not segment.over:
            self._partial(segment, outcome, 0, len(draft))
        elif segment.draft is draft and len(segment) == len(draft):
            self._outbox.put(self._final(segment, outcome))

    def _heard(self, segment: OpenSegment, outcome: Outcome, samples: int) -> None:
        """Takes the outcome of a partial's window of `samples`, which moves up if it has grown long."""
        if not segment.over:
            start = segment.window.start
            self._partial(segment, outcome, start, start + samples)
            segment.window.trim(self._trim_after)

    def _partial(self, segment: OpenSegment, outcome: Outcome, start: int, end: int) -> None:
        """Sends what a window [start, end) of the segment says, unless nothing was heard yet."""
        if isinstance(outcome, EngineError):
            log.warning("partial_failed", session=self._opened.session, segment=segment.number, error=outcome.message)
            return
        words = [word.shifted(start) for word in outcome.words]
        segment.committer = segment.committer.heard(words, end)
        committed, tentative = segment.committer.committed, segment.committer.tentative
        if not segment.revision and not committed and not tentative:
            return
        self._outbox.put(
            Partial(
                segment=segment.number,
                revision=segment.revision,
                committed=join_words(committed),
                tentative=join_words(tentative),
                samples=end,
            )
        )
        segment.revision += 1

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
