"""`python -m benchmarks.live`: live sessions in real time through gateway and engine, measured as a user feels them.

Each stream plays real speech through a real WebSocket at the pace of a microphone. Measured are

- **refresh**: from a sample's arrival at the server to the screen's first partial that covers it: the age of the oldest
  uncovered audio at each partial, while a segment is open (the time between updates plus the decode);
- **final**: from the end of the speech (the last word's own end, known from the clip) to its final;
- **endpoint**: from the audio of the segment's end being sent to the final: what the engine adds after the silence.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from parley import wire
from parley.audio import SAMPLE_RATE, Samples
from parley.client import LiveClient, open_session
from parley.embedded.server import RunningServer, running_server
from parley.media import decode_file
from parley.transcript import ms_to_samples

ROOT = Path(__file__).parents[1]
MINI_WHISPER = ROOT / "tests" / "assets" / "mini-whisper"
RESULTS = Path(__file__).parent / "results"
CHUNK = SAMPLE_RATE // 10


@dataclass(frozen=True, slots=True)
class Speech:
    """Samples to play and where, in samples, each stretch of speech in them ends."""

    samples: Samples
    speech_ends: tuple[int, ...]


@dataclass(slots=True)
class Measured:
    """Seconds, one value an event, of one stream."""

    refresh_s: list[float] = field(default_factory=list)
    final_s: list[float] = field(default_factory=list)
    endpoint_s: list[float] = field(default_factory=list)
    finals: int = 0
    errors: list[str] = field(default_factory=list)


class Player:
    """Plays speech into one session at real time and notes when each answer came."""

    def __init__(self, speech: Speech) -> None:
        self._speech = speech
        self._began = 0.0
        self._covered = 0
        self.measured = Measured()

    async def play(self, url: str) -> Measured:
        async with open_session(url, wire.Start(sample_rate=SAMPLE_RATE)) as session:
            self._began = time.monotonic()
            sending = asyncio.create_task(self._send(session))
            async for message in session:
                self._note(message)
            await sending
        return self.measured

    async def _send(self, session: LiveClient) -> None:
        samples = self._speech.samples
        for start in range(0, len(samples), CHUNK):
            end = min(start + CHUNK, len(samples))
            await asyncio.sleep(max(0.0, self._sent_at(end) - time.monotonic()))
            await session.send_audio(samples[start:end].tobytes())
        await session.send(wire.Stop())

    def _sent_at(self, sample: int) -> float:
        """When the chunk that holds `sample` left, on the monotonic clock."""
        return self._began + -(-sample // CHUNK) * CHUNK / SAMPLE_RATE

    def _note(self, message: wire.ServerMessage) -> None:
        now = time.monotonic()
        match message:
            case wire.SpeechStart():
                self._covered = max(self._covered, ms_to_samples(message.start_ms))
            case wire.Partial():
                arrived = min(int((now - self._began) * SAMPLE_RATE), len(self._speech.samples))
                self.measured.refresh_s.append(max(0.0, now - self._sent_at(self._covered + 1)))
                self._covered = max(self._covered, arrived - ms_to_samples(message.lag_ms))
            case wire.Final():
                self._note_final(message, now)
            case wire.Error():
                self.measured.errors.append(message.code)
            case _:
                pass

    def _note_final(self, final: wire.Final, now: float) -> None:
        end = ms_to_samples(final.end_ms)
        self._covered = max(self._covered, end)
        self.measured.finals += 1
        self.measured.endpoint_s.append(max(0.0, now - self._sent_at(end)))
        ends = [at for at in self._speech.speech_ends if ms_to_samples(final.start_ms) < at <= end]
        if ends:
            self.measured.final_s.append(now - self._began - ends[-1] / SAMPLE_RATE)


def load_speech(manifest: Path, seconds: float, first: int) -> Speech:
    """Clips of a manifest, one after the other from the `first` on, until there is enough."""
    entries = [json.loads(line) for line in manifest.read_text().splitlines()]
    entries = [entry for entry in entries if entry.get("segments")]
    pieces, ends, length, index = [], [], 0, first
    while length < seconds * SAMPLE_RATE:
        entry = entries[index % len(entries)]
        samples = np.concatenate(list(decode_file(manifest.parent / entry["file"])))
        pieces.append(samples)
        ends += [length + int(segment["end"] * SAMPLE_RATE) for segment in entry["segments"]]
        length, index = length + len(samples), index + 1
    return Speech(np.concatenate(pieces), tuple(ends))


async def run_streams(url: str, speeches: Sequence[Speech]) -> list[Measured]:
    """All streams at once, begun a little apart, as people do."""

    async def one(index: int, speech: Speech) -> Measured:
        await asyncio.sleep(index * 0.37 % 3)
        return await Player(speech).play(url)

    return await asyncio.gather(*(one(index, speech) for index, speech in enumerate(speeches)))


def percentiles(values: Sequence[float], *which: int) -> dict[str, float]:
    found = np.percentile(values, which) if len(values) else [float("nan")] * len(which)
    return {f"p{percent}": round(float(value), 3) for percent, value in zip(which, found, strict=True)}


def processes(server: RunningServer) -> dict[str, psutil.Process]:
    """The gateway's and the engine's processes, by name."""
    found: dict[str, psutil.Process] = {}
    for process in psutil.Process(server.process.pid).children(recursive=True):
        words = process.cmdline()
        for name in ("gateway", "stream_engine"):
            if name in words:
                found[name] = process
    return found


def summarise(measured: Sequence[Measured], usage: dict[str, Any]) -> dict[str, Any]:
    refresh = [value for one in measured for value in one.refresh_s]
    final = [value for one in measured for value in one.final_s]
    endpoint = [value for one in measured for value in one.endpoint_s]
    result: dict[str, Any] = {"streams": len(measured)}
    for name, values, which in (
        ("refresh", refresh, (50, 95)),
        ("final", final, (50, 95, 99)),
        ("endpoint", endpoint, (50, 95)),
    ):
        result |= {f"{name}_{percent}_s": value for percent, value in percentiles(values, *which).items()}
    errors = sorted({code for one in measured for code in one.errors})
    return result | {"partials": len(refresh), "finals": sum(one.finals for one in measured), "errors": errors} | usage


def hardware() -> dict[str, Any]:
    model = (
        next(
            (
                line.split(":")[1].strip()
                for line in Path("/proc/cpuinfo").read_text().splitlines()
                if "model name" in line
            ),
            platform.processor(),
        )
        if Path("/proc/cpuinfo").exists()
        else platform.processor()
    )
    return {"cpu": model, "cores": os.cpu_count(), "memory_gib": round(psutil.virtual_memory().total / 2**30)}


def measure(args: argparse.Namespace) -> dict[str, Any]:
    speeches = [load_speech(args.audio, args.seconds, first=index) for index in range(args.streams)]
    env = {"PARLEY_ENGINE__MODEL": str(args.model)}
    if args.final_window:
        env["PARLEY_ENGINE__FINAL_WINDOW"] = args.final_window
    with running_server(env=env) as server:
        asyncio.run(run_streams(server.base_url, [load_speech(args.audio, 3, first=0)]))  # warm-up
        parts = processes(server)
        before = {name: sum(process.cpu_times()[:2]) for name, process in parts.items()}
        began = time.monotonic()
        measured = asyncio.run(run_streams(server.base_url, speeches))
        elapsed = time.monotonic() - began
        usage = {}
        for name, process in parts.items():
            key = name.removeprefix("stream_")
            usage[f"{key}_cpu_share"] = round((sum(process.cpu_times()[:2]) - before[name]) / elapsed, 3)
            usage[f"{key}_memory_mib"] = round(process.memory_info().rss / 2**20, 1)
    return summarise(measured, usage)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--streams", type=int, default=1, help="sessions at once (default 1)")
    parser.add_argument("--seconds", type=float, default=60, help="audio of each session (default 60)")
    parser.add_argument(
        "--model", type=Path, default=MINI_WHISPER / "model", help="Whisper model folder (default: the miniature one)"
    )
    parser.add_argument("--final-window", help="full, fit or seconds (default: the engine's)")
    parser.add_argument(
        "--audio",
        type=Path,
        default=MINI_WHISPER / "examples" / "manifest.jsonl",
        help="manifest of clips with segment times",
    )
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    parser.add_argument("--save", action="store_true", help="write the result to benchmarks/results/")
    args = parser.parse_args()
    if args.streams < 1 or args.seconds <= 0:
        parser.error(f"--streams and --seconds must be positive (given: {args.streams}, {args.seconds:g})")
    print(f"{args.streams} stream(s), {args.seconds:g} s each, {args.model.name} …", file=sys.stderr)
    result = measure(args)
    report(result)
    if args.save:
        save("live", result, args)
    if args.json:
        print(json.dumps(result))


def report(result: dict[str, Any]) -> None:
    table = Table("measure", "value")
    for key, value in result.items():
        table.add_row(key, str(value))
    Console(stderr=True).print(table)


def save(name: str, result: dict[str, Any], args: argparse.Namespace) -> None:
    RESULTS.mkdir(exist_ok=True)
    options = {key: str(value) for key, value in vars(args).items() if key not in ("json", "save", "audio", "model")}
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "model": args.model.parent.name,
        **options,
        **hardware(),
        **result,
    }
    path = RESULTS / f"{record['date']}-{name}-{args.streams}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(f"saved in {path.relative_to(ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
