"""Resumable uploads, kept: a file comes in parts and is a recording with its job; with no worker, engine or Redis."""

import asyncio
import base64
import hashlib
import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest
from tusclient import client as tus_client

from gateway.tus import PART_TYPE
from gateway.upload_sweeper import UploadSweeper
from parley import store
from parley.blobs import Blobs
from parley.embedded.server import RunningServer
from parley.store.jobs import Jobs
from parley.store.sources import SourcePart, Sources, copy_source
from parley.store.uploads import DroppedUploads, UploadRows
from tests.integration.stores import own_database
from tests.integration.ways_in import Place, serving_gateway

PATH = "/api/v1/uploads"
BODY = bytes(range(256)) * 2000
PART = 200_000


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
    async with httpx.AsyncClient(base_url=base_url, headers={"Tus-Resumable": "1.0.0"}, timeout=30) as client:
        yield client


def metadata(**values: str) -> dict[str, str]:
    encoded = (f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())
    return {"Upload-Metadata": ",".join(encoded)}


async def create(client: httpx.AsyncClient, length: int = len(BODY), **headers: str) -> str:
    answer = await client.post(PATH, headers={"Upload-Length": str(length), **headers})
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


async def send(client: httpx.AsyncClient, location: str, start: int, body: bytes, **headers: str) -> httpx.Response:
    headers = {"Upload-Offset": str(start), "Content-Type": PART_TYPE, **headers}
    return await client.patch(location, content=body, headers=headers)


async def upload(client: httpx.AsyncClient, body: bytes = BODY, **headers: str) -> httpx.Response:
    """The answer to the last part."""
    location = await create(client, len(body), **headers)
    for start in range(0, len(body), PART):
        answer = await send(client, location, start, body[start : start + PART])
        assert answer.status_code == 204, answer.text
    return answer


async def test_a_real_clients_file_is_a_recording_with_its_job(
    base_url: str, client: httpx.AsyncClient, pool: asyncpg.Pool, place: Place
) -> None:
    wanted = {"filename": "a/wörk.mp3", "title": "Monday", "priority": "bulk", "options": '{"language": "de"}'}

    def by_tus() -> str:
        uploader = tus_client.TusClient(base_url + PATH).uploader(
            file_stream=io.BytesIO(BODY), chunk_size=PART, metadata=wanted, upload_checksum=True
        )
        uploader.upload()
        return str(uploader.url)

    location = await asyncio.to_thread(by_tus)
    head = await client.head(location)
    recording_id, job_id = head.headers["parley-recording-id"], head.headers["parley-job-id"]
    recording = (await client.get(f"/api/v1/recordings/{recording_id}")).json()
    said = {name: recording[name] for name in ("state", "origin", "source_name", "title", "duration_ms")}
    assert said == {
        "state": "processing",
        "origin": "upload",
        "source_name": "wörk.mp3",
        "title": "Monday",
        "duration_ms": 0,
    }
    job = (await client.get(f"/api/v1/jobs/{job_id}")).json()
    assert (job["recording_id"], job["state"], job["priority"]) == (recording_id, "queued", "bulk")
    assert job["options"] == {"language": "de"}
    assert job["pipeline"] == ["transcribe", "summarise", "index", "notify"]
    file = io.BytesIO()
    parts = await Sources(pool, "local").parts(recording_id)
    sha256 = await copy_source(Blobs(place.blobs.as_uri()), parts, file)
    assert (file.getvalue(), sha256) == (BODY, hashlib.sha256(BODY).hexdigest())


async def test_the_last_part_says_what_the_upload_became(client: httpx.AsyncClient) -> None:
    location = await create(client, 10)
    first = await send(client, location, 0, b"12345")
    assert "parley-recording-id" not in first.headers
    last = await send(client, location, 5, b"67890")
    head = await client.head(location)
    for name in ("parley-recording-id", "parley-job-id"):
        assert last.headers[name] == head.headers[name]
    listed = (await client.get("/api/v1/recordings")).json()["recordings"]
    assert [one["id"] for one in listed] == [last.headers["parley-recording-id"]]


