"""Resumable upload over real HTTP: by tuspy, a client of the protocol's makers; by hand what that one never does."""

import base64
import hashlib
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from tusclient import client as tus_client
from tusclient.exceptions import TusCommunicationError, TusUploadFailed

from gateway import tus
from gateway.app import RequestIds, on_parley_error
from gateway.tus import Limits
from gateway.uploads import Uploads
from parley.errors import ParleyError
from tests.integration.upload_double import UploadsInMemory

PATH = "/api/v1/uploads"
BODY = bytes(range(256)) * 2000
LIMITS = Limits(max_bytes=5_000_000_000, max_part_bytes=256 * 1024)


@dataclass
class Served:
    url: str
    port: int
    store: UploadsInMemory
    now: list[datetime] = field(default_factory=list)

    def request(self, method: str, path: str = "", body: bytes = b"", **headers: str) -> httpx.Response:
        """A request of tus, where `headers` do not say otherwise."""
        named = {"tus-resumable": "1.0.0"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if method == "PATCH":
            named = {"content-type": tus.PART_TYPE} | named
        return httpx.request(method, self.url.removesuffix(PATH) + (path or PATH), headers=named, content=body)

    def create(self, length: int = len(BODY)) -> str:
        answer = self.request("POST", upload_length=str(length))
        assert answer.status_code == 201
        return answer.headers["location"]

    def bytes_of(self, location: str | None) -> bytes:
        assert location
        return self.store.bytes[location.rpartition("/")[2]]


@pytest.fixture
def served() -> Iterator[Served]:
    store, now = UploadsInMemory(), [datetime.now(UTC)]
    uploads = Uploads(lambda request: store, LIMITS, stalled_after_s=0.5, now=lambda: now[0])
    app = Starlette(
        routes=uploads.routes(PATH),
        middleware=[Middleware(RequestIds)],
        exception_handlers={ParleyError: on_parley_error},
    )
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", ws="none"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield Served(f"http://127.0.0.1:{port}{PATH}", port, store, now)
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("checked", [False, True])
def test_a_real_client_uploads_a_file_in_parts(served: Served, checked: bool) -> None:
    uploader = tus_client.TusClient(served.url).uploader(
        file_stream=io.BytesIO(BODY), chunk_size=100_000, metadata={"filename": "wörk.mp3"}, upload_checksum=checked
    )
    uploader.upload()
    assert served.bytes_of(uploader.url) == BODY
    (upload,) = served.store.uploads.values()
    assert tus.parse_metadata(upload.metadata) == {"filename": "wörk.mp3"}
    assert served.store.completed == [upload.id]


def test_a_real_client_goes_on_where_another_one_stopped(served: Served) -> None:
    client = tus_client.TusClient(served.url)
    first = client.uploader(file_stream=io.BytesIO(BODY), chunk_size=100_000)
    first.upload(stop_at=150_000)
    second = client.uploader(file_stream=io.BytesIO(BODY), url=first.url, chunk_size=100_000)
    assert second.offset == len(served.bytes_of(first.url)) >= 150_000
    second.upload()
    assert served.bytes_of(first.url) == BODY


def test_a_real_client_finds_its_place_again_when_its_part_came_twice(served: Served) -> None:
    client = tus_client.TusClient(served.url)
    uploader = client.uploader(file_stream=io.BytesIO(BODY), chunk_size=100_000, retries=1, retry_delay=0)
    uploader.upload(stop_at=100_000)
    uploader.offset = 0  # as if the answer had been lost
    uploader.upload()
    assert served.bytes_of(uploader.url) == BODY


def test_a_real_client_is_told_of_parts_and_files_that_are_too_large(served: Served) -> None:
    client = tus_client.TusClient(served.url)
    with pytest.raises(TusUploadFailed) as failed:
        client.uploader(file_stream=io.BytesIO(BODY)).upload()  # by default in one part
    assert failed.value.status_code == 413

    class Declared(io.BytesIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            return 5_000_000_001 if whence == io.SEEK_END else super().seek(offset, whence)

        def tell(self) -> int:
            return 5_000_000_001

    with pytest.raises(TusCommunicationError) as refused:
        client.uploader(file_stream=Declared(b"abc"), chunk_size=10).upload()
    assert refused.value.status_code == 413


def test_every_answer_speaks_tus_also_one_that_refuses(served: Served) -> None:
    location = served.create()
    answers = {
        "what it can": (served.request("OPTIONS"), 204),
        "without a version": (httpx.options(served.url), 204),
        "another version": (served.request("HEAD", location, tus_resumable="0.2.2"), 412),
        "unknown": (served.request("HEAD", PATH + "/nothing"), 404),
        "unknown part": (served.request("PATCH", PATH + "/nothing", b"x", upload_offset="0"), 404),
        "unknown deleted": (served.request("DELETE", PATH + "/nothing"), 404),
        "no upload": (served.request("POST", upload_length="0"), 400),
        "too large": (served.request("POST", upload_length="5000000001"), 413),
        "wrong offset": (served.request("PATCH", location, b"x", upload_offset="7"), 409),
        "wrong type": (served.request("PATCH", location, b"x", upload_offset="0", content_type="text/plain"), 415),
        "wrong checksum": (
            served.request("PATCH", location, b"x", upload_offset="0", upload_checksum="sha1 " + "A" * 27 + "="),
            460,
        ),
        "wrong method": (served.request("POST", location), 405),
    }
    assert {what: answer.status_code for what, (answer, _) in answers.items()} == {
        what: status for what, (_, status) in answers.items()
    }
    for answer, status in answers.values():
        assert answer.headers["tus-resumable"] == answer.headers["tus-version"] == "1.0.0"
        if status >= 400 and answer.request.method != "HEAD":
            assert answer.json()["error"]["message"]
    assert served.bytes_of(location) == b""


def test_an_upload_says_how_far_it_is(served: Served) -> None:
    location = served.create(10)
    sent = served.request("PATCH", location, b"12345", upload_offset="0")
    assert (sent.status_code, sent.headers["upload-offset"]) == (204, "5")
    head = served.request("HEAD", location)
    assert (head.status_code, head.headers["upload-offset"], head.headers["upload-length"]) == (200, "5", "10")
    assert head.headers["cache-control"] == "no-store"
    assert head.headers["upload-expires"].endswith("GMT")


def test_a_part_twice_out_of_order_and_behind_the_end_changes_nothing(served: Served) -> None:
    location = served.create(10)

    def send(offset: int, body: bytes) -> int:
        return served.request("PATCH", location, body, upload_offset=str(offset)).status_code

    assert send(5, b"67890") == 409
    assert send(0, b"12345") == 204
    assert send(0, b"12345") == 409
    assert send(5, b"67890") == 204
    assert send(5, b"67890") == 409
    assert send(10, b"more") == 413
    assert send(10, b"") == 204
    assert served.bytes_of(location) == b"1234567890"
    assert len(served.store.completed) == 1


def test_the_first_part_may_come_with_the_creation(served: Served) -> None:
    answer = served.request("POST", body=b"12345", upload_length="10", content_type=tus.PART_TYPE)
    assert (answer.status_code, answer.headers["upload-offset"]) == (201, "5")
    assert served.bytes_of(answer.headers["location"]) == b"12345"
    wrong = served.request(
        "POST", body=b"1", upload_length="9", content_type=tus.PART_TYPE, upload_checksum="sha1 " + "A" * 27 + "="
    )
    assert wrong.status_code == 460
    assert len(served.store.uploads) == 1


def test_a_client_without_patch_says_it_in_a_header(served: Served) -> None:
    location = served.create(5)
    headers = {"x_http_method_override": "PATCH", "content_type": tus.PART_TYPE, "upload_offset": "0"}
    assert served.request("POST", location, b"12345", **headers).status_code == 204
    assert served.bytes_of(location) == b"12345"


def test_a_checksum_by_sha256_is_taken(served: Served) -> None:
    location = served.create(5)
    checksum = "sha256 " + base64.b64encode(hashlib.sha256(b"12345").digest()).decode()
    assert served.request("PATCH", location, b"12345", upload_offset="0", upload_checksum=checksum).status_code == 204


def test_an_expired_upload_is_gone_and_a_deleted_one_unknown(served: Served) -> None:
    location, other = served.create(), served.create()
    assert served.request("DELETE", other).status_code == 204
    assert served.request("HEAD", other).status_code == 404
    served.now[0] += LIMITS.lifetime + timedelta(seconds=1)
    assert served.request("HEAD", location).status_code == 410
    assert served.request("PATCH", location, b"x", upload_offset="0").status_code == 410


def test_of_two_parts_for_one_place_one_wins(served: Served) -> None:
    location = served.create(10)
    (upload,) = served.store.uploads.values()

    def overtake() -> None:
        served.store.uploads[upload.id] = replace(upload, offset=3)
        served.store.bytes[upload.id] = b"123"

    served.store.before_append = overtake
    assert served.request("PATCH", location, b"12345", upload_offset="0").status_code == 409
    assert served.bytes_of(location) == b"123"


def half_sent(served: Served, location: str, extra: str = "") -> socket.socket:
    """A connection with a part of which only a half is sent."""
    connection = socket.create_connection(("127.0.0.1", served.port))
    head = f"PATCH {location} HTTP/1.1\r\nHost: 127.0.0.1\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n{extra}"
    connection.sendall(f"{head}Content-Type: {tus.PART_TYPE}\r\nContent-Length: 10\r\n\r\n12345".encode())
    return connection


def test_what_came_before_a_connection_broke_is_kept(served: Served) -> None:
    location = served.create(10)
    half_sent(served, location).close()
    eventually(lambda: served.bytes_of(location) == b"12345")
    assert served.request("HEAD", location).headers["upload-offset"] == "5"


def test_a_client_that_stalls_is_answered_with_what_came(served: Served) -> None:
    location = served.create(10)
    with half_sent(served, location) as connection:
        answer = connection.recv(1000)
    assert b"204" in answer.split(b"\r\n")[0]
    assert b"upload-offset: 5" in answer


def test_a_broken_part_with_a_checksum_is_not_kept(served: Served) -> None:
    location = served.create(10)
    checksum = base64.b64encode(hashlib.sha1(b"1234567890").digest()).decode()
    with half_sent(served, location, f"Upload-Checksum: sha1 {checksum}\r\n") as connection:
        assert b"upload-offset: 0" in connection.recv(1000)
    assert served.bytes_of(location) == b""


def test_a_part_without_a_length_is_stopped_at_its_limit(served: Served) -> None:
    location = served.create(100)

    def endless() -> Iterator[bytes]:
        for _ in range(50):
            yield b"x" * 10

    headers = {"Tus-Resumable": "1.0.0", "Upload-Offset": "0", "Content-Type": tus.PART_TYPE}
    answer = httpx.patch(served.url.removesuffix(PATH) + location, headers=headers, content=endless())
    assert answer.status_code == 413
    assert served.bytes_of(location) == b""
