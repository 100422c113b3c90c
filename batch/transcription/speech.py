"""The speech in a file: the segments that a live session would have found in the same audio, each with its samples.

A file comes in long pieces, so the detector's network is asked about two seconds at a time. What it has said behind the
end of a segment is thrown away, for the search begins anew there; longer questions would throw away more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from parley.audio import Samples
from parley.segmenter import FRAME, Checkpoint, SegmentEnded, Segmenter, SegmentEvent, SegmentStarted
from parley.settings import SegmenterSettings
from parley.silero import CONTEXT, STATE, Floats, SileroModel, model_path
from parley.timeline import Timeline

_FRAMES_AT_ONCE = 64
"""Seconds of processor time for an hour of readings: 8 frames 11.0, 16 7.2, 32 5.4, 64 4.6, 312 4.6."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A segment that is to be written down: `samples` are [start, end) of the recording, int16.

    `checkpoint`: where the search for the one after it begins.
    """

    number: int
    start: int
    end: int
    samples: Samples
    checkpoint: Checkpoint


@cache
def detector() -> SileroModel:
    """The one of this process; loaded when the first file comes, since workers of other kinds never need it."""
    return SileroModel(model_path())


class Speech:
    """One recording's search, from a checkpoint on. Feed all samples from `begin` on, in order; every call blocks."""

    def __init__(self, model: SileroModel, settings: SegmenterSettings, checkpoint: Checkpoint) -> None:
        self.begin = checkpoint.audio_from(settings)
        """The sample from which it is to be fed."""
        self._model = model
        self._timeline = Timeline(self.begin)
        self._segmenter = Segmenter(settings, checkpoint)
        self._start = 0  # of the open segment
        self._restart(checkpoint.position)

    def feed(self, samples: Samples) -> list[Piece]:
        """Takes samples of shape (n,); the segments that end because of them."""
        self._timeline.append(samples)
        return self._search()

    def finish(self) -> list[Piece]:
        """No more audio comes: the open segment ends with it."""
        pieces: list[Piece] = []
        while self._heard < self._timeline.end:
            pieces += self._hear(1)  # the frame that the audio ends in
            pieces += self._search()
        return pieces + self._apply(self._segmenter.finalize(self._timeline.end, "stop"))

    def _restart(self, position: int) -> None:
        """The detector has heard nothing before `position`."""
        self._heard = position
        self._context: Samples = np.zeros(CONTEXT, np.int16)
        self._state: Floats = np.zeros((2, 1, STATE), np.float32)

    def _search(self) -> list[Piece]:
        """In all whole frames."""
        pieces: list[Piece] = []
        while (count := min(_FRAMES_AT_ONCE, (self._timeline.end - self._heard) // FRAME)) > 0:
            pieces += self._hear(count)
        self._timeline.forget_before(min(self._segmenter.earliest_needed, self._heard))
        return pieces

    def _hear(self, count: int) -> list[Piece]:
        """The next `count` frames, filled up with silence where the audio ends before."""
        until = self._heard + count * FRAME
        joined = np.concatenate([self._context, self._timeline.slice(self._heard, until)])
        joined = np.pad(joined, (0, CONTEXT + count * FRAME - len(joined)))
        (found,), self._state = self._model.detect([joined], self._state)
        self._heard, self._context = until, joined[-CONTEXT:]
        return self._apply(self._segmenter.feed(found))

    def _apply(self, events: Sequence[SegmentEvent]) -> list[Piece]:
        pieces = []
        for event in events:
            match event:
                case SegmentStarted(_, start):
                    self._start = start
                case SegmentEnded():
                    checkpoint = event.checkpoint.within(self._timeline.end)
                    samples = self._timeline.slice(self._start, checkpoint.last_end)
                    pieces.append(Piece(event.number, self._start, checkpoint.last_end, samples, checkpoint))
                    self._restart(checkpoint.position)
        return pieces
