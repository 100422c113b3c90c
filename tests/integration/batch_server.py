"""A Parley whose workers, stores and supervisor are real, with scripted steps in place of real ones; nothing listens to
audio in it. For what runs steps, whatever they do."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import redis
from redis.asyncio import Redis as AsyncRedis

from benchmarks.jobs import steps
from parley import store
from parley.embedded.server import RunningServer, running_server
from parley.events import Events
from parley.jobs import Job
from parley.store.jobs import Jobs, enqueue

COMMAND = (sys.executable, "-m", "tests.integration.scripted_up", "--real-workers")
QUICK = {"LEASE_S": "3", "HEARTBEAT_S": "0.5", "SWEEP_S": "0.5", "ANNOUNCE_AFTER_S": "2"}
OWNER = "alice"


@contextlib.contextmanager
def batch_server(workers: int = 2, data: Path | None = None, **batch: str) -> Iterator[RunningServer]:
    """`batch`: settings of the workers, beside those that make all of it quick."""
    settings = {**QUICK, "STEP_MODULES": json.dumps([steps.MODULE]), **batch}
    env = {f"PARLEY_BATCH__{name}": value for name, value in settings.items()}
    with running_server(data, command=COMMAND, workers=workers, env=env) as server:
        yield server


@contextlib.asynccontextmanager
async def open_pool(server: RunningServer) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(server.database_url)
    try:
        await steps.prepare(pool)
        yield pool
    finally:
        await pool.close()


async def forget_all(pool: asyncpg.Pool) -> None:
    """No jobs, as if there had been none. Row by row: TRUNCATE locks whole tables, in another order than workers that
    are still at something."""
    for table in ("jobs", "scripted_begun", "scripted_done"):
        await pool.execute(f"DELETE FROM {table}")


async def make_jobs(pool: asyncpg.Pool, count: int = 1, owner: str = OWNER, **each: steps.Script) -> list[str]:
    async with pool.acquire() as connection:
        return [
            (await enqueue(connection, owner, steps.PIPELINE, options=steps.scripts(**each))).job_id
            for _ in range(count)
        ]


async def make_job(pool: asyncpg.Pool, **each: steps.Script) -> str:
    [job_id] = await make_jobs(pool, 1, OWNER, **each)
    return job_id


async def until(pool: asyncpg.Pool, job_id: str, holds: Callable[[Job], object], within_s: float = 30) -> Job:
    """The job as it is when `holds` is true of it."""
    jobs = Jobs(pool, OWNER)
    async with asyncio.timeout(within_s):
        while True:
            if holds(job := await jobs.get(job_id)):
                return job
            await asyncio.sleep(0.05)


def ended(job: Job) -> bool:
    return job.finished_at is not None


def runs(job: Job) -> bool:
    return job.state == "running"


async def doubled(pool: asyncpg.Pool) -> int:
    """Steps that were run to the end more than once."""
    return int(
        await pool.fetchval(
            "SELECT count(*) FROM (SELECT FROM scripted_done GROUP BY step_id HAVING count(*) > 1) twice"
        )
    )


def part_of(server: RunningServer, worker: str | None) -> str:
    """The part that runs as the worker of this name, which ends in its process."""
    assert worker is not None
    processes: dict[str, Any] = json.loads((server.data / "run.json").read_text())["processes"]
    return next(name for name, (pid, _) in processes.items() if worker.endswith(f"/{pid}"))


@contextlib.asynccontextmanager
async def open_events(server: RunningServer) -> AsyncIterator[Events]:
    async with AsyncRedis(unix_socket_path=str(_redis_socket(server)), decode_responses=True) as client:
        yield Events(client)


def broker(server: RunningServer) -> redis.Redis:
    """A client of the server's own Redis."""
    return redis.Redis(unix_socket_path=str(_redis_socket(server)), decode_responses=True)


def _redis_socket(server: RunningServer) -> Path:
    return Path(json.loads((server.data / "run.json").read_text())["sockets"]) / "redis.sock"
