"""`python -m benchmarks.chaos`: rounds of sessions in which connections and processes are cut, frozen and killed."""

import argparse
import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import structlog

from benchmarks import report
from benchmarks.chaos.damage import Damage
from benchmarks.chaos.round import Failed, Outcome, Reference, Stage, run_round, undisturbed
from benchmarks.chaos.voices import Voice, voices

SPOKEN_S = 560.0
"""Seconds of different speech: 40 voices of 14 s, of which each round takes as many as it has sessions."""


def run_rounds(stage: Stage, seed: int, rounds: int) -> list[Outcome]:
    """Rounds of the seeds from `seed` on, a line about each. A failed one is told with where its data lie."""
    stages = [stage.of_seed(seed + number) for number in range(rounds)]
    rehearsed = {each: _rehearse(each) for each in dict.fromkeys(stages)}
    outcomes = []
    for number, each in enumerate(stages):
        try:
            outcome = run_round(seed + number, each, *rehearsed[each])
        except Failed as failed:
            outcome = failed.outcome
            _tell_failure(failed)
        outcomes.append(outcome)
        report.progress(_line(number + 1, outcome))
    return outcomes


def _rehearse(stage: Stage) -> tuple[Sequence[Voice], Reference]:
    """What is said in rounds of this stage, and the finals of it."""
    everyone = voices(max(stage.sessions, round(SPOKEN_S / stage.seconds)), stage.seconds)
    report.progress(f"{len(everyone)} voices of {stage.seconds:g} s, undisturbed …")
    return everyone, undisturbed(stage, everyone)


def _line(number: int, outcome: Outcome) -> str:
    back = report.percentiles([recovery.seconds for recovery in outcome.recoveries], 95)["p95"]
    return (
        f"round {number} (seed {outcome.seed}): {len(outcome.faults)} faults, {outcome.reconnects} reconnects,"
        f" damage: {outcome.damage}, leftovers: {len(outcome.leftovers)}, text back p95: {back} s,"
        f" {outcome.seconds:.0f} s"
    )


def _tell_failure(failed: Failed) -> None:
    outcome = failed.outcome
    report.progress(f"FAILED; repeat it with --seed {outcome.seed} --rounds 1; data and logs are in {failed.data}")
    for line in (*outcome.details, *(f"  {fault}" for fault in outcome.faults)):
        report.progress(f"  {line}")


def summary(stage: Stage, seed: int, outcomes: Sequence[Outcome], elapsed_s: float) -> dict[str, Any]:
    """The result of all rounds, keys with their units."""
    damage = sum((outcome.damage for outcome in outcomes), Damage())
    back = [recovery for outcome in outcomes for recovery in outcome.recoveries]
    alone = [recovery.seconds for recovery in back if recovery.alone]
    return {
        "rounds": len(outcomes),
        "sessions": stage.sessions,
        "seed": seed,
        "gateways": stage.gateways,
        "engines": stage.engines,
        "pace": stage.pace,
        "audio_hours": round(sum(outcome.audio_s for outcome in outcomes) / 3600, 3),
        "faults": sum(len(outcome.faults) - outcome.missed for outcome in outcomes),
        "reconnects": sum(outcome.reconnects for outcome in outcomes),
        **{name: getattr(damage, name) for name in Damage.__dataclass_fields__},
        "leftovers": sum(len(outcome.leftovers) for outcome in outcomes),
        "failed_seeds": [outcome.seed for outcome in outcomes if not outcome.is_good],
        **{f"recovery_{name}_s": value for name, value in report.percentiles(alone, 50, 95, 100).items()},
        "recoveries": len(alone),
        **{
            f"recovery_amid_faults_{name}_s": value
            for name, value in report.percentiles([recovery.seconds for recovery in back], 50, 95, 100).items()
        },
        "recoveries_amid_faults": len(back),
        "faults_by_kind": _by_kind(outcomes),
        "seconds_per_round": round(elapsed_s / len(outcomes), 1),
    }


def _by_kind(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """How often each kind of fault struck each kind of target."""
    struck = Counter(
        (fault.kind, "connection" if isinstance(fault.target, int) else fault.target.split("-")[0])
        for outcome in outcomes
        for fault in outcome.faults
    )
    return [{"kind": kind, "target": target, "count": count} for (kind, target), count in sorted(struck.items())]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=(__doc__ or "").split(": ")[1])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the first round; each next has the next number")
    parser.add_argument("--sessions", type=int, default=20, help="at once in each round (default 20)")
    parser.add_argument("--seconds", type=float, default=14, help="audio of each session (default 14; 42 in an outage)")
    parser.add_argument("--pace", type=float, default=1, help="how much faster than life it is spoken (default 1)")
    parser.add_argument("--gateways", type=int, default=2)
    parser.add_argument("--engines", type=int, default=2)
    report.add_output_options(parser)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if min(args.rounds, args.sessions, args.gateways, args.engines, args.pace, args.seconds) <= 0:
        parser.error("all numbers but --seed must be positive")
    stage = Stage(args.sessions, args.gateways, args.engines, args.seconds, args.pace)
    began = time.monotonic()
    outcomes = run_rounds(stage, args.seed, args.rounds)
    result = summary(stage, args.seed, outcomes, time.monotonic() - began)
    report.finish(f"chaos-{args.rounds}", result, args)
    sys.exit(0 if all(outcome.is_good for outcome in outcomes) else 1)


if __name__ == "__main__":
    main()
