"""`python -m benchmarks.batch`: hours of audio written down in an hour, beside faster-whisper's own batched pipeline.

Both get the same MP3 files and the same weights on all cores of this machine, one after the other, round after round,
and the median counts. Parley's figure is that of jobs in a server of its own: from the message of the broker to the
finals in PostgreSQL and the audio in object storage. The pipeline's is that of a script around it.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from batch.transcription.speech import Piece, Speech, detector
from benchmarks import report
from benchmarks.batch_files import Shop, open_shop, sparse_file, speech_files, write_file
from benchmarks.environments import DEFAULT_CACHE
from benchmarks.report import progress
from benchmarks.scoring import scored_words, word_error_rate
from benchmarks.shape_models import SHAPES, write_shape_model
from benchmarks.speech import MINI_WHISPER, Corpus, default_manifest, read_manifest
from parley.audio import SAMPLE_RATE
from parley.embedded.server import RunningServer, running_server
from parley.engine_batch import IN_FLIGHT, BatchLane, batch_lane
from parley.engine_pool import EnginePool
from parley.engine_wire import Final, Open
from parley.media import decode_file
from parley.segmenter import Checkpoint
from parley.settings import SegmenterSettings
from parley.tasks import background, in_order

PEERS = {"default": (), "with_words": ("--words",), "greedy_with_words": ("--words", "--beam", "1")}
"""The pipeline as it comes, with what Parley's finals have, and with the search that Parley begins with."""
_WER_ORDERS = 8


def main() -> None:
    args = _arguments()
    with tempfile.TemporaryDirectory(prefix="parley-batch-") as folder:
        result = _speed(args, Path(folder)) if not args.hours else _long(args, Path(folder))
        if not args.hours:
            result |= _accuracy(args, Path(folder))
    report.finish(f"batch-{result['model']}" if not args.hours else f"batch-{args.hours:g}-hours", result, args)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch", description=(__doc__ or "").split(": ")[1])
    parser.add_argument("--model", type=Path, help="folder of a Whisper model (default: tiny's shape)")
    parser.add_argument("--minutes", type=float, default=10, help="of each file (default 10)")
    parser.add_argument("--files", type=int, default=2, help="at once (default 2)")
    parser.add_argument("--rounds", type=int, default=3, help="(default 3)")
    parser.add_argument("--hours", type=float, help="one file of so many hours, mostly silent, and the worker's memory")
    report.add_output_options(parser)
    args = parser.parse_args()
    if args.minutes <= 0 or args.files < 1 or args.rounds < 1:
        parser.error("--minutes, --files and --rounds must be positive")
    return args


def _shape(args: argparse.Namespace) -> Path:
    model = DEFAULT_CACHE / "tiny-long"
    if args.model:
        return Path(args.model)
    if not (model / "model.bin").is_file():
        write_shape_model(next(iter(SHAPES)), model, long=True)
    return model


# --- how fast


