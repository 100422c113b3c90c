"""REST for jobs: what an owner sees and does, what is refused, and what is not there for others."""

import base64
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import asyncpg
import httpx
import pytest

from batch.claims import Claims
from batch.retry import MOST_ATTEMPTS
from parley import store
from parley.embedded.server import RunningServer
from parley.jobs import StepError
from parley.store import RecordingWriter
from parley.store.intake import Wanted, take_in
from parley.store.sources import SourcePart
from tests.integration.job_store import PIPELINE, claimed, let_waits_pass, make_job
from tests.integration.stores import own_database
from tests.integration.ways_in import Place, serving_gateway

PATH = "/api/v1/jobs"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
PASSING = StepError("retryable", "decode_failed", "The decode failed.")
BROKEN = StepError("permanent", "undecodable", "'a.mp3' is no audio that can be decoded.")


@pytest.fixture(scope="module")
def place(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with own_database(server) as url:
        yield Place(url, tmp_path_factory.mktemp("blobs"))


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
async def client(base_url: str, pool: asyncpg.Pool) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=base_url, timeout=30) as client:
        yield client


@pytest.fixture
def claims(pool: asyncpg.Pool) -> Claims:
    return Claims(pool, luck=lambda: 0.0)


async def uploaded(pool: asyncpg.Pool, owner: str = "local") -> tuple[str, str]:
    """A recording and its job."""
    recording_id = str(uuid4())
    parts = [SourcePart(0, 10, "sources/none")]
    async with pool.acquire() as connection, connection.transaction():
        taken = await take_in(connection, owner, recording_id, Wanted("upload", PIPELINE, name="a.mp3"), parts)
    assert taken.job_id is not None
    return recording_id, taken.job_id


async def finished(pool: asyncpg.Pool, owner: str = "local") -> str:
    writer = RecordingWriter.new(pool, owner)
    await writer.create()
    await writer.finish("finished")
    return writer.recording_id


async def dead(pool: asyncpg.Pool, claims: Claims, owner: str = "local") -> str:
    job_id = (await make_job(pool, owner)).job_id
    for _ in range(MOST_ATTEMPTS):
        lease = await claimed(claims)
        assert lease.step.job_id == job_id
        await lease.fail(PASSING)
        await let_waits_pass(pool)
    return job_id


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["error"]["code"])


async def test_a_job_says_how_far_it_is_and_why_it_waits(
    client: httpx.AsyncClient, pool: asyncpg.Pool, claims: Claims
) -> None:
    recording_id, job_id = await uploaded(pool)
    lease = await claimed(claims)
    await lease.progress(0.5, "decoding")
    answer = await client.get(f"{PATH}/{job_id}")
    assert answer.headers["cache-control"] == "no-store"
    job = answer.json()
    assert (job["id"], job["recording_id"], job["state"]) == (job_id, recording_id, "running")
    assert (job["step"], job["stage"], job["error"]) == ("transcribe", "decoding", None)
    assert 0 < job["percent"] < 100
    assert [step["state"] for step in job["steps"]] == ["running", "pending", "pending"]
    await lease.fail(PASSING)
    waiting = (await client.get(f"{PATH}/{job_id}")).json()
    told = {"class": "retryable", "code": "decode_failed", "message": "The decode failed."}
    assert (waiting["state"], waiting["error"]) == ("waiting", told)
    [failure] = waiting["steps"][0]["failures"]
    assert (failure["attempt"], failure["worker"], failure["error"]) == (1, "w", told)


