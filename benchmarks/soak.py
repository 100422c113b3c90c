"""`python -m benchmarks.soak`: connecting, speaking a little, leaving, for a long time: does anything grow?

Visitors come and go, a bounded number at once. Each speaks a sentence or two at the pace of life, then leaves: by
`stop`, by closing the connection, or by breaking it off, in turn. What they leave open the server closes by itself.
"""

import argparse
import asyncio
import itertools
import math
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, get_args

import asyncpg
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from benchmarks import report
from benchmarks.soak_usage import Sample, plot, read_held, table_of
from benchmarks.speech import MINI_WHISPER, Corpus
from parley import wire
from parley.audio import SAMPLE_RATE, Samples
from parley.embedded.server import RunningServer, running_server

Leave = Literal["stop", "close", "break"]
_WAYS: tuple[Leave, ...] = get_args(Leave)
_CHUNK = SAMPLE_RATE // 10
_SAMPLE_EVERY_S = 5.0
_WARM_UP = 800
"""Visits before it counts: a gateway has all its threads, each with an arena of the allocator, after about so many."""
_REST_TIMEOUT_S = 180.0
_VISIT_TIMEOUT_S = 90.0
_RETRY_S = 1.0
_PROGRESS_EVERY_S = 60.0


async def visit(url: str, samples: Samples, leave: Leave) -> str:
    """Speaks `samples` and leaves. What came of it: `stop`, `close` or `break`, or the code of an error."""
    try:
        address = url.replace("http", "ws", 1) + "/ws/s2t"
        async with (
            asyncio.timeout(_VISIT_TIMEOUT_S),
            connect(address, compression=None, proxy=None, ping_interval=None) as connection,
        ):
            return await _visit(connection, samples, leave)
    except (OSError, WebSocketException, TimeoutError) as error:
        return type(error).__name__


async def _visit(connection: ClientConnection, samples: Samples, leave: Leave) -> str:
    await connection.send(wire.Start(sample_rate=SAMPLE_RATE, language="en").to_json())
    answer = wire.parse_server_message(await connection.recv(decode=True))
    if isinstance(answer, wire.Error):
        await asyncio.sleep(answer.retry_after_s or _RETRY_S)
        return answer.code
    began = time.monotonic()
    for start in range(0, len(samples), _CHUNK):
        await asyncio.sleep(max(0.0, began + start / SAMPLE_RATE - time.monotonic()))
        await connection.send(samples[start : start + _CHUNK].tobytes())
    if leave == "break":
        connection.transport.abort()
    elif leave == "stop":
        await connection.send(wire.Stop().to_json())
        return await _read_to_the_end(connection)
    return leave


async def _read_to_the_end(connection: ClientConnection) -> str:
    last = ""
    async for text in connection:
        last = wire.parse_server_message(str(text)).type
    return "stop" if last == "closed" else f"ended by {last}"