def _speed(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    model = _shape(args)
    files = speech_files(Corpus(default_manifest()), folder, args.minutes, args.files)
    hours = args.files * args.minutes / 60
    rounds = []
    with running_server(env={"PARLEY_ENGINE__MODEL": str(model)}) as server:
        _written_down(server, files[:1])  # everything is loaded then
        for number in range(args.rounds):
            progress(f"round {number + 1} of {args.rounds} …")
            rounds.append(_round(server, model, files, hours))
    ours = [each["hours_per_hour"] for each in rounds]
    return {
        "model": model.name,
        "files": args.files,
        "minutes": args.minutes,
        "hours_per_hour": statistics.median(ours),
        **{
            f"{measure}_{name}": round(statistics.median(each[f"{measure}_{name}"] for each in rounds), 2)
            for name in PEERS
            for measure in ("pipeline_hours_per_hour", "times", "cpu_times")
        },
        "engine_alone_s": statistics.median(each["engine_alone_s"] for each in rounds),
        "job_s": statistics.median(each["job_s"] for each in rounds),
        "overhead_percent": round(statistics.median(each["overhead_percent"] for each in rounds), 1),
        "rounds": rounds,
    }


def _round(server: RunningServer, model: Path, files: Sequence[Path], hours: float) -> dict[str, Any]:
    cpu_before = _cpu_s(server)
    took_s, _ = _written_down(server, files)
    cpu_s = _cpu_s(server) - cpu_before
    found: dict[str, Any] = {"hours_per_hour": round(hours * 3600 / took_s, 1), "cpu_s": round(cpu_s, 2)}
    progress(f"Parley: {found}")
    for name, options in PEERS.items():
        peer = _pipeline(model, files, *options)
        found[f"pipeline_hours_per_hour_{name}"] = round(hours * 3600 / peer["seconds"], 1)
        found[f"times_{name}"] = round(peer["seconds"] / took_s, 2)
        found[f"cpu_times_{name}"] = round(peer["cpu_s"] / cpu_s, 2)
        progress(f"pipeline, {name}: {peer['seconds']:.1f} s, {peer['cpu_s']:.1f} s of processor time")
    alone_s = asyncio.run(_engine_alone(server, files[0]))
    job_s, _ = _written_down(server, files[:1])
    overhead = 100 * (job_s / alone_s - 1)
    return found | {
        "engine_alone_s": round(alone_s, 2),
        "job_s": round(job_s, 2),
        "overhead_percent": round(overhead, 1),
    }


def _cpu_s(server: RunningServer) -> float:
    """Processor time that all of the server's processes have used."""
    parts = psutil.Process(server.process.pid).children(recursive=True)
    return sum(used.user + used.system for used in (part.cpu_times() for part in parts))


def _written_down(server: RunningServer, files: Sequence[Path]) -> tuple[float, list[str]]:
    async def write_down() -> tuple[float, list[str]]:
        async with open_shop(server) as shop:
            return await shop.write_down(files)

    return asyncio.run(write_down())


def _pipeline(model: Path, files: Sequence[Path], *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.batch_peer", *map(str, files), "--model", str(model)]
    command += ["--threads", str(os.cpu_count()), "--language", "en", *options]
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    result: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return result


async def _engine_alone(server: RunningServer, file: Path) -> float:
    """Seconds that the engine needs for the file's segments, when they are all at hand and nothing else is done."""
    speech = Speech(detector(), SegmenterSettings(), Checkpoint())
    pieces = [piece for samples in decode_file(file) for piece in speech.feed(samples)] + speech.finish()

    async def at_hand() -> AsyncGenerator[Piece, None]:
        for piece in pieces:
            yield piece

    async def final(lane: BatchLane, piece: Piece) -> Final:
        return await lane.ask(piece.number, piece.samples)

    pool = EnginePool([server.places["engine"]])
    opening = Open(session="alone", lane="batch", language="en")
    async with background(pool.run()), batch_lane(pool, opening, silence_timeout_s=20, patience_s=20) as lane:
        began = time.monotonic()
        async for _ in in_order(at_hand(), partial(final, lane), at_once=2 * IN_FLIGHT):
            pass
        return time.monotonic() - began


# --- how well


def _accuracy(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Word error rates of the miniature Whisper, on its own examples in several orders."""
    entries = read_manifest(MINI_WHISPER / "examples" / "manifest.jsonl")
    corpus, files, said = Corpus(MINI_WHISPER / "examples" / "manifest.jsonl"), [], []
    seconds = sum(len(corpus.clip(index).samples) / SAMPLE_RATE + 1.2 for index in range(len(corpus)))
    for order in range(_WER_ORDERS):
        files.append(write_file(folder / f"order-{order}.mp3", corpus.speech(seconds - 1, order).samples))
        turned = [*entries[order % len(entries) :], *entries[: order % len(entries)]]
        said.append(" ".join(entry["text"] for entry in turned))
    progress("word error rates …")
    with running_server(env={"PARLEY_ENGINE__MODEL": str(MINI_WHISPER / "model")}) as server:
        _, ours = _written_down(server, files)
    theirs = _pipeline(MINI_WHISPER / "model", files, "--words")["texts"]
    return {"wer": _wer(said, ours), "wer_pipeline": _wer(said, theirs), "wer_words": len(" ".join(said).split())}


def _wer(said: Sequence[str], written: Sequence[str]) -> float | None:
    pairs = zip(said, written, strict=True)
    rate = word_error_rate((scored_words(one, "en"), scored_words(other, "en")) for one, other in pairs)
    return None if rate is None else round(rate, 4)


# --- how large


def _long(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The worker's memory at a file of many hours."""
    file = sparse_file(Corpus(default_manifest()), folder, args.hours)
    with running_server(env={"PARLEY_ENGINE__MODEL": str(_shape(args))}) as server:
        worker = psutil.Process(server.pid("worker"))
        before = worker.memory_info().rss

        async def watched() -> tuple[float, int]:
            async with open_shop(server) as shop:
                return await _with_peak(shop, file, worker)

        took_s, peak = asyncio.run(watched())
    return {
        "hours": args.hours,
        "file_mib": round(file.stat().st_size / 2**20),
        "seconds": round(took_s, 1),
        "worker_memory_before_mib": round(before / 2**20),
        "worker_memory_peak_mib": round(peak / 2**20),
    }


async def _with_peak(shop: Shop, file: Path, worker: psutil.Process) -> tuple[float, int]:
    """Seconds, and the most memory that the worker had, looked at several times a second."""
    working = asyncio.create_task(shop.write_down([file]))
    peak = 0
    while not working.done():
        peak = max(peak, worker.memory_info().rss)
        await asyncio.wait([working], timeout=0.2)
    took_s, _ = await working
    return took_s, peak


if __name__ == "__main__":
    main()
