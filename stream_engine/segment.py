"""One segment as an engine keeps it: its audio, what of it is committed, and when it is worth another decode."""

from typing import Literal

import numpy as np

from parley.audio import SAMPLE_RATE, Samples
from parley.errors import EngineError, TooLarge
from parley.guards import better
from parley.transcript import Hypothesis
from stream_engine.commit import Committer

_FIRST_CAPACITY = 4 * SAMPLE_RATE
_FIRST_PARTIAL = SAMPLE_RATE // 2
"""Samples before the first decode: from less than half a second Whisper makes words up."""
_CONTEXT = 2 * SAMPLE_RATE
_MOST_UNSETTLED = 10 * SAMPLE_RATE
"""Samples of a partial's window in which nothing more is committed, after which it begins anew: noise, or babble."""
_PAUSE = SAMPLE_RATE * 3 // 10
"""Samples behind a pause in which no partial is worth a decode: its draft says all, and the end may come any moment."""


class OpenSegment:
    """The audio of a segment since its beginning, at most `max_samples`, and the state of its partials.

    A partial's window over `longest_window` samples moves up behind committed words.
    """

    def __init__(
        self, number: int, committer: Committer, *, max_samples: int, longest_window: int, likely: str | None = None
    ) -> None:
        self.number = number
        self.likely = likely
        """The language to take where the one that is heard is not certain."""
        self.committer = committer
        self.revision = 0
        self.over = False
        self.final: FinalDecode | None = None
        """The final that was asked for last, perhaps in advance."""
        self.window = PartialWindow(self, longest_window)
        self._max = max_samples
        self._buffer: Samples = np.empty(_FIRST_CAPACITY, np.int16)
        self._length = 0
        self._decoded = 0  # length when the last decode began
        self._asked = 0  # length when the last decode was asked for
        self._shown = 0  # length when the last partial was sent

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

    @property
    def stale(self) -> int:
        """Samples that came since the last partial, or since the beginning."""
        return self._length - self._shown

    def shown(self) -> None:
        """A partial is sent, or there is nothing to send."""
        self._shown = self._length

    def decoding(self) -> None:
        """A decode of all that came begins."""
        self._decoded = self._length

    @property
    def pauses(self) -> bool:
        """Whether a final was asked for in advance, and the segment may still end there."""
        return self.final is not None and self._length - len(self.final) < _PAUSE

    def wants_partial(self, interval_samples: int) -> bool:
        """Whether enough audio came since the last decode began, and since one was asked for; then one is asked for."""
        if self.pauses:
            return False
        due = self._length - max(self._decoded, self._asked) >= interval_samples and self._length >= _FIRST_PARTIAL
        if due:
            self._asked = self._length
        return due


class PartialWindow:
    """What a partial hears: the segment's audio from `start` on. The window moves up as words are committed."""

    attempt = 0

    def __init__(self, segment: OpenSegment, longest: int) -> None:
        """Over `longest` samples the window is to move up."""
        self._segment = segment
        self._longest = longest
        self.start = 0

    def __len__(self) -> int:
        return len(self._segment) - self.start

    @property
    def timed(self) -> bool:
        """Whether the words' times matter: where the window is to move up behind one of them."""
        return len(self) > self._longest

    def snapshot(self) -> Samples:
        """All that there is now."""
        self._segment.decoding()
        return self._segment.slice(self.start, len(self._segment))

    def move_up(self, samples: int) -> None:
        """After a decode of `samples` samples that timed its words, the window begins anew behind a committed one.

        Two seconds before its end stay in it: from less Whisper makes words up, and what is heard again of the
        committed words shows where the two windows meet. Where nothing is committed for long, they are all that stays.
        """
        if samples <= self._longest:
            return
        end = self.start + samples
        committer = self._segment.committer.moved(end - _CONTEXT)
        if committer.passed > self._segment.committer.passed:
            self._segment.committer = committer
            self.start = committer.committed[committer.passed - 1].end
        elif samples > _MOST_UNSETTLED:
            self.start = end - _CONTEXT


class FinalDecode:
    """The first `samples` samples of a segment as audio to decode: its final, or a draft of it; and what was heard."""

    timed = True

    def __init__(self, segment: OpenSegment, samples: int) -> None:
        self._segment = segment
        self._samples = samples
        self.attempt = 0
        self.state: Literal["waiting", "decoding", "decoded"] = "waiting"
        self.outcome: Hypothesis | EngineError | None = None
        """The best so far."""
        self._failed = False

    def __len__(self) -> int:
        return self._samples

    def snapshot(self) -> Samples:
        """The samples; from now on a decode of them is under way."""
        self.state = "decoding"
        return self._segment.slice(0, self._samples)

    def heard(self, outcome: Hypothesis | EngineError) -> None:
        """Takes the outcome of an attempt. Another is due (`waiting`) where it left doubts, or failed for once."""
        self.outcome = better(self.outcome, outcome)
        if isinstance(outcome, Hypothesis):
            again = outcome.doubtful
        else:
            again = outcome.retryable and not self._failed
            self._failed = True
        self.attempt += again
        self.state = "waiting" if again else "decoded"
