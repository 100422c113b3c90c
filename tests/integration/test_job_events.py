"""A job that is watched: its state now, what was missed, each change; also while Redis is away."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx
import pytest
from redis.asyncio import Redis

from batch.claims import Claims
from parley import store
from parley.embedded.server import RunningServer
from parley.events import Events
from parley.job_events import JobEvents
from tests.integration.job_store import claimed, make_job
from tests.integration.stores import own_database
from tests.integration.ways_in import Place, redis_of, serving_gateway


@pytest.fixture(scope="module")
def place(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with own_database(server) as url:
        yield Place(url, tmp_path_factory.mktemp("blobs"), redis_of(server))


@pytest.fixture(scope="module")
def base_url(place: Place) -> Iterator[str]:
    with serving_gateway(place.settings()) as url:
        yield url


@pytest.fixture
async def pool(place: Place) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(place.database_url)
    await pool.execute("TRUNCATE uploads, jobs, recordings CASCADE")
    yield pool
    await pool.close()


@pytest.fixture
async def job_events(place: Place, pool: asyncpg.Pool) -> AsyncIterator[JobEvents]:
    """What a worker tells with."""
    redis: Redis = Redis.from_url(place.redis_url, decode_responses=True)
    yield JobEvents(pool, Events(redis))
    await redis.aclose()


class Watch:
    """The events of a stream, one after the other."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.last_id = ""

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last_id = value
                if name == "data":
                    data: dict[str, Any] = json.loads(value)
                    return data
        raise EOFError


@asynccontextmanager
async def watching(base_url: str, job_id: str, last_id: str | None = None) -> AsyncIterator[Watch]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    async with (
        httpx.AsyncClient(base_url=base_url, timeout=30) as client,
        client.stream("GET", f"/api/v1/jobs/{job_id}/events", headers=headers) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Watch(answer.aiter_lines())


async def post(base_url: str, path: str) -> None:
    async with httpx.AsyncClient(base_url=base_url, timeout=30) as client:
        assert (await client.post(path)).status_code == 200


async def test_a_watch_begins_with_the_state_and_goes_on_with_each_change(
    base_url: str, pool: asyncpg.Pool, job_events: JobEvents
) -> None:
    job_id = (await make_job(pool, "local")).job_id
    other = (await make_job(pool, "local")).job_id
    async with watching(base_url, job_id) as watch:
        first = await watch.next()
        assert first == {
            "job_id": job_id,
            "recording_id": None,
            "state": "queued",
            "delayed": None,
            "step": "transcribe",
            "stage": None,
            "percent": 0,
            "remaining_s": None,
        }
        lease = await claimed(Claims(pool))
        assert lease.step.job_id == job_id
        await lease.progress(0.5, "decoding")
        await job_events.tell("local", other)
        await job_events.tell("local", job_id)
        running = await watch.next()
        assert (running["state"], running["stage"]) == ("running", "decoding")
        await post(base_url, f"/api/v1/jobs/{job_id}/cancel")
        assert (await watch.next())["state"] == "cancelled"


async def test_whoever_comes_back_is_told_what_it_missed(
    base_url: str, pool: asyncpg.Pool, job_events: JobEvents
) -> None:
    job_id = (await make_job(pool, "local")).job_id
    await job_events.tell("local", job_id)
    async with watching(base_url, job_id) as watch:
        await watch.next()
    lease = await claimed(Claims(pool))
    for stage in ("fetching", "decoding"):
        await lease.progress(0.1, stage)
        await job_events.tell("local", job_id)
    await post(base_url, f"/api/v1/jobs/{job_id}/cancel")
    async with watching(base_url, job_id, watch.last_id) as back:
        missed = [await back.next() for _ in range(3)]
    assert [(one["state"], one["stage"]) for one in missed] == [
        ("running", "fetching"),
        ("running", "decoding"),
        ("cancelled", "decoding"),
    ]


async def test_what_nobody_told_of_is_in_the_state_that_comes_first(base_url: str, pool: asyncpg.Pool) -> None:
    """Events are a courtesy: a change whose event was dropped is not missed by whoever comes back."""
    job_id = (await make_job(pool, "local")).job_id
    async with watching(base_url, job_id) as watch:
        assert (await watch.next())["state"] == "queued"
    await claimed(Claims(pool))
    for last_id in (watch.last_id, "nonsense", "0-1"):
        async with watching(base_url, job_id, last_id) as back:
            while (await back.next())["state"] != "running":
                pass


async def test_a_watch_ends_where_its_job_is_deleted(base_url: str, pool: asyncpg.Pool) -> None:
    job_id = (await make_job(pool, "local")).job_id
    async with watching(base_url, job_id) as watch, httpx.AsyncClient(base_url=base_url) as client:
        await watch.next()
        assert (await client.delete(f"/api/v1/jobs/{job_id}")).status_code == 204
        assert (await watch.next())["state"] == "deleted"
        with pytest.raises(EOFError):
            await watch.next()


async def test_with_redis_away_changes_are_seen_all_the_same(place: Place, pool: asyncpg.Pool) -> None:
    job_id = (await make_job(pool, "local")).job_id
    without_redis = Place(place.database_url, place.blobs)
    with serving_gateway(without_redis.settings()) as url:
        async with watching(url, job_id) as watch:
            assert (await watch.next())["state"] == "queued"
            await claimed(Claims(pool))
            assert (await watch.next())["state"] == "running"


async def test_the_stream_of_all_events_tells_of_jobs_too(
    base_url: str, pool: asyncpg.Pool, job_events: JobEvents
) -> None:
    job_id = (await make_job(pool, "local")).job_id
    async with (
        httpx.AsyncClient(base_url=base_url, timeout=30) as client,
        client.stream("GET", "/api/v1/events", headers={"Last-Event-ID": "0-0"}) as answer,
    ):
        await job_events.tell("local", job_id)
        watch = Watch(answer.aiter_lines())
        while (await watch.next()).get("job_id") != job_id:
            pass
