"""Uploads straight to object storage: signed for one file, taken once it is really there. S3 is a double."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import httpx
import pytest

from parley import store
from parley.embedded.server import RunningServer
from parley.settings import UploadSettings
from parley.store.sources import Sources
from tests.conftest import CLIPS
from tests.integration.s3_double import BUCKET, S3Double
from tests.integration.stores import own_database
from tests.integration.ways_in import Place, serving_gateway

PATH = "/api/v1/uploads/presigned"
WAV = CLIPS[0].path.read_bytes()


@pytest.fixture(scope="module")
def place(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with own_database(server) as url:
        yield Place(url, tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Double]:
    with S3Double().running() as double:
        yield double


@pytest.fixture(scope="module")
def base_url(place: Place, s3: S3Double) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3.environment.items():
            patch.setenv(name, value)
        settings = place.settings(blob_url=f"s3://{BUCKET}/parley", uploads=UploadSettings(max_bytes=1_000_000))
        with serving_gateway(settings) as url:
            yield url


@pytest.fixture
async def pool(place: Place) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(place.database_url)
    await pool.execute("TRUNCATE uploads, jobs, recordings CASCADE")
    yield pool
    await pool.close()


@pytest.fixture
async def client(base_url: str, pool: asyncpg.Pool, s3: S3Double) -> AsyncIterator[httpx.AsyncClient]:
    s3.objects.clear()
    async with httpx.AsyncClient(base_url=base_url, timeout=30) as client:
        yield client


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["error"]["code"])


async def test_a_file_goes_straight_to_storage_and_becomes_a_recording(
    client: httpx.AsyncClient, pool: asyncpg.Pool, s3: S3Double
) -> None:
    asked = {"filename": "talk.wav", "size": len(WAV), "title": "A talk", "options": {"language": "en"}}
    signed = await client.post(PATH, json=asked)
    assert signed.status_code == 201
    upload = signed.json()
    sent = await client.request(upload["method"], upload["url"], headers=upload["headers"], content=WAV)
    assert sent.status_code == 200
    taken = await client.post(f"/api/v1/uploads/{upload['upload_id']}/complete")
    assert taken.status_code == 202, taken.text
    recording, job = taken.json()["recording"], taken.json()["job"]
    assert (recording["title"], recording["source_name"], recording["state"]) == ("A talk", "talk.wav", "processing")
    assert (job["state"], job["options"]) == ("queued", {"language": "en"})
    [part] = await Sources(pool, "local").parts(recording["id"])
    assert s3.objects == {f"parley/{part.blob_key}": WAV}
    again = await client.post(f"/api/v1/uploads/{upload['upload_id']}/complete")
    assert again.json() == taken.json()
    assert (await client.delete(f"/api/v1/recordings/{recording['id']}")).status_code == 204
    assert s3.objects == {}


async def test_an_address_is_good_for_its_file_and_its_method_only(client: httpx.AsyncClient, s3: S3Double) -> None:
    url = (await client.post(PATH, json={"size": 10})).json()["url"]
    assert (await client.get(url)).status_code == 403
    for part, other in (("/sources/", "/sources/other"), ("X-Amz-Expires=3600", "X-Amz-Expires=9999999")):
        assert (await client.put(url.replace(part, other), content=b"x")).status_code == 403
    assert s3.objects == {}


async def test_a_file_that_is_not_there_or_not_whole_is_no_recording_yet(
    client: httpx.AsyncClient, pool: asyncpg.Pool
) -> None:
    upload = (await client.post(PATH, json={"size": len(WAV)})).json()
    complete = f"/api/v1/uploads/{upload['upload_id']}/complete"
    assert error_of(await client.post(complete)) == (409, "not_uploaded")
    await client.put(upload["url"], content=WAV[:-1])
    short = await client.post(complete)
    assert error_of(short) == (409, "wrong_size")
    assert f"{len(WAV) - 1} bytes, not the {len(WAV)}" in short.json()["error"]["message"]
    await client.put(upload["url"], content=b"\x89PNG\r\n".ljust(len(WAV)))
    assert error_of(await client.post(complete)) == (400, "no_audio")
    assert await pool.fetchval("SELECT count(*) FROM recordings") == 0
    await client.put(upload["url"], content=WAV)
    assert (await client.post(complete)).status_code == 202


@pytest.mark.parametrize(
    ("asked", "status", "code", "named"),
    [
        ({"size": 0}, 400, "no_audio", "0 bytes"),
        ({"size": 1_000_001}, 413, "too_large", "1000001"),
        ({"size": -1}, 400, "bad_request", "size"),
        ({"size": "10"}, 400, "bad_request", "size"),
        ({}, 400, "bad_request", "size"),
        ({"size": 10, "colour": "red"}, 400, "bad_request", "colour"),
        ({"size": 10, "pipeline": ["sing"]}, 400, "unknown_step", "sing"),
    ],
)
async def test_what_is_wrong_is_said_before_an_address_is_given(
    client: httpx.AsyncClient, asked: dict[str, object], status: int, code: str, named: str
) -> None:
    answer = await client.post(PATH, json=asked)
    assert error_of(answer) == (status, code)
    assert named in answer.json()["error"]["message"]


async def test_an_unknown_or_expired_upload_is_not_completed(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    assert error_of(await client.post("/api/v1/uploads/nothing/complete")) == (404, "no_such_upload")
    upload = (await client.post(PATH, json={"size": 10})).json()
    await pool.execute("UPDATE uploads SET expires_at = now() - interval '1 s'")
    complete = f"/api/v1/uploads/{upload['upload_id']}/complete"
    assert error_of(await client.post(complete)) == (410, "upload_expired")


async def test_the_same_request_again_gets_an_address_for_the_same_upload(client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "talk"}
    first, second = [(await client.post(PATH, json={"size": len(WAV)}, headers=key)).json() for _ in range(2)]
    assert second["upload_id"] == first["upload_id"]
    await client.put(second["url"], content=WAV)
    await client.post(f"/api/v1/uploads/{first['upload_id']}/complete")
    done = await client.post(PATH, json={"size": len(WAV)}, headers=key)
    assert error_of(done) == (409, "upload_complete")


async def test_a_folder_says_what_to_use_in_place_of_an_address(place: Place, pool: asyncpg.Pool) -> None:
    with serving_gateway(place.settings()) as url:
        async with httpx.AsyncClient(base_url=url) as client:
            answer = await client.post(PATH, json={"size": 10})
    assert error_of(answer) == (501, "presign_unsupported")
    assert "/api/v1/uploads" in answer.json()["error"]["message"]
    assert await pool.fetchval("SELECT count(*) FROM uploads") == 0