async def test_a_part_twice_out_of_order_and_behind_the_end_changes_nothing(
    client: httpx.AsyncClient, pool: asyncpg.Pool, place: Place
) -> None:
    location = await create(client, 10)
    parts = [(5, b"67890"), (0, b"12345"), (0, b"12345"), (5, b"67890"), (5, b"67890"), (0, b"12345"), (10, b"more")]
    answers = [await send(client, location, start, body) for start, body in parts]
    assert [answer.status_code for answer in answers] == [409, 204, 409, 204, 409, 409, 413]
    recording_id = answers[3].headers["parley-recording-id"]
    parts_kept = await Sources(pool, "local").parts(recording_id)
    assert [(part.start, part.end) for part in parts_kept] == [(0, 5), (5, 10)]
    assert len(place.files_of(recording_id)) == 2
    assert len((await client.get("/api/v1/jobs")).json()["jobs"]) == 1


async def test_of_two_parts_for_one_place_one_wins_and_nothing_of_the_other_stays(
    client: httpx.AsyncClient, place: Place
) -> None:
    location = await create(client, 2 * PART)
    answers = await asyncio.gather(*(send(client, location, 0, bytes([i]) * PART) for i in range(4)))
    assert sorted(answer.status_code for answer in answers) == [204, 409, 409, 409]
    assert len(place.files_of(location.rpartition("/")[2])) == 1
    assert (await client.head(location)).headers["upload-offset"] == str(PART)


async def test_a_part_that_is_not_what_its_checksum_says_is_not_kept(client: httpx.AsyncClient, place: Place) -> None:
    location = await create(client, 10)
    wrong = "sha1 " + base64.b64encode(hashlib.sha1(b"other").digest()).decode()
    answer = await send(client, location, 0, b"12345", **{"Upload-Checksum": wrong})
    assert (answer.status_code, answer.json()["error"]["code"]) == (460, "checksum_mismatch")
    assert (await client.head(location)).headers["upload-offset"] == "0"
    assert place.files_of(location.rpartition("/")[2]) == []


@asynccontextmanager
async def no_jobs(pool: asyncpg.Pool) -> AsyncIterator[None]:
    """PostgreSQL goes away whenever a job is made."""
    await pool.execute("""
        CREATE FUNCTION go_away() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'gone' USING ERRCODE = 'cannot_connect_now'; END; $$;
        CREATE TRIGGER go_away BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION go_away();
    """)
    try:
        yield
    finally:
        await pool.execute("DROP FUNCTION go_away CASCADE")


async def test_the_recording_and_its_job_are_made_together_or_not_at_all(
    client: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    location = await create(client, 10)
    async with no_jobs(pool):
        assert (await send(client, location, 0, b"1234567890")).status_code == 503
    assert (await client.get("/api/v1/recordings")).json()["recordings"] == []
    assert (await client.head(location)).headers["upload-offset"] == "0"
    assert "parley-job-id" in (await send(client, location, 0, b"1234567890")).headers


@pytest.mark.parametrize(
    ("length", "status", "code"),
    [("0", 400, "no_audio"), ("5000000001", 413, "too_large"), ("many", 400, "bad_request")],
)
async def test_a_length_that_cannot_be_is_refused_before_anything_is_sent(
    client: httpx.AsyncClient, pool: asyncpg.Pool, length: str, status: int, code: str
) -> None:
    answer = await client.post(PATH, headers={"Upload-Length": length})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert await pool.fetchval("SELECT count(*) FROM uploads") == 0


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ({"options": "{"}, "options"),
        ({"options": "[]"}, "options"),
        ({"options": '{"langauge": "de"}'}, "langauge"),
        ({"options": '{"language": "german"}'}, "german"),
        ({"titel": "Monday"}, "titel"),
        ({"title": " "}, "title"),
        ({"priority": "now"}, "now"),
        ({"pipeline": "transcribe,sing"}, "sing"),
        ({"pipeline": "nothing"}, "nothing"),
        ({"pipeline": "summarise,transcribe"}, "transcript"),
        ({"pipeline": "transcribe,transcribe"}, "twice"),
        ({"pipeline": ","}, "pipeline"),
    ],
)
async def test_what_is_wrong_about_the_job_is_said_before_the_file_is_sent(
    client: httpx.AsyncClient, pool: asyncpg.Pool, said: dict[str, str], named: str
) -> None:
    for body in (b"", b"a part"):
        headers = {"Upload-Length": "10", **metadata(**said), **({"Content-Type": PART_TYPE} if body else {})}
        answer = await client.post(PATH, headers=headers, content=body)
        assert answer.status_code == 400, answer.text
        assert named in answer.json()["error"]["message"]
    assert await pool.fetchval("SELECT count(*) FROM uploads") == 0


