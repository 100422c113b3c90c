"""`python -m benchmarks.peers`: how many streams Parley carries, and how many WhisperLive, in one run.

Both get the same weights (a shape model, so the cost is Whisper's and the text is not), the same audio, as many
threads, the same threshold of speech, and are driven in turn by the same generator: doubling, then bisection, up to the
largest number of streams with refresh p95 of a second at most; Parley also with final p95 of a second at most, which
WhisperLive has no counterpart for. What refresh means for each: `benchmarks/live.py`, `benchmarks/whisperlive.py`.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.environments import DEFAULT_CACHE, install
from benchmarks.limit import find_limit
from benchmarks.live import PROBE_S, EngineOptions, add_speech_options, final_window, parley_bench
from benchmarks.shape_models import SHAPES, write_shape_model
from benchmarks.speech import Corpus
from benchmarks.whisperlive import VERSION, peer, whisperlive_bench
from parley.errors import ClientError, SetupError


def compare(args: argparse.Namespace, model: Path) -> dict[str, Any]:
    """The peer's limit, then Parley's with each final window; `ratio` is of the first.

    The peer decodes one window, or batch, at a time on all threads. With all cores, Parley's engine divides them
    into replicas as it does without being told; with another number it has one replica with these threads.
    """
    python = install(peer(), args.cache)
    corpus = Corpus(args.audio)
    language = None if args.language == "auto" else args.language
    mode = "batched" if args.batch else "shared model"
    report.progress(f"WhisperLive {VERSION} ({mode}), {corpus.label}:")
    with whisperlive_bench(python, corpus, model, threads=args.threads, language=language, batch=args.batch) as bench:
        theirs = find_limit(lambda streams: bench.measure(streams, args.seconds), 1)
    ours = [_parley_limit(args, model, corpus, window, language) for window in args.final_window]
    rows = [_row(theirs, f"whisperlive, {mode}"), *(_row(one, f"parley, {one['final_window']}") for one in ours)]
    limits = [(one["final_window"], one["limit_streams"], _ratio(one, theirs)) for one in ours]
    return {
        "peer": f"whisper-live {VERSION}",
        "peer_mode": mode,
        "model": f"{args.size} shape, int8",
        "threads": args.threads,
        "speech": corpus.label,
        "final_window": limits[0][0],
        "parley_limit_streams": limits[0][1],
        "peer_limit_streams": theirs["limit_streams"],
        "ratio": limits[0][2],
        "by_final_window": [
            {"final_window": window, "parley_limit_streams": streams, "ratio": ratio}
            for window, streams, ratio in limits
        ],
        "at_the_limit": rows,
        "peer_probes": theirs["probes"],
        "parley_probes": [{"final_window": one["final_window"], **probe} for one in ours for probe in one["probes"]],
    }


def _parley_limit(
    args: argparse.Namespace, model: Path, corpus: Corpus, window: str, language: str | None
) -> dict[str, Any]:
    report.progress(f"Parley, final_window {window}:")
    threads, replicas = (0, 0) if args.threads == os.cpu_count() else (args.threads, 1)
    with parley_bench(corpus, model, EngineOptions(window, threads, replicas), language) as bench:
        found = find_limit(lambda streams: bench.measure(streams, args.seconds), args.streams)
    return found | {"final_window": window}


def _ratio(ours: dict[str, Any], theirs: dict[str, Any]) -> float | None:
    """None where the peer does not carry one stream."""
    return round(ours["limit_streams"] / theirs["limit_streams"], 2) if theirs["limit_streams"] else None


def _row(found: dict[str, Any], server: str) -> dict[str, Any]:
    keys = ("limit_streams", "refresh_p50_s", "refresh_p95_s", "final_p95_s", "lag_p95_s")
    usage = ("server_cpu_share", "server_memory_mib", "generator_cpu_share")
    return {"server": server} | {key: found[key] for key in (*keys, *usage)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", choices=SHAPES, default="tiny", help="Whisper's size (default tiny)")
    parser.add_argument(
        "--final-window", type=final_window, nargs="+", default=["full"], help="Parley's, one or more (default full)"
    )
    parser.add_argument("--streams", type=int, default=4, help="Parley's first probe (default 4)")
    parser.add_argument("--seconds", type=float, default=PROBE_S, help=f"audio of each stream (default {PROBE_S:g})")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="that decode (default: the cores)")
    parser.add_argument("--batch", action="store_true", help="WhisperLive with its opt-in batching across clients")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="folder of the peers' environments")
    add_speech_options(parser)
    report.add_output_options(parser)
    return parser


def main() -> None:
    parser = _parser()
    args = parser.parse_args()
    if args.streams < 1 or args.seconds <= 0 or args.threads < 1:
        parser.error(
            f"--streams, --seconds and --threads must be positive "
            f"(given: {args.streams}, {args.seconds:g}, {args.threads})"
        )
    try:
        with tempfile.TemporaryDirectory(prefix="parley-shape-") as folder:
            model = Path(folder) / args.size
            write_shape_model(args.size, model)
            result = compare(args, model)
    except (ClientError, SetupError) as error:
        parser.error(str(error))
    report.finish(f"peers-{args.size}", result, args)


if __name__ == "__main__":
    main()
