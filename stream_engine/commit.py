"""LocalAgreement-2: which words of a growing segment are settled. Pure.

A word is committed once two hypotheses in a row agree on it and on everything before it, and once it ends well before
the end of the audio (the guard). What is committed never changes; the rest is tentative.
Source: Macháček, Dabre, Bojar: Turning Whisper into Real-Time Transcription System,
https://aclanthology.org/2023.ijcnlp-demo.3. The guard is ours: the last word of a cut window is often half a word.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

from parley.transcript import Word

_OVERLAP_WORDS = 5
"""Committed words that a hypothesis may repeat at the seam; from the authors' reference implementation."""


@dataclass(frozen=True, slots=True)
class Committer:
    """The state after some hypotheses of one segment; `heard` gives the state after one more.

    `committed` and `tentative` are what the segment says, in order. Times are samples from the segment's start.
    """

    guard_samples: int
    committed: tuple[Word, ...] = ()
    tentative: tuple[Word, ...] = field(default=())

    def heard(self, words: Sequence[Word], samples: int) -> "Committer":
        """The state after a hypothesis `words` that covers the segment's first `samples` samples."""
        tail = self._after_committed(tuple(words))
        settled = 0
        for before, now in zip(self.tentative, tail, strict=False):
            if same(before) != same(now) or now.end > samples - self.guard_samples:
                break
            settled += 1
        return Committer(self.guard_samples, self.committed + tail[:settled], tail[settled:])

    def _after_committed(self, words: tuple[Word, ...]) -> tuple[Word, ...]:
        """The words of a hypothesis that continue the committed ones, by count where it repeats them, else by time."""
        count = len(self.committed)
        if [same(word) for word in words[:count]] == [same(word) for word in self.committed]:
            return words[count:]
        end = self.committed[-1].end
        later = tuple(word for word in words if word.start + word.end > 2 * end)
        return later[self._repeated(later) :]

    def _repeated(self, words: tuple[Word, ...]) -> int:
        """How many of the first `words` only say the last committed words again."""
        for count in range(min(_OVERLAP_WORDS, len(words), len(self.committed)), 0, -1):
            if [same(word) for word in words[:count]] == [same(word) for word in self.committed[-count:]]:
                return count
        return 0


def same(word: Word) -> str:
    """What two words share that count as the same: letters and digits, without case. Pure punctuation stays itself."""
    folded = unicodedata.normalize("NFKC", word.text).casefold()
    # Marks (M) carry vowels in many scripts, so they count like letters.
    return "".join(char for char in folded if unicodedata.category(char)[0] in "LNM") or folded
