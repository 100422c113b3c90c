"""One segment as an engine keeps it: its audio, what of it is committed, and when it is worth another decode."""

import numpy as np

from parley.audio import SAMPLE_RATE, Samples
from parley.errors import EngineError, TooLarge
from parley.transcript import Hypothesis, join_words
from stream_engine.commit import Committer

_FIRST_CAPACITY = 4 * SAMPLE_RATE
_FIRST_PARTIAL = SAMPLE_RATE // 2
"""Samples before the first decode: from less than half a second Whisper makes words up."""
_CONTEXT = 2 * SAMPLE_RATE
_PAUSE = SAMPLE_RATE * 3 // 10
"""Samples behind a pause in which no partial is worth a decode: its draft says all, and the end may come any moment."""


class OpenSegment:
    """The audio of a segment since its beginning, at most `max_samples`, and the state of its partials."""

    def __init__(self, number: int, committer: Committer, max_samples: int) -> None:
        self.number = number
        self.committer = committer
        self.revision = 0
        self.over = False
        self.draft: Prefix | None = None
        self.window = PartialWindow(self)
        self._max = max_samples
        self._buffer: Samples = np.empty(_FIRST_CAPACITY, np.int16)
        self._length = 0
        self._decoded = 0  # length when the last decode began
        self._asked = 0  # length when the last decode was asked for

    def __len__(self) -> int:
        return self._length

    def append(self, samples: Samples) -> None:
        """Adds audio, shape (n,). Raises TooLarge over the longest segment."""
        length = self._length + len(samples)
        if length > self._max:
            raise TooLarge(
                f"Segment {self.number} has {length} samples; at most {self._max} are taken.", code="segment_too_long"
            )
        if length > len(self._buffer):
            # A new array, not a resized one: a decode in flight may still look at the old.
            grown: Samples = np.empty(min(max(length, 2 * len(self._buffer)), self._max), np.int16)
            grown[: self._length] = self._buffer[: self._length]
            self._buffer = grown
        self._buffer[self._length : length] = samples
        self._length = length

    def end(self, samples: int) -> None:
        """The segment is over and keeps its first `samples` samples."""
        self._length = samples
        self.over = True

    def slice(self, start: int, end: int) -> Samples:
        """Samples [start, end), a view: what comes later is written behind it."""
        return self._buffer[start:end]

    def decoding(self) -> None:
        """A decode of all that came begins."""
        self._decoded = self._length

    def wants_partial(self, interval_samples: int) -> bool:
        """Whether enough audio came since the last decode began, and since one was asked for; then one is asked for."""
        if self.draft is not None and self._length - len(self.draft) < _PAUSE:
            return False
        due = self._length - max(self._decoded, self._asked) >= interval_samples and self._length >= _FIRST_PARTIAL
        if due:
            self._asked = self._length
        return due


class PartialWindow:
    """What a partial hears: the segment's audio from `start` on. The window moves up as words are committed."""

    def __init__(self, segment: OpenSegment) -> None:
        self._segment = segment
        self.start = 0
        self.prompt = ""
        """The committed text in front of the window."""

    def __len__(self) -> int:
        return len(self._segment) - self.start

    def snapshot(self) -> Samples:
        """All that there is now."""
        self._segment.decoding()
        return self._segment.slice(self.start, len(self._segment))

    def trim(self, longest: int) -> None:
        """Where the window is over `longest` samples, it begins anew behind a committed word.

        Two seconds before its end stay in it: from less Whisper makes words up, and what is heard again of the
        committed words shows where the two windows meet.
        """
        end = len(self._segment)
        if end - self.start <= longest:
            return
        committed = self._segment.committer.committed
        behind = [word for word in committed if word.end <= end - _CONTEXT]
        if behind and behind[-1].end > self.start:
            self.start = behind[-1].end
            self.prompt = join_words(behind)


class Prefix:
    """The first `samples` samples of a segment as audio to decode: its final, or a draft of it with its outcome."""

    def __init__(self, segment: OpenSegment, samples: int) -> None:
        self._segment = segment
        self._samples = samples
        self.started = False
        self.outcome: Hypothesis | EngineError | None = None

    prompt = ""

    def __len__(self) -> int:
        return self._samples

    def snapshot(self) -> Samples:
        """The samples; from now on a decode of them is under way."""
        self.started = True
        return self._segment.slice(0, self._samples)
