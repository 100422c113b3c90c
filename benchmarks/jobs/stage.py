"""A whole Parley with scripted steps in its workers, for the length of a benchmark."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator

import asyncpg

from benchmarks.jobs import steps
from benchmarks.speech import MINI_WHISPER
from parley import store
from parley.embedded.server import RunningServer, running_server
from parley.store.jobs import enqueue

_LEFT = "SELECT count(*) FROM jobs WHERE finished_at IS NULL"


@contextlib.contextmanager
def jobs_server(workers: int, **batch: str) -> Iterator[RunningServer]:
    """`batch`: settings of the workers that are not the defaults."""
    settings = {"STEP_MODULES": json.dumps([steps.MODULE]), **batch}
    env = {f"PARLEY_BATCH__{name}": value for name, value in settings.items()}
    with running_server(workers=workers, env={"PARLEY_ENGINE__MODEL": str(MINI_WHISPER / "model"), **env}) as server:
        yield server


@contextlib.asynccontextmanager
async def open_pool(server: RunningServer) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(server.database_url)
    try:
        await steps.prepare(pool)
        yield pool
    finally:
        await pool.close()


async def make_job(pool: asyncpg.Pool, owner: str, **each: steps.Script) -> str:
    async with pool.acquire() as connection:
        made = await enqueue(connection, owner, steps.PIPELINE, options=steps.scripts(**each))
    return made.job_id


async def until_all_ended(pool: asyncpg.Pool, patience_s: float) -> bool:
    """False where some job did not end, and for `patience_s` none did."""
    left, waited_s = await pool.fetchval(_LEFT), 0.0
    while left and waited_s < patience_s:
        await asyncio.sleep(0.5)
        now = await pool.fetchval(_LEFT)
        waited_s = 0.0 if now < left else waited_s + 0.5
        left = now
    return not left


async def damage(pool: asyncpg.Pool) -> dict[str, int]:
    """`lost`: jobs that did not succeed; `doubled`: steps that were run to the end more than once."""
    return {
        "lost": await pool.fetchval("SELECT count(*) FROM jobs WHERE state <> 'succeeded'"),
        "doubled": await pool.fetchval(
            "SELECT count(*) FROM (SELECT FROM scripted_done GROUP BY step_id HAVING count(*) > 1) twice"
        ),
    }
