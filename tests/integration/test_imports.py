"""Recordings by URL: refused at once where the address says it all, else fetched by the step `fetch`, once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import asyncpg
import httpx
import pytest

from batch.claims import Claims, LeaseLost
from batch.pipeline import StepContext
from batch.retry import classify
from batch.steps.fetch import fetch_by
from batch.wiring import Tools, open_tools
from parley import store
from parley.embedded.server import RunningServer
from parley.errors import ParleyError
from parley.fetch import lookup
from parley.jobs import PlannedStep
from parley.settings import UploadSettings
from parley.store.intake import Wanted, take_in
from parley.store.jobs import Jobs
from parley.store.sources import Sources
from tests.conftest import CLIPS
from tests.integration.job_store import LEASE_S
from tests.integration.stores import own_database
from tests.integration.test_fetching import Asked, Names, Server, says, serving, whole
from tests.integration.ways_in import Place, serving_gateway

PATH = "/api/v1/recordings/import"
WAV = CLIPS[0].path.read_bytes()
RECORDING = "00000000-0000-4000-8000-000000000001"


@pytest.fixture(scope="module")
def database(server: RunningServer) -> Iterator[str]:
    with own_database(server) as url:
        yield url


@pytest.fixture
def place(database: str, tmp_path: Path) -> Place:
    return Place(database, tmp_path)


@pytest.fixture(scope="module")
def base_url(database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_gateway(Place(database, tmp_path_factory.mktemp("blobs")).settings()) as url:
        yield url


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(database)
    await pool.execute("TRUNCATE uploads, jobs, recordings CASCADE")
    yield pool
    await pool.close()


@pytest.fixture
async def client(base_url: str, pool: asyncpg.Pool) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base_url, timeout=30) as client:
        yield client


async def test_an_address_becomes_a_recording_whose_job_fetches_it_first(client: httpx.AsyncClient) -> None:
    url = "https://files.example/talks/monday.mp3?token=secret"
    answer = await client.post(PATH, json={"url": url, "title": "Monday", "priority": "urgent"})
    assert answer.status_code == 202
    taken = answer.json()
    assert (taken["recording"]["origin"], taken["recording"]["state"]) == ("import", "processing")
    assert taken["job"]["pipeline"] == ["fetch", "transcribe", "summarise", "index", "notify"]
    assert taken["job"]["priority"] == "urgent"
    assert "secret" not in answer.text
    own = (await client.post(PATH, json={"url": url, "pipeline": ["transcribe", "notify"]})).json()
    assert own["job"]["pipeline"] == ["fetch", "transcribe", "notify"]


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("ftp://files.example/a.mp3", "forbidden_url"),
        ("file:///etc/passwd", "forbidden_url"),
        ("https://user:secret@files.example/a.mp3", "forbidden_url"),
        ("http://files.example:22/a.mp3", "forbidden_url"),
        ("no address at all", "forbidden_url"),
        ("http://127.0.0.1/a.mp3", "forbidden_address"),
        ("http://0x7f.1/a.mp3", "forbidden_address"),
        ("http://2130706433/a.mp3", "forbidden_address"),
        ("http://[::1]/a.mp3", "forbidden_address"),
        ("http://169.254.169.254/latest/meta-data", "forbidden_address"),
        ("http://10.0.0.1/a.mp3", "forbidden_address"),
    ],
)
async def test_an_address_that_is_never_fetched_is_refused_at_once(
    client: httpx.AsyncClient, pool: asyncpg.Pool, url: str, code: str
) -> None:
    answer = await client.post(PATH, json={"url": url})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert "secret" not in answer.text
    assert await pool.fetchval("SELECT count(*) FROM recordings") == 0


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, "url"),
        ({"url": ""}, "url"),
        ({"url": 7}, "url"),
        ({"url": "http://a.example/", "colour": "red"}, "colour"),
        ({"url": "http://a.example/", "options": {"langauge": "de"}}, "langauge"),
        ({"url": "http://a.example/", "pipeline": ["transcribe", "sing"]}, "sing"),
        ({"url": "http://a.example/", "pipeline": []}, "pipeline"),
    ],
)
async def test_a_wrong_request_is_refused_with_what_was_wrong(
    client: httpx.AsyncClient, body: dict[str, object], named: str
) -> None:
    answer = await client.post(PATH, json=body)
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]


async def test_the_same_import_again_makes_nothing_new(client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "monday"}
    first, second = [(await client.post(PATH, json={"url": "http://a.example/"}, headers=key)).json() for _ in "12"]
    assert second == first
    assert len((await client.get("/api/v1/recordings")).json()["recordings"]) == 1


@pytest.fixture
async def tools(place: Place, pool: asyncpg.Pool) -> AsyncIterator[Tools]:
    async with open_tools(place.settings()) as tools:
        yield tools


class Fetching:
    """The step, claimed for a recording from `server`. `strict`: the worker may not connect to loopback."""

    def __init__(self, tools: Tools, server: Server, *, strict: bool = False) -> None:
        networks = () if strict else (ip_network("127.0.0.0/8"),)
        uploads = UploadSettings(import_ports=(server.port,), import_networks=networks, max_bytes=1_000_000)
        self._tools = replace(tools, settings=tools.settings.model_copy(update={"uploads": uploads}))
        self._pool = tools.pool

    async def claim(self, url: str) -> StepContext:
        steps = (PlannedStep("fetch", "stt"), PlannedStep("transcribe", "stt"))
        async with self._pool.acquire() as connection, connection.transaction():
            await take_in(connection, "alice", RECORDING, Wanted("import", steps, url=url), [])
        return await self.claim_again()

    async def claim_again(self) -> StepContext:
        lease = await Claims(self._pool).claim("stt", "w", LEASE_S)
        assert lease is not None
        return StepContext(lease, self._tools)

    async def failure(self, url: str, names: Names | None = None) -> ParleyError:
        with pytest.raises(ParleyError) as failed:
            await fetch_by(names or lookup, await self.claim(url))
        assert await Sources(self._pool, "alice").parts(RECORDING) == []
        return failed.value


def here(*addresses: str) -> Names:
    return Names(files_example=[list(addresses) or ["127.0.0.1"]])


async def test_what_is_fetched_is_the_recordings_file(place: Place, tools: Tools) -> None:
    async with serving(whole(WAV, 'Content-Disposition: attachment; filename="talk.wav"')) as server:
        context = await Fetching(tools, server).claim(server.url())
        result = await fetch_by(here(), context)
    assert result.value == {"name": "talk.wav", "bytes": len(WAV)}
    [part] = await Sources(tools.pool, "alice").parts(RECORDING)
    assert (part.start, part.end) == (0, len(WAV))
    assert [path.read_bytes() for path in place.files_of(RECORDING)] == [WAV]
    assert (await Sources(tools.pool, "alice").get(RECORDING)).name == "talk.wav"


async def test_fetching_twice_changes_nothing(place: Place, tools: Tools) -> None:
    async with serving(whole(WAV)) as server:
        fetching = Fetching(tools, server)
        first = await fetching.claim(server.url())
        await fetch_by(here(), first)
        before = await Sources(tools.pool, "alice").parts(RECORDING)
        await first.lease.release()  # its worker stopped before it could say that it was done
        await fetch_by(here(), await fetching.claim_again())
        assert (await Sources(tools.pool, "alice").parts(RECORDING), server.connections) == (before, 1)
    assert len(place.files_of(RECORDING)) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "files.example"])
async def test_an_address_within_a_network_ends_the_job_for_good(tools: Tools, host: str) -> None:
    async with serving(whole(WAV)) as server:
        names = here() if host == "files.example" else None
        error = await Fetching(tools, server, strict=True).failure(server.url(host), names)
        assert (error.code, classify(error).error_class) == ("forbidden_address", "permanent")
        assert server.connections == 0


async def test_a_redirect_into_a_network_ends_the_job_for_good(tools: Tools) -> None:
    async with serving(says("HTTP/1.1 302 Found\nLocation: http://10.0.0.1:{port}/\nContent-Length: 0")) as server:
        names = Names(files_example=[["127.0.0.1"]])

        async def resolve(host: str, port: int) -> Sequence[str]:
            return await (names if host.endswith("example") else lookup)(host, port)

        context = await Fetching(tools, server).claim(server.url())
        with pytest.raises(ParleyError) as failed:
            await fetch_by(resolve, context)
    assert (failed.value.code, classify(failed.value).error_class) == ("forbidden_address", "permanent")


async def test_a_body_without_end_is_stopped_at_the_limit(place: Place, tools: Tools) -> None:
    async def endless(asked: Asked) -> None:
        await asked.say("HTTP/1.1 200 OK")
        while True:
            asked.writer.write(bytes(65_536))
            await asked.writer.drain()

    async with serving(endless) as server:
        error = await Fetching(tools, server).failure(server.url(), here())
    assert (error.code, classify(error).error_class) == ("too_large", "permanent")
    assert place.files_of(RECORDING) == []


@pytest.mark.parametrize(
    ("head", "code", "error_class"),
    [
        ("HTTP/1.1 404 Not Found\nContent-Length: 0", "fetch_failed", "permanent"),
        ("HTTP/1.1 200 OK\nContent-Length: 0", "fetch_failed", "permanent"),
        ("HTTP/1.1 503 Busy\nRetry-After: 7\nContent-Length: 0", "fetch_failed", "retryable"),
        ("HTTP/1.1 200 OK\nContent-Length: 99", "fetch_failed", "retryable"),
    ],
)
async def test_what_the_other_side_says_decides_whether_to_try_again(
    tools: Tools, head: str, code: str, error_class: str
) -> None:
    async with serving(says(head)) as server:
        error = await Fetching(tools, server).failure(server.url(), here())
    found = classify(error)
    assert (found.code, found.error_class) == (code, error_class)
    assert found.retry_after_s == (7 if "Retry-After" in head else None)


async def test_what_is_no_sound_is_told_by_its_content(tools: Tools) -> None:
    async with serving(whole(b"\x89PNG\r\n\x1a\n" + bytes(100))) as server:
        error = await Fetching(tools, server).failure(server.url(path="/song.mp3"), here())
    assert (error.message, classify(error).error_class) == ("'song.mp3' is a PNG image, no audio.", "permanent")


async def test_of_a_fetch_whose_job_was_cancelled_nothing_is_kept(place: Place, tools: Tools) -> None:
    sent, go_on = asyncio.Event(), asyncio.Event()

    async def halting(asked: Asked) -> None:
        await asked.say(f"HTTP/1.1 200 OK\nContent-Length: {len(WAV)}", WAV[:1000])
        sent.set()
        await go_on.wait()
        asked.writer.write(WAV[1000:])

    async with serving(halting) as server, contextlib.AsyncExitStack() as stack:
        stack.callback(go_on.set)
        context = await Fetching(tools, server).claim(server.url())
        fetching = asyncio.create_task(fetch_by(here(), context))
        await sent.wait()
        await Jobs(tools.pool, "alice").cancel(context.step.job_id)
        go_on.set()
        with pytest.raises(LeaseLost):
            await fetching
    assert place.files_of(RECORDING) == []
    assert await Sources(tools.pool, "alice").parts(RECORDING) == []
