"""Where segments begin and end: speech probabilities in, events out. Pure: no clock, audio or model inside.

A segment begins a pre-roll before the first frame of speech, once there was enough of it, and ends after a trailing
silence, of which it keeps only the tail. So where it would end is known (`SegmentPaused`) before it is known that it
ends: its final can be decoded in advance, and is the same as if it had not been. A segment that grows too long is cut
at its quietest recent frame, and the next begins right there, so no sample of speech lies outside a segment.

With each end the search begins anew at a `Checkpoint`, by a detector that has heard nothing before it. So all that
comes after depends on the audio from there on only, and whoever knows the checkpoint of the last segment finds the same
segments again (invariant 3).
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, Self

from parley.audio import SAMPLE_RATE
from parley.settings import SegmenterSettings
from parley.transcript import LastFinal, ms_to_samples

FRAME = 512
"""Samples of one frame: Silero's window at 16 kHz, 32 ms."""
_CUT_SEARCH_FRAMES = 5 * SAMPLE_RATE // FRAME
"""How far back a segment that is too long may be cut: 5 s."""
_LONGEST_ONSET = SAMPLE_RATE // FRAME
"""Frames within which the least speech must come together: 1 s."""

EndReason = Literal["silence", "longest", "finalize", "stop"]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the search for segment `number` begins.

    Frames count from sample `position`. No segment begins before `last_end`. `continues`: one begins at `position`.
    """

    number: int = 0
    position: int = 0
    last_end: int = 0
    continues: bool = False

    @classmethod
    def after(cls, final: LastFinal | None) -> Self:
        """Where transcription goes on behind a recording's last final."""
        return cls(final.number + 1, final.resume_at, final.end, final.continues) if final else cls()

    def audio_from(self, settings: SegmenterSettings) -> int:
        """The first sample that a segment found from here on may hold."""
        return max(self.last_end, self.position - ms_to_samples(settings.pre_roll_ms), 0)

    def within(self, end: int) -> "Checkpoint":
        """The same in audio that ends before sample `end`, which silence may have been put behind."""
        return replace(self, position=min(self.position, end), last_end=min(self.last_end, end))


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
    checkpoint: Checkpoint


SegmentEvent = SegmentStarted | SegmentPaused | SegmentEnded


class Segmenter:
    """One recording's endpointing. Feed every frame from the checkpoint on, once, in order."""

    def __init__(self, settings: SegmenterSettings, checkpoint: Checkpoint | None = None) -> None:
        self._settings = settings
        self._pre_roll = ms_to_samples(settings.pre_roll_ms)
        self._min_speech = max(1, ms_to_samples(settings.min_speech_ms) // FRAME)
        self._trailing_silence = max(1, ms_to_samples(settings.trailing_silence_ms) // FRAME)
        self._tail = min(self._trailing_silence, max(1, ms_to_samples(settings.tail_ms) // FRAME))
        self._max_segment = int(settings.max_segment_s * SAMPLE_RATE)
        self._recent: deque[float] = deque(maxlen=_CUT_SEARCH_FRAMES)
        self._begin(checkpoint or Checkpoint())

    def _begin(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._recent.clear()
        self._frames = 0
        self._open_start: int | None = None
        self._speech_from: int | None = None  # first frame of speech that is not yet a segment
        self._speech_frames = 0
        self._silent_frames = 0
        self._paused_at: int | None = None  # where the open segment ends if it is silent for long enough
        self._continues = checkpoint.continues

    @property
    def position(self) -> int:
        """The sample up to which frames were fed."""
        return self._sample(self._frames)

    @property
    def earliest_needed(self) -> int:
        """No later segment begins before this sample: audio in front of it may be forgotten."""
        if self._open_start is not None:
            return self._open_start
        speech_from = self._frames if self._speech_from is None else self._speech_from
        return self._with_pre_roll(speech_from)

    def feed(self, probabilities: Iterable[float]) -> list[SegmentEvent]:
        """The speech probability of each next frame, in [0, 1]; what begins and ends because of them.

        Where a segment ends, the rest of `probabilities` is passed over: frames count from the checkpoint again, and
        the detector has to begin anew there.
        """
        events = self._continued()
        for probability in probabilities:
            self._recent.append(probability)
            self._frames += 1
            events += self._on_silence(probability) if self._open_start is None else self._on_speech(probability)
            if events and isinstance(events[-1], SegmentEnded):
                return events + self._continued()
        return events

    def finalize(self, end: int, reason: EndReason = "finalize") -> list[SegmentEvent]:
        """Ends the open segment at sample `end`, the end of the audio so far. Speech goes on in a new segment."""
        events = self._continued()
        if self._open_start is None or end <= self._open_start:
            return events
        return [*events, self._end(end, reason, resume_at=end)]

    def _continued(self) -> list[SegmentEvent]:
        """The segment that begins at the checkpoint, where one does, once."""
        if not self._continues:
            return []
        self._continues = False
        return [self._start(self._checkpoint.position)]

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
        return [self._start(self._with_pre_roll(self._speech_from))]

    def _on_speech(self, probability: float) -> list[SegmentEvent]:
        assert self._open_start is not None
        if probability >= self._settings.speech_threshold:
            self._silent_frames, self._paused_at = 0, None
        elif probability < self._settings.silence_threshold or self._silent_frames:
            self._silent_frames += 1
        events: list[SegmentEvent] = []
        if self._silent_frames == self._tail and self._paused_at is None:
            self._paused_at = self.position
            events.append(SegmentPaused(self._checkpoint.number, self._paused_at))
        too_long = self.position - self._open_start >= self._max_segment
        if self._silent_frames >= self._trailing_silence or (too_long and self._silent_frames):
            reason: EndReason = "longest" if too_long else "silence"
            events.append(self._end(self._paused_at or self.position, reason, resume_at=self.position))
        elif too_long:
            cut = self._quietest_recent_sample()
            events.append(self._end(cut, "longest", resume_at=cut, continues=True))
        return events

    def _quietest_recent_sample(self) -> int:
        """The beginning of the least speech-like recent frame in the segment's second half; the latest of several."""
        assert self._open_start is not None
        half = (self.position - self._open_start) // 2 // FRAME
        recent = list(self._recent)
        back = min(range(1, min(len(recent), half) + 1), key=lambda frames_back: recent[-frames_back])
        return self._sample(self._frames - back)

    def _sample(self, frame: int) -> int:
        return self._checkpoint.position + frame * FRAME

    def _with_pre_roll(self, frame: int) -> int:
        return max(self._checkpoint.last_end, self._sample(frame) - self._pre_roll, 0)

    def _start(self, start: int) -> SegmentStarted:
        self._open_start, self._silent_frames = start, 0
        self._speech_from, self._speech_frames = None, 0
        return SegmentStarted(self._checkpoint.number, start)

    def _end(self, end: int, reason: EndReason, *, resume_at: int, continues: bool = False) -> SegmentEnded:
        number = self._checkpoint.number
        self._begin(Checkpoint(number + 1, resume_at, end, continues))
        return SegmentEnded(number, end, reason, self._checkpoint)
