"""The recent audio of one recording, addressed by sample index on the recording's clock."""

import numpy as np

from parley.audio import SAMPLE_RATE, Samples

_FIRST_CAPACITY = SAMPLE_RATE


class Timeline:
    """Samples from `start` up to `end`; appended at the end, forgotten from the start. One growing buffer."""

    def __init__(self, start: int = 0) -> None:
        self.start = start
        """The first sample that is still here."""
        self.end = start
        """The sample after the last that came."""
        self._buffer: Samples = np.empty(_FIRST_CAPACITY, np.int16)
        self._origin = start  # the sample at the buffer's beginning

    def append(self, samples: Samples) -> None:
        """Adds samples of shape (n,), int16."""
        if self.end - self._origin + len(samples) > len(self._buffer):
            self._make_room(len(samples))
        offset = self.end - self._origin
        self._buffer[offset : offset + len(samples)] = samples
        self.end += len(samples)

    def slice(self, start: int, end: int) -> Samples:
        """Samples [start, end), a copy, clipped at what has come so far. Raises ValueError for what was forgotten."""
        if start < self.start:
            raise ValueError(f"samples from {start} were forgotten; the timeline begins at {self.start}")
        return self._buffer[start - self._origin : max(start, min(end, self.end)) - self._origin].copy()

    def forget_before(self, sample: int) -> None:
        """Lets go of what lies before `sample`."""
        self.start = max(self.start, min(sample, self.end))

    def _make_room(self, samples: int) -> None:
        kept = self.end - self.start
        old = self._buffer[self.start - self._origin : self.end - self._origin]
        capacity = max(_FIRST_CAPACITY, 2 * (kept + samples))
        grown: Samples = np.empty(capacity, np.int16)
        grown[:kept] = old
        self._buffer, self._origin = grown, self.start
