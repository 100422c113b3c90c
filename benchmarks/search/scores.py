"""What is counted of retrieval and of answers. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.search.corpus import Place, Question

AT = 10
"""Passages that are looked at."""
CITED_WITHIN_MS = 5000


@dataclass(frozen=True, slots=True)
class Cited:
    """Where an answer plays from: the recording's name, the segments, the time."""

    recording: str
    segments: tuple[int, ...]
    start_ms: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one question. `citations`: in the answer's order; none: it was refused."""

    question: Question
    citations: tuple[Cited, ...]
    confidence: float = 0.0
    seconds: float = 0.0

    @property
    def answered(self) -> bool:
        return bool(self.citations)


def recall(relevant: Sequence[bool]) -> float:
    """Whether any of the first ten is relevant. `relevant`: by place, the best first."""
    return float(any(relevant[:AT]))


def ndcg(relevant: Sequence[bool], in_all: int) -> float:
    """Normalised discounted cumulative gain of the first ten, of `in_all` relevant passages.

    Source: Järvelin, Kekäläinen 2002, https://doi.org/10.1145/582415.582418
    """
    gain = sum(_discount(place) for place, is_relevant in enumerate(relevant[:AT]) if is_relevant)
    best = sum(_discount(place) for place in range(min(in_all, AT)))
    return gain / best if best else 0.0


def _discount(place: int) -> float:
    return 1 / math.log2(place + 2)


def plays_the_answer(cited: Cited, places: Sequence[Place]) -> bool:
    """Whether the words that answer begin within five seconds of where it plays from, before or after."""
    return any(
        cited.recording == place.recording and abs(cited.start_ms - place.start_ms) <= CITED_WITHIN_MS
        for place in places
    )


def rates(outcomes: Sequence[Outcome]) -> dict[str, float | int]:
    """The shares that `benchmarks/README.md` names."""
    answerable = [each for each in outcomes if each.question.places]
    unanswerable = [each for each in outcomes if not each.question.places]
    answered = [each for each in answerable if each.answered]
    first = [plays_the_answer(each.citations[0], each.question.places) for each in answered]
    any_of = [any(plays_the_answer(cited, each.question.places) for cited in each.citations) for each in answered]
    return {
        "answerable": len(answerable),
        "unanswerable": len(unanswerable),
        "refusals_right": _share([not each.answered for each in unanswerable]),
        "refusals_false": _share([not each.answered for each in answerable]),
        "citations_within_5s": _share(any_of),
        "first_citation_within_5s": _share(first),
        "citations_per_answer": round(sum(len(each.citations) for each in answered) / max(1, len(answered)), 2),
    }


def _share(values: Sequence[bool]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0