class Soak:
    """One server, its visitors, and what it holds meanwhile."""

    def __init__(self, server: RunningServer, at_once: int) -> None:
        self._server = server
        self._at_once = at_once
        self._corpus = Corpus(MINI_WHISPER / "examples" / "manifest.jsonl")
        self._numbers = itertools.count()
        self.outcomes: Counter[str] = Counter()

    async def run(self, *, cycles: int | None, seconds: float | None) -> tuple[list[Sample], Sample, Sample]:
        """Visits until there were `cycles`, or `seconds` have gone. Samples meanwhile; before and after it, at rest."""
        report.progress(f"{_WARM_UP} visits to warm up …")
        await self._visits(_WARM_UP, None)
        await self._rest()
        before = await self._sample(0.0)
        self.outcomes.clear()
        samples: list[Sample] = []
        sampling = asyncio.create_task(self._sample_on(samples))
        try:
            await self._visits(cycles, seconds)
        finally:
            sampling.cancel()
            await asyncio.wait([sampling])
        await self._rest()
        return samples, before, await self._sample(samples[-1].at_s)

    async def _visits(self, cycles: int | None, seconds: float | None) -> None:
        until = time.monotonic() + (seconds or float("inf"))
        left = itertools.count() if cycles is None else iter(range(cycles))

        async def keep_visiting() -> None:
            for _ in left:
                if time.monotonic() >= until:
                    return
                await self._one_visit(next(self._numbers))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._at_once):
                tasks.create_task(keep_visiting())

    async def _one_visit(self, number: int) -> None:
        clip = self._corpus.clip(number % len(self._corpus)).samples
        rng = np.random.default_rng(number)
        spoken = clip[: int(rng.uniform(0.3, 1.0) * min(len(clip), 4 * SAMPLE_RATE))]
        url = self._server.base_urls[number % len(self._server.base_urls)]
        self.outcomes[await visit(url, spoken, _WAYS[number % len(_WAYS)])] += 1

    async def _sample_on(self, samples: list[Sample]) -> None:
        began = told = time.monotonic()
        while True:
            samples.append(await self._sample(time.monotonic() - began))
            if time.monotonic() - told > _PROGRESS_EVERY_S:
                told = time.monotonic()
                report.progress(f"{(told - began) / 60:.0f} min: {dict(self.outcomes)}, {_memory(samples[-1])}")
            await asyncio.sleep(_SAMPLE_EVERY_S)

    async def _sample(self, at_s: float) -> Sample:
        held = await asyncio.to_thread(read_held, self._server)
        connections = await self._ask("SELECT count(*) - 1 FROM pg_stat_activity WHERE datname = current_database()")
        return Sample(round(at_s, 1), held, connections)

    async def _rest(self) -> None:
        """Until the server has closed what was left open. Raises TimeoutError where it gets no further with that."""
        fewest, since = math.inf, time.monotonic()
        while left := await self._ask("SELECT count(*) FROM recordings WHERE state = 'recording'"):
            if left < fewest:
                fewest, since = left, time.monotonic()
            if time.monotonic() > since + _REST_TIMEOUT_S:
                raise TimeoutError(f"{left} recordings are still open, and none was closed for {_REST_TIMEOUT_S:g} s.")
            await asyncio.sleep(_RETRY_S)
        await asyncio.sleep(_SAMPLE_EVERY_S)

    async def _ask(self, query: str) -> int:
        connection = await asyncpg.connect(self._server.database_url, timeout=10)
        try:
            return int(await connection.fetchval(query))
        finally:
            await connection.close()


def _memory(sample: Sample) -> str:
    return ", ".join(f"{name} {held.memory_mib:.0f}" for name, held in sample.held.items()) + " MiB"


def summary(samples: Sequence[Sample], before: Sample, after: Sample, outcomes: Counter[str]) -> dict[str, Any]:
    """The result, keys with their units. Of several processes the one that grew most counts."""
    processes = table_of(samples, before, after)
    return {
        "visits": outcomes.total(),
        "minutes": round(samples[-1].at_s / 60, 1),
        "growth_percent": max(row["growth_percent"] for row in processes),
        "fd_growth": max(row["fds_after"] - row["fds_before"] for row in processes),
        "thread_growth": max(row["threads_after"] - row["threads_before"] for row in processes),
        "connections_growth": after.connections - before.connections,
        "connections": after.connections,
        "outcomes": dict(outcomes),
        "processes": processes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=(__doc__ or "").split(": ")[1])
    parser.add_argument("--minutes", type=float, help="for how long visitors come (default 30)")
    parser.add_argument("--cycles", type=int, help="how many visits, in place of --minutes")
    parser.add_argument("--at-once", type=int, default=20, help="visitors at a time (default 20)")
    parser.add_argument("--gateways", type=int, default=1)
    parser.add_argument("--engines", type=int, default=1)
    report.add_output_options(parser)
    args = parser.parse_args()
    if args.minutes is not None and args.cycles is not None:
        parser.error("--minutes or --cycles, not both")
    if min(args.at_once, args.gateways, args.engines, args.cycles or 1, args.minutes or 1) <= 0:
        parser.error("all numbers must be positive")
    minutes = args.minutes or 30.0
    length = f"{args.cycles}-cycles" if args.cycles else f"{minutes:g}-minutes"
    env = {"PARLEY_ENGINE__MODEL": str(MINI_WHISPER / "model"), "PARLEY_GATEWAY__ABANDONED_AFTER_S": "30"}
    report.progress(f"{args.at_once} visitors at once, {length.replace('-', ' ')} …")
    with running_server(env=env, gateways=args.gateways, engines=args.engines) as server:
        soak = Soak(server, args.at_once)
        samples, before, after = asyncio.run(
            soak.run(cycles=args.cycles, seconds=None if args.cycles else 60 * minutes)
        )
    result = {"at_once": args.at_once, **summary(samples, before, after, soak.outcomes)}
    name = f"soak-{length}"
    if args.save:
        plot(samples, f"{result['visits']} visits, {args.at_once} at once", report.path_of(name, ".png"))
    report.finish(name, result, args)


if __name__ == "__main__":
    main()
