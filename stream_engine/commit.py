"""LocalAgreement-2: which words of a growing segment are settled. Pure.

A word is committed once two hypotheses in a row agree on it and on everything before it, and once it ends well before
the end of the audio (the guard). What is committed never changes; the rest is tentative.
Source: Macháček, Dabre, Bojar: Turning Whisper into Real-Time Transcription System,
https://aclanthology.org/2023.ijcnlp-demo.3. The guard is ours: the last word of a cut window is often half a word.
So is finding the seam by the words alone, for the times of a partial's words are guesses.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from parley.transcript import Word

_ECHO_WORDS = 5
"""Words before the window that a hypothesis may say again; from the authors' reference implementation."""


@dataclass(frozen=True, slots=True)
class Committer:
    """The state after some hypotheses of one segment; `heard` gives the state after one more.

    `committed` and `tentative` are what the segment says, in order. Times are samples from the segment's start. The
    first `passed` committed words lie before the window that is heard.
    """

    guard_samples: int
    committed: tuple[Word, ...] = ()
    tentative: tuple[Word, ...] = ()
    passed: int = 0

    def heard(self, words: Sequence[Word], samples: int) -> "Committer":
        """The state after a hypothesis `words` of a window that ends with the segment's first `samples` samples."""
        seam = self._seam(words)
        again, tail = tuple(words[:seam]), tuple(words[seam:])
        settled = 0
        for before, now in zip(self.tentative, tail, strict=False):
            if same(before) != same(now) or now.end > samples - self.guard_samples:
                break
            settled += 1
        return replace(self, committed=self._retimed(again) + tail[:settled], tentative=tail[settled:])

    def moved(self, until: int) -> "Committer":
        """The state when the window moves up behind the committed words that end by sample `until`."""
        further = takewhile(lambda word: word.end <= until, self.committed[self.passed :])
        return replace(self, passed=self.passed + sum(1 for _ in further))

    def _retimed(self, again: tuple[Word, ...]) -> tuple[Word, ...]:
        """The committed words, with the newest times where the hypothesis has them all."""
        before, expected = self.committed[: self.passed], self.committed[self.passed :]
        if len(again) != len(expected):
            return self.committed
        return before + tuple(
            replace(old, start=new.start, end=new.end) for old, new in zip(expected, again, strict=True)
        )

    def _seam(self, words: Sequence[Word]) -> int:
        """How many of the first `words` say again what is committed: the prefix with the fewest edits to it.

        The committed words in the window are expected again; those before it may be, where it was cut too early.
        """
        start = max(0, self.passed - _ECHO_WORDS)
        said = [same(word) for word in self.committed[start:]]
        heard = [same(word) for word in words[: 2 * len(said)]]
        edits = list(range(len(heard) + 1))
        for index, word in enumerate(said, start):
            row = [edits[0] + (index >= self.passed)]
            for column, other in enumerate(heard, 1):
                row.append(min(edits[column] + 1, row[-1] + 1, edits[column - 1] + (word != other)))
            edits = row
        return max(range(len(edits)), key=lambda column: (-edits[column], column))


def same(word: Word) -> str:
    """What two words share that count as the same: letters and digits, without case. Pure punctuation stays itself."""
    folded = unicodedata.normalize("NFKC", word.text).casefold()
    # Marks (M) carry vowels in many scripts, so they count like letters.
    return "".join(char for char in folded if unicodedata.category(char)[0] in "LNM") or folded
