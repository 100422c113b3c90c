"""Where segments begin and end: speech probabilities in, events out. Pure: no clock, audio or model inside.

A segment begins a pre-roll before the first frame of speech, once there was enough of it, and ends after a trailing
silence, of which it keeps only the tail. So where it would end is known (`SegmentPaused`) before it is known that it
ends: its final can be decoded in advance, and is the same as if it had not been. A segment that grows too long is cut
at its quietest recent frame, and the next begins right there, so no sample of speech lies outside a segment.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from parley.audio import SAMPLE_RATE
from parley.settings import SegmenterSettings
from parley.transcript import ms_to_samples

FRAME = 512
"""Samples of one frame: Silero's window at 16 kHz, 32 ms."""
_CUT_SEARCH_FRAMES = 5 * SAMPLE_RATE // FRAME
"""How far back a segment that is too long may be cut: 5 s."""
_LONGEST_ONSET = SAMPLE_RATE // FRAME
"""Frames within which the least speech must come together: 1 s."""

EndReason = Literal["silence", "longest", "finalize", "stop"]


@dataclass(frozen=True, slots=True)
class SegmentStarted:
    """Segment `number` begins at sample `start`."""

    number: int
    start: int


@dataclass(frozen=True, slots=True)
class SegmentPaused:
    """Segment `number` will end before sample `end` unless speech goes on."""

    number: int
    end: int


@dataclass(frozen=True, slots=True)
class SegmentEnded:
    """Segment `number` ends before sample `end`, which may lie in the past (`silence`, `longest`)."""

    number: int
    end: int
    reason: EndReason


SegmentEvent = SegmentStarted | SegmentPaused | SegmentEnded


class Segmenter:
    """One recording's endpointing. Feed every frame once, in order."""

    def __init__(self, settings: SegmenterSettings) -> None:
        self._settings = settings
        self._pre_roll = ms_to_samples(settings.pre_roll_ms)
        self._min_speech = max(1, ms_to_samples(settings.min_speech_ms) // FRAME)
        self._trailing_silence = max(1, ms_to_samples(settings.trailing_silence_ms) // FRAME)
        self._tail = min(self._trailing_silence, max(1, ms_to_samples(settings.tail_ms) // FRAME))
        self._max_segment = int(settings.max_segment_s * SAMPLE_RATE)
        self._recent: deque[float] = deque(maxlen=_CUT_SEARCH_FRAMES)
        self._frames = 0
        self._next_number = 0
        self._open_start: int | None = None
        self._last_end = 0
        self._speech_from: int | None = None  # first frame of speech that is not yet a segment
        self._speech_frames = 0
        self._silent_frames = 0
        self._paused_at: int | None = None  # where the open segment ends if it is silent for long enough

    @property
    def position(self) -> int:
        """The sample up to which frames were fed."""
        return self._frames * FRAME

    @property
    def earliest_needed(self) -> int:
        """No later segment begins before this sample: audio in front of it may be forgotten."""
        if self._open_start is not None:
            return self._open_start
        speech_from = self._frames if self._speech_from is None else self._speech_from
        return max(self._last_end, speech_from * FRAME - self._pre_roll, 0)

    def feed(self, probabilities: Iterable[float]) -> list[SegmentEvent]:
        """The speech probability of each next frame, in [0, 1]; what begins and ends because of them."""
        events: list[SegmentEvent] = []
        for probability in probabilities:
            self._recent.append(probability)
            self._frames += 1
            events += self._on_silence(probability) if self._open_start is None else self._on_speech(probability)
        return events

    def finalize(self, end: int, reason: EndReason = "finalize") -> list[SegmentEvent]:
        """Ends the open segment at sample `end`, the end of the audio so far. Speech goes on in a new segment."""
        if self._open_start is None or end <= self._open_start:
            return []
        return [self._end(end, reason)]

    def _on_silence(self, probability: float) -> list[SegmentEvent]:
        if probability < self._settings.silence_threshold:
            self._speech_from, self._speech_frames = None, 0
            return []
        if self._speech_from is not None and self._frames - self._speech_from > _LONGEST_ONSET:
            self._speech_from, self._speech_frames = None, 0
        if probability >= self._settings.speech_threshold:
            if self._speech_from is None:
                self._speech_from = self._frames - 1
            self._speech_frames += 1
        if self._speech_from is None or self._speech_frames < self._min_speech:
            return []
        return [self._start(max(self._last_end, self._speech_from * FRAME - self._pre_roll, 0))]

    def _on_speech(self, probability: float) -> list[SegmentEvent]:
        assert self._open_start is not None
        if probability >= self._settings.speech_threshold:
            self._silent_frames, self._paused_at = 0, None
        elif probability < self._settings.silence_threshold or self._silent_frames:
            self._silent_frames += 1
        events: list[SegmentEvent] = []
        if self._silent_frames == self._tail and self._paused_at is None:
            self._paused_at = self.position
            events.append(SegmentPaused(self._next_number - 1, self._paused_at))
        too_long = self.position - self._open_start >= self._max_segment
        if self._silent_frames >= self._trailing_silence or (too_long and self._silent_frames):
            events.append(self._end(self._paused_at or self.position, "longest" if too_long else "silence"))
        elif too_long:
            cut = self._quietest_recent_sample()
            events += [self._end(cut, "longest"), self._start(cut)]
        return events

    def _quietest_recent_sample(self) -> int:
        """The beginning of the least speech-like recent frame in the segment's second half; the latest of several."""
        assert self._open_start is not None
        half = (self.position - self._open_start) // 2 // FRAME
        recent = list(self._recent)
        back = min(range(1, min(len(recent), half) + 1), key=lambda frames_back: recent[-frames_back])
        return (self._frames - back) * FRAME

    def _start(self, start: int) -> SegmentStarted:
        number, self._next_number = self._next_number, self._next_number + 1
        self._open_start, self._silent_frames = start, 0
        self._speech_from, self._speech_frames = None, 0
        return SegmentStarted(number, start)

    def _end(self, end: int, reason: EndReason) -> SegmentEnded:
        self._open_start, self._last_end, self._silent_frames, self._paused_at = None, end, 0, None
        return SegmentEnded(self._next_number - 1, end, reason)