async def test_an_unknown_step_is_told_with_those_that_are_known(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, headers={"Upload-Length": "10", **metadata(pipeline="sing")})
    error = answer.json()["error"]
    assert error["code"] == "unknown_step"
    assert "transcribe" in error["message"]


async def test_the_same_request_again_gets_the_same_upload_and_then_its_recording(client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "monday-1"}
    location = await create(client, 10, **key)
    await send(client, location, 0, b"12345")
    again = await client.post(PATH, headers={"Upload-Length": "10", **key})
    assert (again.headers["location"], again.headers["upload-offset"]) == (location, "5")
    done = await send(client, location, 5, b"67890")
    with_part = {"Upload-Length": "10", "Content-Type": PART_TYPE, **key}
    late = await client.post(PATH, headers=with_part, content=b"12345")
    assert late.headers["parley-recording-id"] == done.headers["parley-recording-id"]
    other = await client.post(PATH, headers={"Upload-Length": "11", **key})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_conflict")
    assert len((await client.get("/api/v1/jobs")).json()["jobs"]) == 1


async def test_an_upload_whose_request_came_before_by_another_way_becomes_what_that_one_became(
    client: httpx.AsyncClient, pool: asyncpg.Pool, place: Place
) -> None:
    key = {"Idempotency-Key": "monday-2"}
    first = await upload(client, b"1234567890", **key)
    await pool.execute("DELETE FROM uploads")  # long ago
    second = await upload(client, b"1234567890", **key)
    for name in ("parley-recording-id", "parley-job-id"):
        assert second.headers[name] == first.headers[name]
    assert len((await client.get("/api/v1/recordings")).json()["recordings"]) == 1
    assert len(place.files_of(first.headers["parley-recording-id"])) == 1
    second_id = str(await pool.fetchval("SELECT id FROM uploads"))
    assert place.files_of(second_id) == []


async def test_a_key_that_cannot_be_one_is_refused(client: httpx.AsyncClient) -> None:
    for key in ("a b", "x" * 201):
        answer = await client.post(PATH, headers={"Upload-Length": "10", "Idempotency-Key": key})
        assert answer.status_code == 400
        assert "Idempotency-Key" in answer.json()["error"]["message"]


async def test_an_upload_that_was_left_is_swept_with_what_it_kept(
    client: httpx.AsyncClient, pool: asyncpg.Pool, place: Place
) -> None:
    left, alive = await create(client, 10), await create(client, 10)
    left_id, alive_id = (location.rpartition("/")[2] for location in (left, alive))
    for location in (left, alive):
        await send(client, location, 0, b"12345")
    done = await upload(client, b"123")
    await pool.execute("UPDATE uploads SET expires_at = now() - interval '1 s' WHERE id::text <> $1", alive_id)
    assert (await client.head(left)).status_code == 410
    sweeper = UploadSweeper(pool, Blobs(place.blobs.as_uri()))
    assert await sweeper.sweep_one()
    assert not await sweeper.sweep_one()
    assert (place.files_of(left_id), len(place.files_of(alive_id))) == ([], 1)
    assert (await client.head(left)).status_code == 404
    await DroppedUploads(pool).forget_complete()
    assert await pool.fetchval("SELECT count(*) FROM uploads") == 1
    recording_id = done.headers["parley-recording-id"]
    assert (await client.get(f"/api/v1/recordings/{recording_id}")).status_code == 200
    assert len(place.files_of(recording_id)) == 1


