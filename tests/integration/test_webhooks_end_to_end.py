"""From a job to its receiver, with a real worker."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.job_bodies import bodies_of
from parley.embedded.server import RunningServer, running_server
from parley.jobs import PlannedStep
from parley.store.jobs import StepRates, enqueue
from parley.store.webhooks import Webhooks
from parley.webhooks import EVENTS, verify
from tests.integration.batch_server import COMMAND, OWNER, QUICK, ended, open_pool, until
from tests.integration.receivers import hangs, receiver


@pytest.fixture(scope="module")
def workers() -> Iterator[RunningServer]:
    settings = {f"PARLEY_BATCH__{name}": value for name, value in QUICK.items()}
    with running_server(
        command=COMMAND, workers=1, env=settings | {"PARLEY_WEBHOOKS__ALLOW_PRIVATE": "true"}
    ) as server:
        yield server


async def test_a_worker_runs_notify_and_tells_while_another_receiver_hangs(workers: RunningServer) -> None:
    async with open_pool(workers) as pool, receiver(hangs) as hanging, receiver() as taker:
        mine = Webhooks(pool, OWNER)
        await mine.create(hanging.url, EVENTS)
        webhook = await mine.create(taker.url, EVENTS)
        async with pool.acquire() as connection:
            job_id = (await enqueue(connection, OWNER, [PlannedStep("notify", "notify")])).job_id
        job = await until(pool, job_id, ended)
        assert job.state == "succeeded"
        async with asyncio.timeout(30):
            await taker.hears(1)
        [told] = taker.told
        verify(webhook.secret, told.headers["parley-signature"], told.body)
        assert (told.json["type"], told.json["job"]["id"]) == ("job.succeeded", job_id)
        told_of = {"delivered": 1, "pending": 1}
        [body] = await bodies_of(StepRates(pool), [await until(pool, job_id, lambda job: job.webhooks == told_of)])
        assert body.webhooks == told_of
        await pool.execute("DELETE FROM webhooks")
