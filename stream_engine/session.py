"""One session on an engine: the gateway's messages in, requests to the scheduler and messages out. Does no I/O."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import takewhile

import numpy as np

from parley.audio import SAMPLE_RATE
from parley.engine_wire import Begin, End, EngineMessage, Error, Final, Open, Partial, Pause
from parley.errors import ClientError, EngineError
from parley.logs import get_logger
from parley.settings import EngineSettings
from parley.transcript import join_words, ms_to_samples
from stream_engine.commit import Committer
from stream_engine.outbox import Outbox
from stream_engine.scheduler import Audio, Outcome, Request, Scheduler
from stream_engine.segment import FinalDecode, OpenSegment
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
        self._ended: deque[OpenSegment] = deque()
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
        self._segment = OpenSegment(
            message.segment,
            Committer(self._guard),
            max_samples=self._max_samples,
            longest_window=self._trim_after,
            likely=message.likely,
        )

    def audio(self, data: bytes) -> None:
        """Adds int16 little-endian audio to the open segment. Raises ClientError for odd bytes or no segment."""
        if len(data) % 2:
            raise ClientError(f"An audio message of {len(data)} bytes ends in half a sample.", code="malformed_audio")
        if self._segment is None:
            raise ClientError("Audio came while no segment is open.", code="out_of_order")
        self._segment.append(np.frombuffer(data, "<i2").astype(np.int16, copy=False))
        if self._opened.lane == "batch":
            return
        self._scheduler.headroom.heard(len(data) / 2 / SAMPLE_RATE)
        if self._segment.wants_partial(self._interval):
            segment = self._segment
            self._request(
                Lane.PARTIAL,
                segment,
                segment.window,
                lambda outcome, samples: self._heard(segment, outcome, samples),
                stale=segment.stale,
            )

    def pause(self, message: Pause) -> None:
        """Asks for the final in advance, for the case that the segment ends there."""
        segment = self._open_segment(message)
        if self._opened.lane == "live":
            segment.final = FinalDecode(segment, message.samples)
            self._ask_final(segment, segment.final, Lane.DRAFT)

    def end(self, message: End) -> None:
        """Closes the open segment and asks for its final, unless that was decoded in advance."""
        segment = self._open_segment(message)
        segment.end(message.samples)
        self._segment = None
        self._ended.append(segment)
        if self._opened.lane == "live":
            self._scheduler.headroom.ended(message.samples / SAMPLE_RATE)
        self._outbox.expect_final()
        if segment.final is None or len(segment.final) != message.samples:
            segment.final = FinalDecode(segment, message.samples)
        if segment.final.state == "waiting":
            self._ask_final(segment, segment.final, self._final_lane)
        self._send_finals()

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

    def _request(
        self, lane: Lane, segment: OpenSegment, audio: Audio, deliver: Callable[[Outcome, int], None], stale: int = 0
    ) -> None:
        opened = self._opened
        self._scheduler.ask(
            Request(
                self._number,
                lane,
                audio,
                deliver,
                language=opened.language,
                likely=segment.likely,
                task=opened.task,
                vocabulary=opened.vocabulary,
                stale=stale,
            )
        )

    @property
    def _final_lane(self) -> Lane:
        return Lane.FINAL if self._opened.lane == "live" else Lane.BATCH

    def _ask_final(self, segment: OpenSegment, final: FinalDecode, lane: Lane) -> None:
        self._request(lane, segment, final, lambda outcome, _samples: self._heard_final(segment, final, outcome))

    def _heard_final(self, segment: OpenSegment, final: FinalDecode, outcome: Outcome) -> None:
        """Takes an attempt at a final, in time or in advance. In advance the first is a partial too, the best there is.

        Where it left doubts, or failed for once, the next attempt queues up as any decode.
        """
        first = final.attempt == 0
        final.heard(outcome)
        if first and not segment.over:
            self._partial(segment, outcome, replace(segment.committer, passed=0), len(final))
        if segment.final is not final:
            return
        if final.state == "waiting" and (segment.over or segment.pauses):
            self._ask_final(segment, final, self._final_lane if segment.over else Lane.DRAFT)
        self._send_finals()

    def _heard(self, segment: OpenSegment, outcome: Outcome, samples: int) -> None:
        """Takes the outcome of a partial's window of `samples`, which moves up if it has grown long."""
        if not segment.over:
            self._partial(segment, outcome, segment.committer, segment.window.start + samples, segment.window.start)
            segment.window.move_up(samples)

    def _partial(self, segment: OpenSegment, outcome: Outcome, committer: Committer, end: int, start: int = 0) -> None:
        """Sends what a window [start, end) of the segment says after `committer`, unless nothing was heard yet."""
        segment.shown()
        if isinstance(outcome, EngineError):
            log.warning("partial_failed", session=self._opened.session, segment=segment.number, error=outcome.message)
            return
        heard = committer.heard([word.shifted(start) for word in outcome.words], end)
        segment.committer = replace(heard, passed=segment.committer.passed)
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

    def _send_finals(self) -> None:
        """Sends the finals that are there. Live ones in order: one that is decoded again holds back those after it."""
        live = self._opened.lane == "live"
        for segment in list((takewhile if live else filter)(_is_decoded, self._ended)):
            assert segment.final is not None
            self._ended.remove(segment)
            self._outbox.put(_final_message(segment.number, segment.final.outcome))


def _is_decoded(segment: OpenSegment) -> bool:
    return segment.final is not None and segment.final.state == "decoded"


def _final_message(segment: int, outcome: Outcome | None) -> EngineMessage:
    assert outcome is not None
    if isinstance(outcome, EngineError):
        return Error(code=outcome.code, message=outcome.message, retryable=outcome.retryable, segment=segment)
    # Rounded here, once: what is stored and what is sent are then the same number.
    return Final(
        segment=segment,
        words=tuple(replace(word, confidence=round(word.confidence, 3)) for word in outcome.words),
        language=outcome.language,
        confidence=round(outcome.confidence, 3),
        suspect=outcome.suspect,
    )
