"""Jobs for tests: made by one call, and clocks that are moved in place of waiting."""

from typing import Any

import asyncpg

from batch.claims import Claims, Lease
from parley.jobs import Kind, PlannedStep
from parley.store.jobs import Enqueued, enqueue

PIPELINE = (PlannedStep("transcribe", "stt"), PlannedStep("summarise", "llm"), PlannedStep("notify", "notify"))
LEASE_S = 60.0


async def make_job(pool: asyncpg.Pool, owner: str = "alice", *steps: PlannedStep, **values: Any) -> Enqueued:
    async with pool.acquire() as connection:
        return await enqueue(connection, owner, steps or PIPELINE, **values)


async def claimed(claims: Claims, kind: Kind = "stt", worker: str = "w") -> Lease:
    """Raises where nothing is due."""
    lease = await claims.claim(kind, worker, LEASE_S)
    assert lease is not None
    return lease


async def let_leases_expire(pool: asyncpg.Pool) -> None:
    await pool.execute("UPDATE job_steps SET lease_until = now() - interval '1 s' WHERE state = 'running'")


async def let_waits_pass(pool: asyncpg.Pool) -> None:
    await pool.execute("UPDATE job_steps SET not_before = now(), announce_at = now() WHERE state = 'waiting'")
