"""`python -m benchmarks.gateway --sessions N`: what the gateway itself costs, with an engine that answers at once.

N sessions send real speech in real time through one gateway process with real PostgreSQL, Redis and object storage.
The **added latency** of a partial is the time from sending its newest sample to having the partial, so it holds the
gateway's way in, its detector's tick, the way to the engine and all the way back; the engine's double adds next to
nothing.
"""

import argparse
import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass, field
from typing import Any

import httpx
import psutil
import uvloop
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import report
from benchmarks.journal_cost import journal_cpu_s
from benchmarks.speech import MINI_WHISPER, Corpus
from benchmarks.usage import Meter, parley_parts, tree
from parley import wire
from parley.audio import SAMPLE_RATE, Samples
from parley.client import LiveClient, Reconnecting, SessionEvent, open_session
from parley.embedded.server import running_server

CHUNK = SAMPLE_RATE // 10
_SPEECHES = 20
_OPEN_AT_ONCE = 20
_NO_WATCHDOG = {"PARLEY_GATEWAY__NO_WORDS_AFTER_S": "1e9"}
"""The double never says a word."""


@dataclass(slots=True)
class Heard:
    """What one session got back."""

    latencies_s: list[float] = field(default_factory=list)
    acked: int = 0
    finals: int = 0
    closed: bool = False
    errors: list[str] = field(default_factory=list)