async def test_nothing_more_is_kept_of_an_upload_that_is_being_deleted(
    client: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    upload_id = (await create(client, 10)).rpartition("/")[2]
    rows = UploadRows(pool, "local")
    assert await rows.drop(upload_id)
    soon = datetime.now(UTC) + timedelta(days=1)
    assert await rows.add_part(upload_id, SourcePart(0, 10, "sources/late"), soon) is None
    # Whoever deleted it died: it is found again.
    await pool.execute("UPDATE uploads SET dropped_at = now() - interval '6 minutes'")
    assert await DroppedUploads(pool).claim_expired() == upload_id
    assert await DroppedUploads(pool).claim_expired() is None


async def test_deleting_an_upload_takes_what_it_kept_or_became_along(client: httpx.AsyncClient, place: Place) -> None:
    unfinished = await create(client, 10)
    await send(client, unfinished, 0, b"12345")
    done = await upload(client)
    recording_id, job_id = done.headers["parley-recording-id"], done.headers["parley-job-id"]
    assert place.files_of(recording_id)
    for location in (unfinished, f"{PATH}/{recording_id}"):
        assert (await client.delete(location)).status_code == 204
        assert (await client.head(location)).status_code == 404
        assert place.files_of(location.rpartition("/")[2]) == []
    for path in (f"/api/v1/recordings/{recording_id}", f"/api/v1/jobs/{job_id}"):
        assert (await client.get(path)).status_code == 404


async def test_deleting_a_recording_takes_its_file_and_its_job_along(client: httpx.AsyncClient, place: Place) -> None:
    done = await upload(client)
    recording_id = done.headers["parley-recording-id"]
    assert (await client.delete(f"/api/v1/recordings/{recording_id}")).status_code == 204
    assert place.files_of(recording_id) == []
    assert (await client.get(f"/api/v1/jobs/{done.headers['parley-job-id']}")).status_code == 404


async def test_anothers_upload_is_not_there(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    mine = await create(client, 10)
    upload_id = mine.rpartition("/")[2]
    await pool.execute("UPDATE uploads SET owner = 'bob'")
    assert (await client.head(mine)).status_code == 404
    assert (await send(client, mine, 0, b"12345")).status_code == 404
    assert (await client.delete(mine)).status_code == 404
    assert (await client.post(f"{PATH}/{upload_id}/complete")).status_code == 404
    assert (await UploadRows(pool, "bob").get(upload_id, "tus")).received == 0
    assert await Jobs(pool, "bob").page(count=9) == []


async def test_a_file_is_taken_with_no_worker_no_engine_and_no_redis(client: httpx.AsyncClient) -> None:
    ready: Any = json.loads((await client.get("/readyz")).text)
    assert ready["parts"]["engine"] != "ok"
    assert ready["parts"]["events"] != "ok"
    done = await upload(client)
    job = (await client.get(f"/api/v1/jobs/{done.headers['parley-job-id']}")).json()
    assert (job["state"], job["percent"], job["step"]) == ("queued", 0, "transcribe")


async def test_a_page_of_another_site_can_change_nothing(client: httpx.AsyncClient, base_url: str) -> None:
    foreign = {"Origin": "https://evil.example"}
    for method, path in (("POST", PATH), ("POST", "/api/v1/recordings"), ("POST", "/api/v1/recordings/import")):
        answer = await client.request(method, path, headers=foreign)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden_origin")
    own = await client.post(PATH, headers={"Origin": base_url, "Upload-Length": "10"})
    assert own.status_code == 201
