"""`python -m benchmarks.jobs`: jobs of scripted steps, many at once, or (`--chaos`) while everything is killed."""

import argparse
import logging
import sys

import structlog

from benchmarks import report
from benchmarks.jobs import chaos, rush
from benchmarks.jobs.steps import Script

_RUSH_JOBS, _CHAOS_JOBS = 100, 200


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs", description=(__doc__ or "").split(": ")[1])
    parser.add_argument("--chaos", action="store_true", help="kill workers, the broker and the engine meanwhile")
    parser.add_argument("--jobs", type=int, help=f"(default {_RUSH_JOBS} at once; with --chaos {_CHAOS_JOBS})")
    parser.add_argument("--workers", type=int, help="(default 1, as `parley up`; with --chaos 4)")
    parser.add_argument("--connections", type=int, help="calls under way at once (default: all; a browser: 6)")
    parser.add_argument("--faults", type=int, default=100, help="of --chaos (default 100)")
    parser.add_argument("--every", type=float, default=5, help="seconds between two faults (default 5)")
    parser.add_argument("--seed", type=int, default=0)
    report.add_output_options(parser)
    args = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    jobs = args.jobs or (_CHAOS_JOBS if args.chaos else _RUSH_JOBS)
    workers = args.workers or (4 if args.chaos else 1)
    connections = args.connections or jobs
    if min(jobs, workers, connections, args.faults, args.every) <= 0:
        parser.error("all numbers but --seed must be positive")
    if not args.chaos:
        name = f"jobs-{jobs}" if connections == jobs else f"jobs-{jobs}-connections-{connections}"
        report.finish(name, rush.measure(jobs, workers, connections), args)
        return
    work = {"stt": Script(seconds=6), "llm": Script(seconds=2), "notify": Script(seconds=0.3)}
    result = chaos.measure(chaos.Plan(jobs, args.faults, args.every, workers, args.seed, work))
    report.finish(f"jobs-chaos-{args.faults}", result, args)
    sys.exit(1 if result["lost"] or result["doubled"] else 0)


if __name__ == "__main__":
    main()