class Session:
    """One session of the load: sends chunks when a microphone would, notes when each partial came."""

    def __init__(self, samples: Samples) -> None:
        self._chunks = [samples[start : start + CHUNK].tobytes() for start in range(0, len(samples), CHUNK)]
        self._began = 0.0
        self._starts: dict[int, int] = {}
        self.heard = Heard()

    async def run(self, url: str, gate: asyncio.Semaphore, begin: asyncio.Event, offset_s: float) -> Heard:
        async with gate:
            session = await self._stack.enter_async_context(open_session(url, wire.Start(sample_rate=SAMPLE_RATE)))
        await begin.wait()
        await asyncio.sleep(offset_s)
        self._began = time.monotonic()
        sending = asyncio.create_task(self._send(session))
        async for message in session:
            self._note(message)
        await sending
        return self.heard

    async def __aenter__(self) -> "Session":
        self._stack = contextlib.AsyncExitStack()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _send(self, session: LiveClient) -> None:
        for index, chunk in enumerate(self._chunks, start=1):
            await asyncio.sleep(max(0.0, self._began + index * CHUNK / SAMPLE_RATE - time.monotonic()))
            await session.send_audio(chunk)
        await session.send(wire.Stop())

    def _note(self, message: SessionEvent) -> None:
        match message:
            case wire.SpeechStart():
                self._starts[message.segment] = message.start_ms * SAMPLE_RATE // 1000
            case wire.Partial():
                newest = self._starts[message.segment] + int(message.tentative)
                sent_at = self._began + -(-newest // CHUNK) * CHUNK / SAMPLE_RATE
                self.heard.latencies_s.append(time.monotonic() - sent_at)
            case wire.Ack():
                self.heard.acked = message.samples
            case wire.Final():
                self.heard.finals += 1
            case wire.Error():
                self.heard.errors.append(message.code)
            case Reconnecting():
                self.heard.errors.append("connection_lost")
            case wire.Closed():
                self.heard.closed = True
            case _:
                pass


async def run_load(url: str, speeches: list[Samples], sessions: int) -> list[Heard]:
    gate, begin = asyncio.Semaphore(_OPEN_AT_ONCE), asyncio.Event()

    async def one(index: int) -> Heard:
        async with Session(speeches[index % len(speeches)]) as session:
            return await session.run(url, gate, begin, index / sessions)

    running = asyncio.gather(*(one(index) for index in range(sessions)))
    asyncio.get_running_loop().call_later(0.5 + sessions * 0.01, begin.set)
    return await running


@dataclass(frozen=True, slots=True)
class Gateway:
    """Processor seconds of the gateway: of all its threads, its event loop's, its detector's; frames detected; parts
    written."""

    total_s: float
    loop_s: float
    vad_s: float
    frames: float
    parts: float

    @classmethod
    def of(cls, process: psutil.Process, url: str) -> "Gateway":
        threads = {thread.id: thread.user_time + thread.system_time for thread in process.threads()}
        text = httpx.get(f"{url}/metrics", trust_env=False).text
        metrics = {one.name: one.value for family in text_string_to_metric_families(text) for one in family.samples}
        return cls(
            total_s=sum(process.cpu_times()[:2]),
            loop_s=threads[process.pid],
            vad_s=metrics["parley_gateway_vad_cpu_seconds_total"],
            frames=metrics["parley_gateway_vad_batch_frames_sum"],
            parts=metrics["parley_gateway_journal_write_seconds_count"],
        )

    def __sub__(self, other: "Gateway") -> "Gateway":
        return Gateway(*(mine - theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))


@contextlib.contextmanager
def engine_double() -> Iterator[tuple[str, int]]:
    """The address and the process of an engine that answers at once."""
    with subprocess.Popen([sys.executable, "-m", "benchmarks.engine_double"], stdout=subprocess.PIPE, text=True) as it:
        assert it.stdout is not None
        try:
            yield it.stdout.readline().strip(), it.pid
        finally:
            it.terminate()


def measure(sessions: int, seconds: float) -> dict[str, Any]:
    """One run with so many sessions of so many seconds."""
    corpus = Corpus(MINI_WHISPER / "examples" / "manifest.jsonl")
    speeches = [corpus.speech(seconds, first=index).samples[: int(seconds * SAMPLE_RATE)] for index in range(_SPEECHES)]
    with (
        engine_double() as (address, pid),
        running_server(env={"PARLEY_GATEWAY__ENGINE_URLS": f'["{address}"]', **_NO_WATCHDOG}) as server,
    ):
        uvloop.run(run_load(server.base_url, [speeches[0][: 2 * SAMPLE_RATE]], min(sessions, 10)))
        parts = parley_parts(server.process.pid)
        stores = [p for p in tree(server.process.pid) if p.pid not in {parts["gateway"][0].pid, server.process.pid}]
        memory_before = parts["gateway"][0].memory_info().rss
        before = Gateway.of(parts["gateway"][0], server.base_url)
        meter = Meter({"gateway": parts["gateway"], "stores": stores, "double": [psutil.Process(pid)]})
        began = time.monotonic()
        heard = uvloop.run(run_load(server.base_url, speeches, sessions))
        elapsed = time.monotonic() - began
        usage = meter.read()
        spent = Gateway.of(parts["gateway"][0], server.base_url) - before
        memory = parts["gateway"][0].memory_info().rss
        parts_per_s = spent.parts / sessions / seconds
        report.progress("the journals alone …")
        journal_s = uvloop.run(journal_cpu_s(server.database_url, sessions, min(seconds, 15), parts_per_s))
    latencies = [value for one in heard for value in one.latencies_s]
    sent = sum(len(speeches[index % _SPEECHES]) for index in range(sessions))
    per_session_second = 1000 * SAMPLE_RATE / sent
    return {
        "sessions": sessions,
        **{
            f"added_latency_{name}_ms": value and round(value * 1000)
            for name, value in report.percentiles(latencies, 50, 95, 99).items()
        },
        "gateway_ms_per_session_second": round(spent.total_s * per_session_second, 3),
        "loop_ms_per_session_second": round(spent.loop_s * per_session_second, 3),
        "vad_ms_per_session_second": round(spent.vad_s * per_session_second, 3),
        "other_ms_per_session_second": round((spent.total_s - spent.loop_s - spent.vad_s) * per_session_second, 3),
        "vad_us_per_frame": spent.frames and round(1e6 * spent.vad_s / spent.frames, 1),
        "parts_per_session_second": round(parts_per_s, 3),
        "journal_ms_per_session_second": round(1000 * journal_s, 3),
        "journal_share": round(1000 * journal_s / (spent.total_s * per_session_second), 3),
        "loop_cpu_share": round(spent.loop_s / elapsed, 3),
        "gateway_kib_per_session": round((memory - memory_before) / 1024 / sessions),
        "closed": sum(one.closed for one in heard),
        "finals": sum(one.finals for one in heard),
        "lost_samples": sent - sum(one.acked for one in heard),
        "errors": sorted({code for one in heard for code in one.errors}),
        **usage,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway", description=__doc__.split("\n")[0])
    parser.add_argument(
        "--sessions", type=int, nargs="+", default=[100], help="sessions at once; several make several runs"
    )
    parser.add_argument("--seconds", type=float, default=20, help="audio of each session (default 20)")
    report.add_output_options(parser)
    args = parser.parse_args()
    if min(args.sessions) < 1 or args.seconds <= 0:
        parser.error(f"--sessions and --seconds must be positive (given: {args.sessions}, {args.seconds:g})")
    runs = []
    for sessions in args.sessions:
        report.progress(f"{sessions} sessions of {args.seconds:g} s …")
        runs.append(measure(sessions, args.seconds))
    report.finish(f"gateway-{args.sessions[-1]}", {**runs[-1], "runs": runs}, args)


if __name__ == "__main__":
    main()
