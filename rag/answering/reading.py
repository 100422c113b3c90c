"""Which of the sentences that were found answer a question, and the signals of whether any does. Pure.

A cross-encoder would read question and passage together; none comes with a package, so sentences are told apart by what
can be seen from outside: likeness of meaning, words met, the kind of answer, what stands around them. In talk, the
answer is often not the sentence that is most like the question but the one behind it ("How large?" "Like a tennis
ball."), so neighbours count.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parley.rag_wire import Hit
from rag.answering.kinds import fit
from rag.answering.question import Question, has_word
from rag.answering.sentences import Sentence

Vectors = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]
TermsOf = Callable[[str, str], frozenset[int]]
"""The index's terms of a text in a language."""

MARKS = (
    "likeness",
    "likeness_with_previous",
    "likeness_of_question_before",
    "terms_around",
    "terms_in_passage",
    "kind_fits",
    "passage_rank",
    "is_question",
    "passage_likeness",
    "likeness_of_neighbours",
    "likeness_with_three_before",
    "brings_words",
    "kind_fits_and_terms_around",
)
"""What is known of a sentence, in the order of `Reading.marks`."""
SIGNALS = (
    "best_likeness",
    "best_pair_likeness",
    "best_passage_likeness",
    "best_score",
    "lead",
    "terms_around_best",
    "terms_in_best_passage",
    "terms_nowhere",
    "exact_words_met",
    "names_met",
    "sides_agree",
    "kind_fits_best",
    "best_pair_of_the_kind",
    "share_of_best_recording",
)
"""What is known of all that was found, in the order of `Reading.signals`."""
_AROUND = 2
"""Sentences before and behind."""
_BEFORE = 3
"""Sentences whose vectors are added to a sentence's own: an answer comes behind what it is about."""
_LEAD_OVER = 5
_ENOUGH_WORDS = 6
"""That a sentence has and the question has not: then it has room for an answer."""


@dataclass(frozen=True, slots=True)
class Reading:
    """`marks`: shape (sentences, MARKS). `likeness`: cosine of each sentence; of it with the one before it."""

    question: Question
    hits: tuple[Hit, ...]
    sentences: tuple[Sentence, ...]
    marks: Numbers
    pair_likeness: Numbers
    terms_nowhere: float

    def signals(self, scores: Numbers) -> Numbers:
        """Shape (SIGNALS,), with the sentences' `scores` by the ranker."""
        best = int(np.argmax(scores))
        marks = dict(zip(MARKS, self.marks[best], strict=True))
        ranked = np.sort(scores)[::-1]
        found = _shown(self.hits)
        values = {
            "best_likeness": self.marks[:, 0].max(),
            "best_pair_likeness": self.pair_likeness.max(),
            "best_passage_likeness": max(hit.scores.dense or 0.0 for hit in self.hits),
            "best_score": ranked[0],
            "lead": ranked[0] - ranked[min(_LEAD_OVER, len(ranked) - 1)],
            "terms_around_best": marks["terms_around"],
            "terms_in_best_passage": self.marks[:, MARKS.index("terms_in_passage")].max(),
            "terms_nowhere": self.terms_nowhere,
            "exact_words_met": _met(self.question.exact, found),
            "names_met": _met(self.question.names, found),
            "sides_agree": _agreement(self.hits),
            "kind_fits_best": marks["kind_fits"],
            "best_pair_of_the_kind": ((self.marks[:, MARKS.index("kind_fits")] + 0.5) * self.pair_likeness).max(),
            "share_of_best_recording": self._share_of_recording(best, scores),
        }
        return np.array([values[name] for name in SIGNALS])

    def _share_of_recording(self, best: int, scores: Numbers) -> float:
        """How much of the ranker's belief lies in the recording of the best sentence."""
        belief = np.exp(scores - scores.max())
        recording = self.sentences[best].recording_id
        inside = np.array([sentence.recording_id == recording for sentence in self.sentences])
        return float(belief[inside].sum() / belief.sum())


