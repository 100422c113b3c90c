"""The recent audio of one recording, addressed by sample index on the recording's clock."""

from collections import deque

import numpy as np

from parley.audio import Samples


class Timeline:
    """Samples from `start` up to `end`; appended at the end, forgotten from the start."""

    def __init__(self, start: int = 0) -> None:
        self._chunks: deque[Samples] = deque()
        self.start = start
        self.end = start

    def append(self, samples: Samples) -> None:
        """Samples of shape (n,), int16."""
        if len(samples):
            self._chunks.append(samples)
            self.end += len(samples)

    def slice(self, start: int, end: int) -> Samples:
        """Samples [start, end), clipped at what has come so far. Raises ValueError for what was forgotten."""
        if start < self.start:
            raise ValueError(f"samples from {start} were forgotten; the timeline begins at {self.start}")
        pieces, position = [], self.start
        for chunk in self._chunks:
            if position >= end:
                break
            if position + len(chunk) > start:
                pieces.append(chunk[max(0, start - position) : end - position])
            position += len(chunk)
        return np.concatenate(pieces) if pieces else np.empty(0, np.int16)

    def forget_before(self, sample: int) -> None:
        """Lets go of whole chunks that end at or before `sample`."""
        while self._chunks and self.start + len(self._chunks[0]) <= sample:
            self.start += len(self._chunks.popleft())
