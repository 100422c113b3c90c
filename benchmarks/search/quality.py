"""What search finds and ask answers, of questions whose answers are known."""

import time
from collections.abc import Sequence
from typing import Any

from benchmarks.search.corpus import Question
from benchmarks.search.library import Library
from benchmarks.search.scores import AT, Cited, Outcome, ndcg, recall
from parley.ask import Answer, AskRequest, Exchange
from rag import words
from rag.answering import terms
from rag.answering.history import joined
from rag.index import Found, scope_of
from rag.search import CANDIDATES, rank

SIDES = ("dense", "sparse", "fused")


def searched_for(library: Library, question: Question) -> str:
    """The question as it is searched for without a language model: a follow-up with what it follows."""
    return joined(question.text, history_of(question), terms.of_question(library.searcher.languages))


def history_of(question: Question) -> tuple[Exchange, ...]:
    return (Exchange(question=question.after),) if question.after else ()


async def retrieval(library: Library, questions: Sequence[Question]) -> list[dict[str, Any]]:
    """Recall and nDCG at ten of each side alone and of both fused."""
    found: dict[str, list[tuple[float, float]]] = {side: [] for side in SIDES}
    for question in (each for each in questions if each.places):
        query = searched_for(library, question)
        asked = words.of_query(query, library.searcher.languages)
        vector = await library.embedder.query(query)
        candidates = await library.index.search(scope_of(question.owner), vector, asked, CANDIDATES)
        in_all = sum(_of_point(library, question, place) for place in range(len(library.points)))
        orders = {
            "dense": candidates.dense,
            "sparse": candidates.words,
            "fused": [each.found for each in rank(candidates)],
        }
        for side, order in orders.items():
            relevant = [_is_relevant(library, question, each) for each in order[:AT]]
            found[side].append((recall(relevant), ndcg(relevant, in_all)))
    return [
        {"side": side, "recall_at_10": _mean([r for r, _ in values]), "ndcg_at_10": _mean([n for _, n in values])}
        for side, values in found.items()
    ]


async def answers(library: Library, questions: Sequence[Question]) -> list[Outcome]:
    """Every question asked, without a language model."""
    outcomes = []
    for question in questions:
        request = AskRequest(owner=question.owner, question=question.text, history=history_of(question))
        began = time.perf_counter()
        events = [event async for event in library.asker.ask(request)]
        seconds = time.perf_counter() - began
        (answer,) = [event for event in events if isinstance(event, Answer)]
        citations = tuple(
            Cited(library.names[cited.recording_id], cited.segments, cited.start_ms)
            for claim in answer.claims
            for cited in claim.citations
        )
        outcomes.append(Outcome(question, citations, answer.confidence, seconds))
    return outcomes


def _is_relevant(library: Library, question: Question, found: Found) -> bool:
    segments = [segment[0] for segment in found.payload["segments"]]
    return library.is_relevant(question, found.payload["recording"], segments)


def _of_point(library: Library, question: Question, place: int) -> bool:
    passage = library.points[place].passage
    return passage.source.owner == question.owner and library.is_relevant(
        question, passage.source.recording_id, [segment.number for segment in passage.segments]
    )


def _mean(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0
