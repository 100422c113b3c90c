"""`python -m benchmarks.search`: what search finds and ask answers, of questions with known answers; how fast."""

import argparse
import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import structlog

from benchmarks import report
from benchmarks.search.corpus import Question, load_questions, load_recordings
from benchmarks.search.latency import measure
from benchmarks.search.leaks import leaks
from benchmarks.search.library import open_library
from benchmarks.search.quality import answers, retrieval
from benchmarks.search.scores import Outcome, rates
from parley.settings import RagSettings
from rag.embedding import open_embedder


async def run(args: argparse.Namespace) -> dict[str, Any]:
    """The result; keys are explained in `benchmarks/README.md`."""
    recordings = load_recordings()
    questions = load_questions(recordings)
    test = [each for each in questions if args.half in ("both", each.half)]
    async with open_library(recordings, args.model) as library:
        report.progress(f"{len(recordings)} recordings, {len(library.points)} passages, {len(test)} questions …")
        sides = await retrieval(library, test)
        outcomes = await answers(library, test)
        leaked = await leaks(library, args.leak_queries)
        result = _summary(args, sides, outcomes) | {
            "recordings": len(recordings),
            "passages": len(library.points),
            "model": library.embedder.name,
            "leak_queries": args.leak_queries,
            "leaks": leaked,
        }
    if args.misses:
        _tell_misses(outcomes)
    return result | await _latencies(args.latency, args.model, questions)


def _summary(args: argparse.Namespace, sides: Sequence[dict[str, Any]], outcomes: Sequence[Outcome]) -> dict[str, Any]:
    (fused,) = [side for side in sides if side["side"] == "fused"]
    times = report.percentiles([outcome.seconds for outcome in outcomes], 50, 95)
    return {
        "half": args.half,
        "recall_at_10": fused["recall_at_10"],
        "ndcg_at_10": fused["ndcg_at_10"],
        **rates(outcomes),
        "ask_p50_s": times["p50"],
        "ask_p95_s": times["p95"],
        "sides": list(sides),
        "by_kind": _by_kind(outcomes),
    }


def _by_kind(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Of each kind of question: how many were answered, of those with an answer and of those without."""
    rows: dict[tuple[bool, str], list[Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault((bool(outcome.question.places), outcome.question.kind), []).append(outcome)
    return [
        {
            "kind": kind,
            "has_answer": has_answer,
            "questions": len(each),
            "answered": sum(outcome.answered for outcome in each),
        }
        for (has_answer, kind), each in sorted(rows.items(), reverse=True)
    ]


def _tell_misses(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.answered != bool(outcome.question.places):
            what = "refused" if outcome.question.places else "answered"
            report.progress(f"{what} ({outcome.confidence:.2f}): {outcome.question.text}")


async def _latencies(sizes: Sequence[int], model: str, questions: Sequence[Question]) -> dict[str, Any]:
    """`p95_ms` is that of the largest index."""
    if not sizes:
        return {"p50_ms": None, "p95_ms": None}
    embedder = open_embedder(RagSettings(), model)
    rows = []
    for size in sorted(sizes):
        report.progress(f"{size} passages …")
        rows.append((await measure(size, embedder, list(questions))).row())
    embedder.close()
    return {"p50_ms": rows[-1]["p50_ms"], "p95_ms": rows[-1]["p95_ms"], "latency": rows}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=(__doc__ or "").split(": ")[1])
    parser.add_argument("--half", choices=("test", "calibration", "both"), default="test", help="of the questions")
    parser.add_argument("--model", default="", help="embedding model, as in PARLEY_RAG__MODEL")
    parser.add_argument("--leak-queries", type=int, default=10_000)
    parser.add_argument("--latency", type=int, nargs="*", default=[], metavar="PASSAGES", help="sizes to measure")
    parser.add_argument("--misses", action="store_true", help="say which questions were wrongly answered or refused")
    report.add_output_options(parser)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if min([args.leak_queries + 1, *args.latency]) <= 0:
        parser.error("numbers must be positive")
    report.finish("search", asyncio.run(run(args)), args)


if __name__ == "__main__":
    main()
