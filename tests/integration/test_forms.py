"""Small files as forms: taken whole, or refused with what was wrong, and nothing of them kept."""

import contextlib
import http.client
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from parley import store
from parley.embedded.server import RunningServer
from parley.settings import UploadSettings
from tests.conftest import CLIPS
from tests.integration.stores import own_database
from tests.integration.ways_in import Place, serving_gateway

PATH = "/api/v1/recordings"
WAV = CLIPS[0].path.read_bytes()
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
LIMITS = UploadSettings(max_form_bytes=1_000_000, max_bytes=900_000, stalled_after_s=1)


@pytest.fixture(scope="module")
def place(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with own_database(server) as url:
        yield Place(url, tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="module")
def base_url(place: Place) -> Iterator[str]:
    with serving_gateway(place.settings(uploads=LIMITS)) as url:
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


async def post(client: httpx.AsyncClient, body: bytes = WAV, name: str = "talk.wav", **values: Any) -> httpx.Response:
    headers = values.pop("headers", {})
    return await client.post(PATH, files={"file": (name, body)}, data=values, headers=headers)


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["error"]["code"])


async def nothing_is_kept(pool: asyncpg.Pool, place: Place) -> bool:
    counts = [await pool.fetchval(f"SELECT count(*) FROM {table}") for table in ("uploads", "recordings", "jobs")]
    return counts == [0, 0, 0]


async def test_a_form_is_a_recording_with_its_job(client: httpx.AsyncClient, place: Place) -> None:
    answer = await post(client, title="A talk", options='{"vocabulary": ["Parley"]}', pipeline="transcribe,notify")
    assert answer.status_code == 202
    taken = answer.json()
    assert taken["recording"]["title"] == "A talk"
    assert (taken["recording"]["origin"], taken["recording"]["source_name"]) == ("upload", "talk.wav")
    assert taken["job"]["recording_id"] == taken["recording"]["id"]
    assert [step["name"] for step in taken["job"]["steps"]] == ["transcribe", "notify"]
    assert taken["job"]["options"] == {"vocabulary": ["Parley"]}
    [file] = place.files_of(taken["recording"]["id"])
    assert file.read_bytes() == WAV
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("body", "name", "said"),
    [
        (PNG, "song.mp3", "'song.mp3' is a PNG image, no audio."),
        (b"", "song.mp3", "'song.mp3' is empty."),
        (b"<!DOCTYPE html><html>", "talk.wav", "'talk.wav' is a web page, no audio."),
        (b"", "", "'the file' is empty."),
    ],
)
async def test_what_is_no_sound_is_told_by_its_content_at_once(
    client: httpx.AsyncClient, pool: asyncpg.Pool, place: Place, body: bytes, name: str, said: str
) -> None:
    boundary = "x" * 20
    content = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    content += body + f"\r\n--{boundary}--\r\n".encode()
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = await client.post(PATH, content=content, headers=headers)
    assert error_of(answer) == (400, "no_audio")
    assert answer.json()["error"]["message"] == said
    assert await nothing_is_kept(pool, place)


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"options": "no json"}, "options"),
        ({"options": '{"colour": 1}'}, "colour"),
        ({"colour": "red"}, "colour"),
        ({"pipeline": "sing"}, "sing"),
        ({"priority": "now"}, "now"),
        ({"title": ["a", "b"]}, "twice"),
    ],
)
async def test_what_is_wrong_in_a_field_is_named(
    client: httpx.AsyncClient, pool: asyncpg.Pool, place: Place, values: dict[str, Any], named: str
) -> None:
    answer = await post(client, **values)
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]
    assert await nothing_is_kept(pool, place)


async def test_a_form_without_its_file_is_refused(client: httpx.AsyncClient) -> None:
    assert error_of(await client.post(PATH, files={"recording": ("a.wav", WAV)})) == (400, "bad_form")
    assert error_of(await client.post(PATH, files={"title": (None, "A talk")})) == (400, "bad_form")
    assert error_of(await client.post(PATH, files=[("file", ("a", WAV)), ("file", ("b", WAV))])) == (400, "bad_form")
    assert error_of(await client.post(PATH, data={"title": "A talk"})) == (415, "form_expected")
    assert error_of(await client.post(PATH, content=WAV)) == (415, "form_expected")
    multipart = {"Content-Type": "multipart/form-data"}
    assert error_of(await client.post(PATH, content=b"x", headers=multipart)) == (400, "bad_form")
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    assert error_of(await client.post(PATH, content=b"nothing of a form", headers=broken)) == (400, "bad_form")


async def test_a_file_over_the_limit_is_refused_whether_it_says_its_length_or_not(
    client: httpx.AsyncClient, pool: asyncpg.Pool, place: Place
) -> None:
    assert error_of(await post(client, WAV + bytes(1_000_000))) == (413, "too_large")
    assert error_of(await post(client, WAV + bytes(900_001 - len(WAV)))) == (413, "too_large")

    async def endless() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(200):
            yield bytes(10_000)

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    with contextlib.suppress(httpx.WriteError, httpx.ReadError):  # it is answered before all of it is sent
        assert error_of(await client.post(PATH, content=endless(), headers=headers)) == (413, "too_large")
    assert await nothing_is_kept(pool, place)


def test_a_form_that_stalls_or_breaks_off_is_let_go(base_url: str) -> None:
    address = urlsplit(base_url)
    head = b"POST /api/v1/recordings HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n"
    head += b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n"
    with socket.create_connection((str(address.hostname), address.port)) as connection:
        connection.sendall(head)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 408
        assert json.loads(answer.read())["error"]["code"] == "upload_stalled"
        answer.close()
    with socket.create_connection((str(address.hostname), address.port)) as connection:
        connection.sendall(head)


async def test_the_same_form_again_makes_nothing_new(client: httpx.AsyncClient, place: Place) -> None:
    first, second = [(await post(client, headers={"Idempotency-Key": "talk"})).json() for _ in range(2)]
    assert second == first
    assert len((await client.get(PATH)).json()["recordings"]) == 1
    other = await post(client, WAV + b"x", headers={"Idempotency-Key": "talk"})
    assert error_of(other) == (409, "idempotency_conflict")


async def test_a_form_whose_job_was_deleted_since_is_still_the_same(client: httpx.AsyncClient) -> None:
    first = (await post(client, headers={"Idempotency-Key": "gone"})).json()
    await client.delete(f"/api/v1/jobs/{first['job']['id']}")
    second = (await post(client, headers={"Idempotency-Key": "gone"})).json()
    assert (second["recording"]["id"], second["job"]) == (first["recording"]["id"], None)
