"""Whether anything that was found answers a question, and which sentences: two small linear models. Pure.

Their weights were fitted on the calibration half of the evaluation set by `python -m benchmarks.search.fit`, which
prints them; `benchmarks.search` measures them on the other half. `docs/adr/0022-abstention.md` has the figures.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rag.answering.reading import MARKS, SIGNALS, Numbers, Reading
from rag.answering.sentences import Sentence
from rag.answering.weights import ANSWERED, RANKED

THRESHOLD = ANSWERED["threshold"]
"""Probability from which extracts are given: at it, one answerable question in twenty was refused in calibration, each
by weights that were fitted without it."""
HOPELESS = ANSWERED["hopeless"]
"""Below this no language model is asked: no answerable question in calibration came near it."""
MOST_EXTRACTS = 3
APART_MS = 5000
"""Extracts are at least so far apart: each then adds a place of its own, and who plays one hears what is around it."""


@dataclass(frozen=True, slots=True)
class Linear:
    """Weights of standardised values, and a constant."""

    means: Numbers
    spreads: Numbers
    weights: Numbers
    constant: float

    @classmethod
    def of(cls, fitted: dict[str, float], prefix_of: Sequence[str]) -> "Linear":
        columns = [[fitted[f"{name}.{part}"] for name in prefix_of] for part in ("mean", "spread", "weight")]
        means, spreads, weights = (np.array(column) for column in columns)
        return cls(means, spreads, weights, fitted.get("constant", 0.0))

    def __call__(self, values: Numbers) -> Numbers:
        """For values of shape (n, …): shape (n,)."""
        result: Numbers = (values - self.means) / self.spreads @ self.weights + self.constant
        return result


_RANKER = Linear.of(RANKED, MARKS)
_DECIDER = Linear.of(ANSWERED, SIGNALS)


def score(reading: Reading) -> Numbers:
    """How likely each sentence is the answer, as a logit: shape (sentences,)."""
    return _RANKER(reading.marks)


def confidence(reading: Reading) -> float:
    """The probability that something of what was found answers the question."""
    logit = float(_DECIDER(reading.signals(score(reading))[np.newaxis])[0])
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, logit))))


def best_sentences(reading: Reading) -> list[Sentence]:
    """The one to three sentences to show, the best first, each at a place of its own."""
    chosen: list[Sentence] = []
    for place in np.argsort(-score(reading), kind="stable"):
        sentence = reading.sentences[int(place)]
        if all(_apart(sentence, other) for other in chosen):
            chosen.append(sentence)
        if len(chosen) == MOST_EXTRACTS:
            break
    return chosen


def _apart(one: Sentence, other: Sentence) -> bool:
    return one.recording_id != other.recording_id or abs(one.start_ms - other.start_ms) >= APART_MS