def read_sentences(
    question: Question,
    hits: Sequence[Hit],
    sentences: Sequence[Sentence],
    vectors: Vectors,
    asked: Vectors,
    terms_of: TermsOf,
) -> Reading:
    """`vectors`: shape (sentences, d); `asked`: shape (d,), of the question; all of length 1."""
    languages = {hit.recording_id: hit.language for hit in hits}
    terms = [terms_of(sentence.text, languages[sentence.recording_id]) for sentence in sentences]
    passages = [terms_of(_shown([hit]), hit.language) for hit in hits]
    weigh = _weights(question, terms)
    alone = (vectors @ asked).astype(float)
    pairs = _with_previous(sentences, vectors, asked, alone)
    of_question = frozenset[int]().union(*question.words)
    marks = np.zeros((len(sentences), len(MARKS)))
    for place, sentence in enumerate(sentences):
        around = _around(sentences, place)
        terms_around = weigh(frozenset().union(*(terms[other] for other in around)))
        kind = fit(question.wanted, sentence.text) - 0.5
        marks[place] = (
            alone[place],
            pairs[place],
            _question_before(sentences, place, alone),
            terms_around,
            weigh(passages[sentence.passage]),
            kind,
            1 / (1 + sentence.passage),
            float(sentence.is_question),
            hits[sentence.passage].scores.dense or 0.0,
            max((alone[other] for other in around if other != place), default=0.0),
            _with_before(sentences, place, vectors, asked),
            min(1.0, len(terms[place] - of_question) / _ENOUGH_WORDS),
            kind * terms_around,
        )
    met = frozenset().union(*passages)
    nowhere = 1 - weigh(met) if question.words else 1.0
    return Reading(question, tuple(hits), tuple(sentences), marks, pairs, nowhere)


def _weights(question: Question, terms: Sequence[frozenset[int]]) -> Callable[[frozenset[int]], float]:
    """How much of the question a set of terms meets, 0 to 1. Words weigh more that are rare in what was found."""
    everywhere = math.log1p(len(terms))
    weights = []
    for numbers in question.words:
        holding = sum(1 for each in terms if not numbers.isdisjoint(each))
        weights.append(math.log1p(len(terms) / (1 + holding)) / everywhere if everywhere else 1.0)
    whole = sum(weights)

    def weigh(met: frozenset[int]) -> float:
        if not whole:
            return 0.0
        return sum(weight for weight, numbers in zip(weights, question.words, strict=True) if numbers & met) / whole

    return weigh


def _with_previous(sentences: Sequence[Sentence], vectors: Vectors, asked: Vectors, alone: Numbers) -> Numbers:
    """Likeness of each sentence taken together with the one before it; its own where there is none."""
    likeness = alone.copy()
    for place in range(1, len(sentences)):
        if _neighbours(sentences[place - 1], sentences[place]):
            both = vectors[place - 1] + vectors[place]
            likeness[place] = float(both @ asked) / (float(np.linalg.norm(both)) or 1.0)
    return likeness


def _with_before(sentences: Sequence[Sentence], place: int, vectors: Vectors, asked: Vectors) -> float:
    """Likeness of a sentence taken together with up to three before it."""
    first = place
    while first and place - first < _BEFORE and _neighbours(sentences[first - 1], sentences[first]):
        first -= 1
    together = vectors[first : place + 1].sum(0)
    return float(together @ asked) / (float(np.linalg.norm(together)) or 1.0)


def _question_before(sentences: Sequence[Sentence], place: int, alone: Numbers) -> float:
    """Likeness of the question that somebody asked just before this sentence; 0 where nobody did."""
    for other in range(place - 1, max(-1, place - 1 - _AROUND), -1):
        if not _neighbours(sentences[other], sentences[other + 1]):
            return 0.0
        if sentences[other].is_question:
            return max(0.0, float(alone[other]))
    return 0.0


def _around(sentences: Sequence[Sentence], place: int) -> list[int]:
    first = last = place
    while first and place - first < _AROUND and _neighbours(sentences[first - 1], sentences[first]):
        first -= 1
    while last + 1 < len(sentences) and last - place < _AROUND and _neighbours(sentences[last], sentences[last + 1]):
        last += 1
    return list(range(first, last + 1))


def _neighbours(earlier: Sentence, later: Sentence) -> bool:
    return earlier.recording_id == later.recording_id and later.segment - earlier.segment <= 1


def _shown(hits: Sequence[Hit]) -> str:
    return "\n".join(f"{hit.title or ''}\n{' '.join(segment.text for segment in hit.segments)}" for hit in hits)


def _met(words: Sequence[str], text: str) -> float:
    return sum(has_word(text, word) for word in words) / len(words) if words else 1.0


def _agreement(hits: Sequence[Hit]) -> float:
    """1 where the passage nearest by meaning is the first by words too; less, the further back it stands there."""
    by_meaning = max(hits, key=lambda hit: hit.scores.dense or 0.0)
    by_words = sorted(hits, key=lambda hit: -(hit.scores.words or 0.0))
    return 1 / (1 + by_words.index(by_meaning)) if by_meaning.scores.words else 0.0