async def test_jobs_are_listed_by_page_state_and_recording(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    made = [await uploaded(pool) for _ in range(5)]
    seen, cursor = [], None
    while True:
        params = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(PATH, params=params)).json()
        seen += [job["id"] for job in page["jobs"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == [job_id for _, job_id in made[::-1]]
    recording_id, job_id = made[2]
    of_one = (await client.get(PATH, params={"recording": recording_id})).json()["jobs"]
    assert [job["id"] for job in of_one] == [job_id]
    await client.post(f"{PATH}/{job_id}/cancel")
    cancelled = (await client.get(PATH, params={"state": "cancelled"})).json()["jobs"]
    assert [job["id"] for job in cancelled] == [job_id]


@pytest.mark.parametrize("query", ["state=lost", "limit=0", "limit=201", "cursor=nonsense", "colour=red"])
async def test_a_bad_query_is_refused_with_what_was_wrong(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"{PATH}?{query}")
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["error"]["message"]


async def test_the_jobs_of_what_is_no_recording_are_not_there(client: httpx.AsyncClient) -> None:
    assert error_of(await client.get(PATH, params={"recording": "nonsense"})) == (404, "no_such_recording")
    cursor = base64.urlsafe_b64encode(b"2026-11-28T00:00:00+00:00 nonsense").decode()
    assert (await client.get(PATH, params={"cursor": cursor})).status_code == 400


async def test_cancelling_holds_a_worker_up_and_twice_changes_nothing(
    client: httpx.AsyncClient, pool: asyncpg.Pool, claims: Claims
) -> None:
    _, job_id = await uploaded(pool)
    await claimed(claims)
    for _ in range(2):
        answer = await client.post(f"{PATH}/{job_id}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")


async def test_a_deleted_job_is_gone_and_its_recording_stays(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    recording_id, job_id = await uploaded(pool)
    assert (await client.delete(f"{PATH}/{job_id}")).status_code == 204
    assert error_of(await client.get(f"{PATH}/{job_id}")) == (404, "no_such_job")
    assert (await client.get(f"/api/v1/recordings/{recording_id}")).status_code == 200


@pytest.mark.parametrize("job_id", [UNKNOWN, "nonsense", "%00", "a" * 500])
async def test_an_unknown_job_is_not_found_everywhere(client: httpx.AsyncClient, job_id: str) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/events")):
        assert error_of(await client.request(method, f"{PATH}/{job_id}{path}")) == (404, "no_such_job")


async def test_dead_letters_are_replayed_or_discarded_one_many_or_all(
    client: httpx.AsyncClient, pool: asyncpg.Pool, claims: Claims
) -> None:
    first = await dead(pool, claims)
    listed = (await client.get(PATH, params={"state": "dead"})).json()["jobs"]
    assert [(job["id"], job["error"]["code"]) for job in listed] == [(first, "decode_failed")]
    answer = (await client.post(f"{PATH}/replay", json={"ids": [first, first, UNKNOWN]})).json()
    assert answer == {"done": [first], "passed_over": [UNKNOWN]}
    replayed = (await client.get(f"{PATH}/{first}")).json()
    assert (replayed["state"], replayed["steps"][0]["attempt"]) == ("queued", 0)
    await client.delete(f"{PATH}/{first}")

    others = [await dead(pool, claims) for _ in range(2)]
    for what, done in (("replay", others[::-1]), ("discard", [])):
        answer = (await client.post(f"{PATH}/{what}", json={"ids": "all"})).json()
        assert answer == {"done": done, "passed_over": []}
    for job_id in others:
        await client.delete(f"{PATH}/{job_id}")

    last = await dead(pool, claims)
    assert (await client.post(f"{PATH}/discard", json={"ids": [last]})).json()["done"] == [last]
    assert (await client.get(f"{PATH}/{last}")).json()["state"] == "failed"


@pytest.mark.parametrize(
    "body", ["", "{}", '{"ids": []}', '{"ids": "some"}', '{"ids": ["x"]}', '{"ids": "all", "x": 1}']
)
async def test_a_wrong_list_of_dead_letters_is_refused(client: httpx.AsyncClient, body: str) -> None:
    for what in ("replay", "discard"):
        assert error_of(await client.post(f"{PATH}/{what}", content=body)) == (400, "bad_request")


async def test_anothers_jobs_are_not_there(client: httpx.AsyncClient, pool: asyncpg.Pool, claims: Claims) -> None:
    recording_id, job_id = await uploaded(pool, "bob")
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/events")):
        assert error_of(await client.request(method, f"{PATH}/{job_id}{path}")) == (404, "no_such_job")
    assert (await client.get(PATH)).json()["jobs"] == []
    assert (await client.get(PATH, params={"recording": recording_id})).json()["jobs"] == []
    await client.post(f"{PATH}/{job_id}/cancel")
    await pool.execute("DELETE FROM jobs")
    gone = await dead(pool, claims, "bob")
    for what in ("replay", "discard"):
        answer = (await client.post(f"{PATH}/{what}", json={"ids": [gone]})).json()
        assert answer == {"done": [], "passed_over": [gone]}


async def test_a_job_for_anothers_recording_is_not_made(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    for recording_id in (await finished(pool, "bob"), UNKNOWN, "nonsense"):
        answer = await client.post(f"/api/v1/recordings/{recording_id}/jobs", json={})
        assert error_of(answer) == (404, "no_such_recording")
    assert await pool.fetchval("SELECT count(*) FROM jobs") == 0


async def test_a_finished_recording_gets_another_job(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    path = f"/api/v1/recordings/{await finished(pool)}/jobs"
    answer = await client.post(path, json={})
    assert (answer.status_code, answer.json()["pipeline"]) == (202, ["summarise", "index", "notify"])
    wanted = {"pipeline": ["translate"], "options": {"translate_to": "de"}, "priority": "bulk"}
    key = {"Idempotency-Key": "again"}
    first, second = [(await client.post(path, json=wanted, headers=key)).json() for _ in range(2)]
    assert (first["id"], first["options"]) == (second["id"], {"translate_to": "de"})


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ({"pipeline": ["sing"]}, "unknown_step", "summarise"),
        ({"pipeline": "sing"}, "unknown_step", "sing"),
        ({"pipeline": ["transcribe"]}, "step_order", "source"),
        ({"pipeline": ["notify", "notify"]}, "step_twice", "notify"),
        ({"title": "Monday"}, "bad_request", "title"),
        ({"options": {"template": ""}}, "bad_request", "template"),
        ({"priority": 1}, "bad_request", "priority"),
    ],
)
async def test_a_job_that_cannot_be_is_refused_with_what_was_wrong(
    client: httpx.AsyncClient, pool: asyncpg.Pool, body: dict[str, object], code: str, named: str
) -> None:
    answer = await client.post(f"/api/v1/recordings/{await finished(pool)}/jobs", json=body)
    assert error_of(answer) == (400, code)
    assert named in answer.json()["error"]["message"]


async def test_a_file_that_is_not_written_down_yet_has_one_job_at_a_time(
    client: httpx.AsyncClient, pool: asyncpg.Pool, claims: Claims
) -> None:
    recording_id, _ = await uploaded(pool)
    path = f"/api/v1/recordings/{recording_id}/jobs"
    assert error_of(await client.post(path, json={})) == (409, "job_at_work")
    await (await claimed(claims)).fail(BROKEN)
    assert error_of(await client.post(path, json={"pipeline": "live"})) == (400, "step_order")
    again = await client.post(path, json={})
    assert (again.status_code, again.json()["pipeline"]) == (202, ["transcribe", "summarise", "index", "notify"])
    assert len((await client.get(PATH, params={"recording": recording_id})).json()["jobs"]) == 2


async def test_a_recording_that_is_being_made_gets_no_job(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    writer = RecordingWriter.new(pool, "local")
    await writer.create()
    answer = await client.post(f"/api/v1/recordings/{writer.recording_id}/jobs", json={})
    assert error_of(answer) == (409, "still_recording")
    await pool.execute("UPDATE recordings SET alive_at = now() - interval '1 minute'")  # lists say interrupted now
    assert (await client.post(f"/api/v1/recordings/{writer.recording_id}/jobs", json={})).status_code == 202


async def test_everything_is_described(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/api/docs/openapi.json")).json()["paths"]
    described = {path: sorted(methods) for path, methods in paths.items() if "job" in path or "upload" in path}
    assert described == {
        "/api/v1/uploads": ["post"],
        "/api/v1/uploads/{id}": ["delete", "patch", "post"],
        "/api/v1/uploads/presigned": ["post"],
        "/api/v1/uploads/{id}/complete": ["post"],
        "/api/v1/jobs": ["get"],
        "/api/v1/jobs/replay": ["post"],
        "/api/v1/jobs/discard": ["post"],
        "/api/v1/jobs/{id}": ["delete", "get"],
        "/api/v1/jobs/{id}/cancel": ["post"],
        "/api/v1/jobs/{id}/events": ["get"],
        "/api/v1/recordings/{id}/jobs": ["post"],
    }
    assert {"get", "post"} <= set(paths["/api/v1/recordings"])
    assert "post" in paths["/api/v1/recordings/import"]
