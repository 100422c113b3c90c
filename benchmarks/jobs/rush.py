"""Many jobs at once: how long each call takes, and how long until its owner hears that a job runs, and is done."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg
from redis.asyncio import Redis

from benchmarks import report
from benchmarks.chaos.striker import Parts
from benchmarks.jobs.stage import damage, jobs_server, make_job, open_pool, until_all_ended
from parley.embedded.server import RunningServer
from parley.events import Events
from parley.store.jobs import Jobs

_OWNER = "rush"
_T = TypeVar("_T")


async def timed(call: Callable[[], Awaitable[_T]], into: list[float]) -> _T:
    began = time.monotonic()
    result = await call()
    into.append(time.monotonic() - began)
    return result


class Listener:
    """Notes when the first event of each job came in each state."""

    def __init__(self, redis: Redis) -> None:
        self._events = Events(redis)
        self.heard: dict[str, dict[str, float]] = {}

    async def listen(self) -> None:
        async for event in self._events.follow(_OWNER, "0-0"):
            if event is not None and event.topic == "job":
                self.heard.setdefault(event.data["job_id"], {}).setdefault(event.data["state"], time.monotonic())


async def rush(server: RunningServer, jobs: int) -> dict[str, Any]:
    redis: Redis = Redis(unix_socket_path=str(Parts(server).sockets() / "redis.sock"), decode_responses=True)
    async with open_pool(server) as pool, redis:
        await _warm_up(pool)
        listener = Listener(redis)
        listening = asyncio.create_task(listener.listen())
        makes: list[float] = []
        gets: list[float] = []
        made_at: dict[str, float] = {}

        async def one() -> None:
            job_id = await timed(lambda: make_job(pool, _OWNER), makes)
            made_at[job_id] = time.monotonic()
            await timed(lambda: Jobs(pool, _OWNER).get(job_id), gets)

        began = time.monotonic()
        await asyncio.gather(*(one() for _ in range(jobs)))
        await until_all_ended(pool, patience_s=60)
        done_s = time.monotonic() - began
        await asyncio.sleep(1.5)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        first = [
            min(listener.heard[job_id].values()) - made_at[job_id] for job_id in made_at if job_id in listener.heard
        ]
        last = await _lags(pool, listener)
        return {
            "jobs": jobs,
            **{f"make_{name}_ms": value and round(1000 * value, 1) for name, value in _of(makes).items()},
            **{f"get_{name}_ms": value and round(1000 * value, 1) for name, value in _of(gets).items()},
            **{f"first_event_{name}_s": value for name, value in _of(first).items()},
            **{f"end_to_event_{name}_s": value for name, value in _of(last).items()},
            "all_done_s": round(done_s, 2),
            "steps_per_s": round(3 * jobs / done_s, 1),
            "never_heard": jobs - len(first),
            **await damage(pool),
        }


async def _lags(pool: asyncpg.Pool, listener: Listener) -> list[float]:
    """From the end of each job, by PostgreSQL's clock, to the event that says so."""
    rows = await pool.fetch(
        "SELECT id, extract(epoch FROM now() - finished_at)::float8 AS ago FROM jobs WHERE owner = $1", _OWNER
    )
    now = time.monotonic()
    return [
        listener.heard[str(row["id"])]["succeeded"] - (now - row["ago"])
        for row in rows
        if "succeeded" in listener.heard.get(str(row["id"]), {})
    ]


async def _warm_up(pool: asyncpg.Pool) -> None:
    """The first steps of a worker import what they need."""
    for _ in range(4):
        await make_job(pool, "warm-up")
    await until_all_ended(pool, patience_s=60)


def _of(values: list[float]) -> dict[str, float | None]:
    return report.percentiles(values, 50, 95, 100)


def measure(jobs: int, workers: int) -> dict[str, Any]:
    with jobs_server(workers) as server:
        return {"workers": workers, **asyncio.run(rush(server, jobs))}
