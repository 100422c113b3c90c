"""`python -m benchmarks.search.fit`: fits the two models of `rag/answering/decision.py` on the calibration half.

The ranker is a softmax over the sentences of what was found: those that say the answer against all others. The decider
is a logistic regression of "something answers" over the signals. Both are linear, with values standardised and weights
held small (L2), since some 300 questions bear no more. Prints the module `rag/answering/weights.py`.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.search.corpus import Question, load_questions, load_recordings
from benchmarks.search.library import Library, open_library
from benchmarks.search.quality import searched_for
from benchmarks.search.scores import CITED_WITHIN_MS
from rag.answering.reading import MARKS, SIGNALS, Reading

Numbers = npt.NDArray[np.float64]
_L2_RANKER, _L2_DECIDER = 1.0, 5.0
_STEPS, _STEP, _MOMENTUM = 600, 0.1, 0.9
_FOLDS = 10
_FALSE_REFUSALS = 0.05
"""Of the answerable questions, in calibration: what the threshold allows. Of models that had not seen the question."""


async def readings(library: Library, questions: Sequence[Question]) -> list[Reading]:
    """What was found for each question, read."""
    found = [await library.asker.find(each.owner, searched_for(library, each)) for each in questions]
    return [each.reading for each in found if each.reading is not None]


def says_it(library: Library, question: Question, reading: Reading) -> npt.NDArray[np.bool_]:
    """Which sentences say the answer: those that begin where it does, nearly, or that it begins in."""
    near_ms = CITED_WITHIN_MS // 2
    return np.array(
        [
            any(
                library.names[sentence.recording_id] == place.recording
                and (
                    abs(sentence.start_ms - place.start_ms) <= near_ms
                    or sentence.start_ms <= place.start_ms < sentence.end_ms
                )
                for place in question.places
            )
            for sentence in reading.sentences
        ]
    )


def fit_ranker(examples: Sequence[tuple[Numbers, npt.NDArray[np.bool_]]]) -> tuple[Numbers, Numbers, Numbers]:
    """Means, spreads and weights of a softmax regression by gradient ascent."""
    every = np.vstack([marks for marks, _ in examples])
    means, spreads = every.mean(0), every.std(0) + 1e-9
    weights, pace = np.zeros(len(means)), np.zeros(len(means))
    for _ in range(_STEPS):
        gradient = -_L2_RANKER * weights
        for marks, right in examples:
            values = (marks - means) / spreads
            chances = _softmax(values @ weights)
            gradient += values.T @ (_softmax(np.where(right, values @ weights, -np.inf)) - chances)
        pace = _MOMENTUM * pace + gradient / len(examples)
        weights = weights + _STEP * pace
    return means, spreads, weights


def fit_decider(values: Numbers, answerable: Numbers) -> tuple[Numbers, Numbers, Numbers, float]:
    """Means, spreads, weights and constant of a logistic regression by Newton's method."""
    means, spreads = values.mean(0), values.std(0) + 1e-9
    inputs = np.c_[(values - means) / spreads, np.ones(len(values))]
    penalty = np.eye(inputs.shape[1]) * _L2_DECIDER
    penalty[-1, -1] = 0
    weights = np.zeros(inputs.shape[1])
    for _ in range(50):
        chances = 1 / (1 + np.exp(-inputs @ weights))
        slope = inputs.T @ (answerable - chances) - penalty @ weights
        curve = (inputs * (chances * (1 - chances))[:, np.newaxis]).T @ inputs + penalty
        weights = weights + np.linalg.solve(curve, slope)
    return means, spreads, weights[:-1], float(weights[-1])


def _softmax(logits: Numbers) -> Numbers:
    raised = np.exp(logits - logits.max())
    result: Numbers = raised / raised.sum()
    return result


def _listed(name: str, fitted: dict[str, float]) -> str:
    lines = "\n".join(f'    "{key}": {value:.5g},' for key, value in fitted.items())
    return f"{name}: dict[str, float] = {{\n{lines}\n}}\n"


def _named(names: Sequence[str], means: Numbers, spreads: Numbers, weights: Numbers) -> dict[str, float]:
    return {
        f"{name}.{part}": float(value)
        for name, *values in zip(names, means, spreads, weights, strict=True)
        for part, value in zip(("mean", "spread", "weight"), values, strict=True)
    }


@dataclass(frozen=True, slots=True)
class Example:
    """A question of the calibration half with what was found; `right`: the sentences that say the answer, if any do."""

    reading: Reading
    right: npt.NDArray[np.bool_]
    answerable: bool


@dataclass(frozen=True, slots=True)
class Fitted:
    """Both models, of the same examples."""

    ranker: tuple[Numbers, Numbers, Numbers]
    decider: tuple[Numbers, Numbers, Numbers, float]

    @classmethod
    def of(cls, examples: Sequence[Example]) -> "Fitted":
        ranker = fit_ranker([(each.reading.marks, each.right) for each in examples if each.right.any()])
        signals = np.array([_signals(ranker, each.reading) for each in examples])
        return cls(ranker, fit_decider(signals, np.array([float(each.answerable) for each in examples])))

    def chance(self, reading: Reading) -> float:
        """That something answers."""
        means, spreads, weights, constant = self.decider
        logit = (_signals(self.ranker, reading) - means) / spreads @ weights + constant
        return float(1 / (1 + np.exp(-logit)))


def held_out_chances(examples: Sequence[Example]) -> list[float]:
    """For each answerable example, the chance by models that were fitted without it: as it is for questions to come."""
    chances = []
    for fold in range(_FOLDS):
        fitted = Fitted.of([each for place, each in enumerate(examples) if place % _FOLDS != fold])
        chances += [fitted.chance(each.reading) for each in examples[fold::_FOLDS] if each.answerable]
    return chances


def _signals(ranker: tuple[Numbers, Numbers, Numbers], reading: Reading) -> Numbers:
    means, spreads, weights = ranker
    return reading.signals((reading.marks - means) / spreads @ weights)


async def fit() -> str:
    """The module of the weights."""
    recordings = load_recordings()
    questions = [each for each in load_questions(recordings) if each.half == "calibration"]
    async with open_library(recordings) as library:
        read = await readings(library, questions)
        examples = [
            Example(reading, says_it(library, question, reading), bool(question.places))
            for question, reading in zip(questions, read, strict=True)
        ]
    fitted = Fitted.of(examples)
    chances = held_out_chances(examples)
    *decider, constant = fitted.decider
    decided = {
        **_named(SIGNALS, *decider),
        "constant": constant,
        "threshold": float(np.quantile(chances, _FALSE_REFUSALS)),
        "hopeless": min(chances) / 2,
    }
    heading = '"""Weights fitted by `python -m benchmarks.search.fit`; `decision.py` says of what."""\n\n'
    return heading + _listed("RANKED", _named(MARKS, *fitted.ranker)) + "\n" + _listed("ANSWERED", decided)


if __name__ == "__main__":
    print(asyncio.run(fit()), end="")
