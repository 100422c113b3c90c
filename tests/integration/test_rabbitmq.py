"""The batch path with RabbitMQ in Redis' place: a real server, real workers."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from benchmarks.jobs.steps import Script
from parley.embedded.server import RunningServer
from tests.integration.batch_server import (
    batch_server,
    doubled,
    ended,
    forget_all,
    make_job,
    make_jobs,
    open_pool,
    until,
)
from tests.integration.rabbitmq_process import RabbitMQ, binary, rabbitmq

pytestmark = pytest.mark.skipif(binary() is None, reason="RabbitMQ is not installed (scripts/find-rabbitmq)")


@pytest.fixture(scope="module")
def broker() -> Iterator[RabbitMQ]:
    with tempfile.TemporaryDirectory(prefix="rabbitmq-") as folder, rabbitmq(Path(folder)) as server:
        yield server


@pytest.fixture(scope="module")
def workers(broker: RabbitMQ) -> Iterator[RunningServer]:
    with batch_server(BROKER_URL=broker.url) as server:
        yield server


@pytest.fixture
async def pool(workers: RunningServer) -> AsyncIterator[asyncpg.Pool]:
    async with open_pool(workers) as pool:
        await forget_all(pool)
        yield pool
        assert await doubled(pool) == 0


async def test_jobs_run_to_their_end(pool: asyncpg.Pool) -> None:
    job_ids = await make_jobs(pool, 20)
    assert {(await until(pool, job_id, ended)).state for job_id in job_ids} == {"succeeded"}


def test_its_queues_are_kept_on_disk_and_replicated(broker: RabbitMQ, workers: RunningServer) -> None:
    assert httpx.get(f"{workers.places['worker']}/readyz", trust_env=False).json()["parts"]["broker"] == "ok"
    assert {name: kind for name, kind in broker.queues().items() if name in ("stt", "llm", "index", "notify")} == {
        "stt": "quorum",
        "llm": "quorum",
        "index": "quorum",
        "notify": "quorum",
    }


async def test_jobs_say_that_it_is_away_and_go_on_when_it_is_back(broker: RabbitMQ, pool: asyncpg.Pool) -> None:
    running = await make_jobs(pool, 4, stt=Script(seconds=1))
    broker.kill()
    waiting = await make_job(pool)
    job = await until(pool, waiting, lambda job: job.delayed)
    assert job.delayed == "The message broker does not answer; the job goes on when it is back."
    broker.start()
    assert {(await until(pool, job_id, ended, 90)).state for job_id in (*running, waiting)} == {"succeeded"}
