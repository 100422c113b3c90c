"""Workers as real processes, with a real PostgreSQL and a real Redis: what becomes of jobs, whatever dies."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator

import asyncpg
import httpx
import pytest

from benchmarks.jobs.steps import Script
from parley.embedded.server import RunningServer
from parley.errors import NotFound
from parley.store.jobs import Jobs
from parley.store.pipelines import plan
from tests.integration.batch_server import (
    OWNER,
    batch_server,
    broker,
    doubled,
    ended,
    forget_all,
    make_job,
    make_jobs,
    open_events,
    open_pool,
    part_of,
    runs,
    until,
)


@pytest.fixture(scope="module")
def workers() -> Iterator[RunningServer]:
    with batch_server() as server:
        yield server


@pytest.fixture
async def pool(workers: RunningServer) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(workers) as pool:
        await forget_all(pool)
        yield pool
        assert await doubled(pool) == 0


async def begun(pool: asyncpg.Pool) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM scripted_begun"))


async def test_a_job_is_run_step_by_step_to_its_end(pool: asyncpg.Pool) -> None:
    job = await until(pool, await make_job(pool), ended)
    assert job.state == "succeeded"
    assert [(step.name, step.state, step.result) for step in job.steps] == [
        (name, "succeeded", {"attempt": 1}) for name in ("script-stt", "script-llm", "script-notify")
    ]
    assert job.steps[0].usage == ({"seconds": 0.0},)


async def test_steps_that_workers_know_can_be_planned(pool: asyncpg.Pool) -> None:
    assert [step.kind for step in await plan(pool, ["script-stt", "script-notify"], ())] == ["stt", "notify"]


async def test_what_fails_is_tried_again_and_remembers_why(pool: asyncpg.Pool) -> None:
    job_id = await make_job(pool, llm=Script(fails=1))
    await until(pool, job_id, lambda job: job.state == "waiting")
    await pool.execute("UPDATE job_steps SET not_before = now(), announce_at = now() WHERE state = 'waiting'")
    job = await until(pool, job_id, ended)
    assert job.state == "succeeded"
    assert [(failure.attempt, failure.error.code) for failure in job.steps[1].failures] == [(1, "engine_error")]


async def test_what_would_fail_again_is_not_tried_again(pool: asyncpg.Pool) -> None:
    job = await until(pool, await make_job(pool, llm=Script(fails=9, how="permanent")), ended)
    assert job.state == "failed"
    assert [step.state for step in job.steps] == ["succeeded", "failed", "pending"]
    assert job.steps[1].error is not None
    assert job.steps[1].error.message == "The script says that run 1 fails."


async def test_an_error_that_nobody_foresaw_is_written_down_and_tried_again(pool: asyncpg.Pool) -> None:
    job = await until(pool, await make_job(pool, stt=Script(fails=1, how="unforeseen")), lambda job: job.steps[0].error)
    assert job.steps[0].error is not None
    assert job.steps[0].error.message == "ZeroDivisionError: The script says that run 1 fails."


async def test_what_it_needs_is_away_and_the_job_says_so(pool: asyncpg.Pool) -> None:
    job = await until(pool, await make_job(pool, stt=Script(fails=9, how="delayed")), lambda job: job.delayed)
    assert (job.state, job.delayed) == ("waiting", "The script says that run 1 fails.")


async def test_a_step_that_is_cancelled_ends_at_once_wherever_it_runs(pool: asyncpg.Pool) -> None:
    job_id = await make_job(pool, stt=Script(seconds=60, blind=True))
    step = (await until(pool, job_id, runs)).steps[0]
    assert await Jobs(pool, OWNER).cancel(job_id)
    assert (await until(pool, job_id, ended)).state == "cancelled"
    assert await begun(pool) == 1
    after = await until(pool, await make_job(pool), ended)
    assert after.state == "succeeded"
    assert step.worker is not None


async def test_a_job_can_be_deleted_while_it_runs(pool: asyncpg.Pool) -> None:
    job_id = await make_job(pool, stt=Script(seconds=60))
    await until(pool, job_id, runs)
    await Jobs(pool, OWNER).delete(job_id)
    with pytest.raises(NotFound):
        await Jobs(pool, OWNER).get(job_id)
    assert (await until(pool, await make_job(pool), ended)).state == "succeeded"


async def test_another_worker_finishes_what_a_killed_one_had(workers: RunningServer, pool: asyncpg.Pool) -> None:
    job_id = await make_job(pool, stt=Script(seconds=2))
    first = (await until(pool, job_id, runs)).steps[0].worker
    os.kill(workers.pid(part_of(workers, first)), signal.SIGKILL)
    job = await until(pool, job_id, ended)
    assert job.state == "succeeded"
    assert job.steps[0].worker != first
    assert [failure.error.code for failure in job.steps[0].failures] == ["worker_lost"]


async def test_a_worker_that_is_stopped_gives_its_steps_back(workers: RunningServer, pool: asyncpg.Pool) -> None:
    job_id = await make_job(pool, stt=Script(seconds=2, blind=True))
    first = (await until(pool, job_id, runs)).steps[0].worker
    os.kill(workers.pid(part_of(workers, first)), signal.SIGTERM)
    job = await until(pool, job_id, ended)
    assert job.state == "succeeded"
    assert (job.steps[0].attempt, job.steps[0].failures) == (1, ())
    assert await begun(pool) == 4


async def test_a_frozen_worker_that_wakes_up_can_write_nothing_more(workers: RunningServer, pool: asyncpg.Pool) -> None:
    job_id = await make_job(pool, stt=Script(seconds=1.5, blind=True))
    first = (await until(pool, job_id, runs)).steps[0].worker
    frozen = workers.pid(part_of(workers, first))
    os.kill(frozen, signal.SIGSTOP)
    try:
        job = await until(pool, job_id, ended)
    finally:
        os.kill(frozen, signal.SIGCONT)
    assert job.state == "succeeded"
    assert job.steps[0].worker != first
    after = await until(pool, await make_job(pool), ended)
    assert after.state == "succeeded"


async def test_all_goes_on_after_the_broker_lost_every_message(workers: RunningServer, pool: asyncpg.Pool) -> None:
    job_ids = await make_jobs(pool, 12, stt=Script(seconds=0.5))
    with broker(workers) as redis:
        for _ in range(4):
            redis.flushall()
            await asyncio.sleep(0.2)
    assert {(await until(pool, job_id, ended)).state for job_id in job_ids} == {"succeeded"}


async def test_while_the_broker_is_away_jobs_say_so_and_go_on_when_it_is_back(
    workers: RunningServer, pool: asyncpg.Pool
) -> None:
    redis_process = workers.pid("redis")
    os.kill(redis_process, signal.SIGSTOP)
    try:
        job_id = await make_job(pool)
        job = await until(pool, job_id, lambda job: job.delayed)
        assert job.state == "queued"
        assert job.delayed == "The message broker does not answer; the job goes on when it is back."
    finally:
        os.kill(redis_process, signal.SIGCONT)
    job = await until(pool, job_id, ended)
    assert (job.state, job.delayed) == ("succeeded", None)


async def test_all_goes_on_after_the_broker_was_killed(workers: RunningServer, pool: asyncpg.Pool) -> None:
    job_ids = await make_jobs(pool, 8, stt=Script(seconds=0.5))
    os.kill(workers.pid("redis"), signal.SIGKILL)
    job_ids += await make_jobs(pool, 8)
    assert {(await until(pool, job_id, ended, 60)).state for job_id in job_ids} == {"succeeded"}


async def test_a_dead_letter_that_is_replayed_runs_from_where_it_died(pool: asyncpg.Pool) -> None:
    job_id = await make_job(pool, llm=Script(fails=1))
    await until(pool, job_id, lambda job: job.state == "waiting")
    await pool.execute(
        "UPDATE job_steps SET attempt = 7, not_before = now(), announce_at = now() WHERE state = 'waiting'"
    )
    await pool.execute("UPDATE jobs SET options = jsonb_set(options, '{script-llm,fails}', '8')")
    assert (await until(pool, job_id, ended)).state == "dead"
    await pool.execute("UPDATE jobs SET options = jsonb_set(options, '{script-llm,fails}', '0')")
    assert list(await Jobs(pool, OWNER).replay([job_id])) == [job_id]
    assert (await until(pool, job_id, lambda job: job.state == "succeeded")).steps[1].attempt == 1


async def test_one_owners_many_jobs_delay_anothers_by_one_step_at_most(pool: asyncpg.Pool) -> None:
    many = await make_jobs(pool, 30, owner="bulky", stt=Script(seconds=0.4))
    await asyncio.sleep(0.3)
    mine = await until(pool, await make_job(pool), ended)
    assert mine.state == "succeeded"
    assert await pool.fetchval("SELECT count(*) FROM jobs WHERE owner = 'bulky' AND state <> 'succeeded'") > 0
    await pool.execute("DELETE FROM jobs WHERE id = ANY($1::uuid[])", many)


async def test_events_tell_how_a_job_goes(workers: RunningServer, pool: asyncpg.Pool) -> None:
    told = []
    async with open_events(workers) as events:
        following = events.follow(OWNER)
        first = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0.2)
        job_id = await make_job(pool, stt=Script(seconds=2.5))
        event = await first
        async with asyncio.timeout(30):
            while True:
                if event is not None and event.topic == "job" and event.data["job_id"] == job_id:
                    told.append(event.data)
                    if event.data["state"] == "succeeded":
                        break
                event = await anext(following)
    assert told[0]["state"] == "running"
    assert (told[-1]["percent"], told[-1]["step"], told[-1]["remaining_s"]) == (100, None, 0)
    assert [one["percent"] for one in told] == sorted(one["percent"] for one in told)
    assert any(one["stage"] == "following its script" for one in told)
    assert len(told) <= 12, "at most one a second, beside the changes of state"


async def test_a_worker_says_how_it_is(workers: RunningServer) -> None:
    place = workers.places["worker"]
    async with httpx.AsyncClient(base_url=place, trust_env=False) as client:
        ready = (await client.get("/readyz")).json()
        assert ready["status"] == "ready"
        assert ready["parts"] == {"database": "ok", "broker": "ok", "consumer": "ok"}
        assert ready["queues"] == ["stt", "llm", "index", "notify"]
        assert "parley_batch_steps_total" in (await client.get("/metrics")).text
