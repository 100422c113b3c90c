"""Live sessions and REST through a real nginx before two real gateways: with the configuration of `parley up`, and with
that of the distributed stack, over TLS."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from parley import wire
from parley.embedded import nginx
from parley.embedded.server import RunningServer, running_server
from tests.conftest import CLIPS, MINI_WHISPER
from tests.integration.live import START, Heard, converse, eventually, follow, samples_of, speak
from tests.integration.nginx_process import Front, front_of

pytestmark = pytest.mark.skipif(nginx.binary() is None, reason="nginx is not installed (Debian: nginx-light)")

CLIP = CLIPS[11]
IDLE_S = 35
SCRIPT = "console.log('one of the files of the page');" * 40


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built page in small."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "assets").mkdir()
    (folder / "index.html").write_text("<!doctype html><title>Parley</title>")
    (folder / "assets" / "index-abc123.js").write_text(SCRIPT)
    return folder


@pytest.fixture(scope="module")
def server(web: Path) -> Iterator[RunningServer]:
    """Two gateways behind the nginx of `parley up`."""
    env = {"PARLEY_ENGINE__MODEL": str(MINI_WHISPER), "PARLEY_GATEWAY__WEB_DIR": str(web)}
    with running_server(gateways=2, nginx=True, env=env) as running:
        yield running


@pytest.fixture(scope="module")
def gateways(server: RunningServer) -> list[str]:
    return [server.places["gateway"], server.places["gateway-2"]]


@pytest.fixture(scope="module")
def front(gateways: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """The distributed stack's nginx before the same two gateways."""
    with front_of(gateways, tmp_path_factory.mktemp("front")) as running:
        yield running


class IdleStream:
    """A session over TLS that only pings, in a thread of its own while the other tests run."""

    def __init__(self, front: Front) -> None:
        self.messages: list[wire.ServerMessage] = []
        self.lasted_s = 0.0
        self.thread = threading.Thread(target=lambda: asyncio.run(self._idle(front)), daemon=True)
        self.thread.start()

    async def _idle(self, front: Front) -> None:
        with contextlib.suppress(ConnectionClosed):
            await self._converse(front)

    async def _converse(self, front: Front) -> None:
        began = time.monotonic()
        async with connect(address(front.url), ssl=front.trust, compression=None, ping_interval=None) as connection:
            await connection.send(json.dumps(START))
            await connection.send(samples_of(CLIPS[0]).tobytes())
            while time.monotonic() - began < IDLE_S:
                await connection.send(json.dumps({"type": "ping"}))
                await asyncio.sleep(20)
            await connection.send(json.dumps({"type": "stop"}))
            async for text in connection:
                self.messages.append(wire.parse_server_message(str(text)))
        self.lasted_s = time.monotonic() - began


@pytest.fixture(scope="module")
def idle_stream(front: Front) -> IdleStream:
    return IdleStream(front)


@pytest.fixture(autouse=True)
def _started_first(idle_stream: IdleStream) -> None:
    """The long one begins with the first test, whichever that is."""


def address(url: str) -> str:
    return url.replace("http", "ws", 1) + "/ws/s2t"


@pytest.fixture
def trusted(front: Front, monkeypatch: pytest.MonkeyPatch) -> Front:
    """The front, whose certificate every client of this process now trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(front.authority))
    return front


def metric(gateway: str, name: str) -> float:
    lines = httpx.get(f"{gateway}/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


async def begin(url: str) -> ClientConnection:
    """A session that has begun, and says nothing yet."""
    connection = await connect(address(url), compression=None)
    await connection.send(json.dumps(START))
    assert isinstance(wire.parse_server_message(str(await connection.recv())), wire.Ready)
    return connection


def whole(heard: Heard) -> None:
    assert heard.text == CLIP.text
    assert heard.close_code == 1000


async def test_a_session_through_nginx_is_as_good_as_one_without(server: RunningServer) -> None:
    heard = await asyncio.gather(*(speak(server.base_url, CLIP) for _ in range(4)))
    for one in heard:
        whole(one)


async def test_a_session_over_tls_is_as_good_as_one_without(trusted: Front) -> None:
    whole(await speak(trusted.url, CLIP))


async def test_sessions_go_to_the_gateway_with_fewer(server: RunningServer, gateways: list[str]) -> None:
    before = [metric(gateway, "parley_gateway_sessions_open") for gateway in gateways]
    sessions = [await begin(server.base_url) for _ in range(8)]
    open_now = [metric(gateway, "parley_gateway_sessions_open") for gateway in gateways]
    for session in sessions:
        await session.close()
    assert [now - then for now, then in zip(open_now, before, strict=True)] == [4, 4]


async def test_a_page_may_open_sessions_where_it_came_from_and_nowhere_else(
    server: RunningServer, trusted: Front
) -> None:
    for url in (server.base_url, trusted.url):
        own = await converse(url, START, samples_of(CLIP).tobytes(), {"type": "stop"}, headers={"Origin": url})
        whole(own)
        other = await converse(url, START, headers={"Origin": "https://evil.example"})
        assert other.error_codes == ["forbidden_origin"]
        assert other.close_code == 1008


async def test_plain_http_is_sent_to_https(front: Front) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{front.plain_url}/recordings/one?at=7")
    assert answer.status_code == 308
    assert answer.headers["location"] == f"{front.url}/recordings/one?at=7"


@pytest.mark.parametrize(
    ("port", "place"),
    [("443", "notes.example"), ("", "notes.example"), ("8143", "notes.example:8143"), ("4430", "notes.example:4430")],
)
async def test_plain_http_leads_to_the_port_that_is_published(port: str, place: str, tmp_path: Path) -> None:
    with front_of(["http://127.0.0.1:1"], tmp_path, PARLEY_HOST="notes.example", PARLEY_PUBLIC_PORT=port) as front:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{front.plain_url}/x?at=7")
    assert answer.headers["location"] == f"https://{place}/x?at=7"


async def test_a_name_that_no_gateway_answers_to_is_told_in_the_gateways_form(
    gateways: list[str], tmp_path: Path
) -> None:
    with front_of(gateways, tmp_path) as front:
        async with front.client() as client:
            answer = await client.get("/api/v1/status", headers={"Host": "notes.example"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "unknown_host"
    assert "'notes.example'" in answer.json()["error"]["message"]
    assert "PARLEY_GATEWAY__ALLOWED_HOSTS" in answer.json()["error"]["message"]


@pytest.mark.skipif(not all(map(shutil.which, ("envsubst", "openssl"))), reason="needs envsubst and openssl")
def test_what_the_readmes_say_to_type_makes_a_configuration_that_nginx_takes(tmp_path: Path) -> None:
    """The certificate for a first try, and nginx by hand up to `-t`; in other folders, and without sudo."""
    shutil.copytree(nginx.CONFIGURATION, tmp_path / "nginx")
    values, commands = commands_of(nginx.CONFIGURATION / "README.md")[:2]
    certificate = commands_of(nginx.CONFIGURATION.parent / "compose" / "README.md")[0]
    typed = certificate.partition("sudo chown")[0] + "".join(commands.splitlines(keepends=True)[:-1])
    for place in ("/etc/nginx/parley", "/var/lib/parley-nginx", "/var/log/nginx", "/etc/nginx/tls", "/srv/parley-tls"):
        other = str(tmp_path / Path(place).name.replace("parley-tls", "tls"))
        values, typed = values.replace(place, other), typed.replace(place, other)
    values = re.sub(
        r"(PARLEY_HTTPS?_PORT)=\d+", r"\1=unix:\1", values
    )  # the check takes the places where it would listen
    (tmp_path / "nginx" / "nginx.env").write_text(values)
    script = "set -e\n" + typed.replace("sudo ", "")
    ran = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path / "nginx", capture_output=True, text=True, timeout=30, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "test is successful" in ran.stderr


def commands_of(readme: Path) -> list[str]:
    """What a text says to type, block by block."""
    return re.findall(r"```sh\n(.*?)```", readme.read_text("utf-8"), re.DOTALL)


def test_tls_is_modern_and_speaks_http_2(front: Front) -> None:
    context = front.trust
    context.set_alpn_protocols(["h2", "http/1.1"])
    host, port = front.url.removeprefix("https://").split(":")
    with (
        socket.create_connection((host, int(port)), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname=host) as secure,
    ):
        assert secure.version() == "TLSv1.3"
        assert secure.selected_alpn_protocol() == "h2"


async def test_http_2_reaches_the_gateway_under_the_name_that_was_asked_for(front: Front) -> None:
    async with httpx.AsyncClient(http2=True, base_url=front.url, verify=front.trust) as client:
        answer = await client.get("/api/v1/status")
    assert (answer.http_version, answer.status_code) == ("HTTP/2", 200)


async def test_every_answer_carries_the_headers_that_keep_a_page_safe(server: RunningServer, front: Front) -> None:
    async with front.client() as client, httpx.AsyncClient(base_url=server.base_url) as plain:
        for path in ("/", "/api/v1/recordings", "/api/v1/recordings/none", "/metrics"):
            headers = (await client.get(path)).headers
            assert headers["strict-transport-security"] == "max-age=31536000"
            assert headers["x-content-type-options"] == "nosniff"
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "strict-transport-security" not in (await plain.get(path)).headers


async def test_metrics_and_readiness_are_not_for_everyone(front: Front, server: RunningServer) -> None:
    async with front.client() as client:
        hidden = await client.get("/metrics")
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.get("/readyz")).status_code == 200  # from this machine
    assert hidden.status_code == 404
    assert hidden.json()["error"]["code"] == "http_404"


async def test_a_request_has_one_id_in_the_logs_of_nginx_and_of_the_gateway(
    trusted: Front, server: RunningServer
) -> None:
    async with trusted.client() as client:
        answer = await client.get("/api/v1/recordings/none?token=top-secret", headers={"Authorization": "Bearer x9y8"})
    request_id = answer.json()["error"]["request_id"]
    assert answer.headers["x-request-id"] == request_id
    whole(await speak(trusted.url, CLIP))
    await asyncio.sleep(0.2)  # the line of a session is written when its connection has ended
    lines = [json.loads(line) for line in trusted.access_log.splitlines()]
    (line,) = [line for line in lines if line["request"] == request_id]
    assert (line["path"], line["status"]) == ("/api/v1/recordings/none", 404)
    assert "top-secret" not in trusted.access_log
    assert "x9y8" not in trusted.access_log
    session = [line for line in lines if (line["path"], line["status"]) == ("/ws/s2t", 101)][-1]
    logs = "".join((server.data / "logs" / f"{part}.log").read_text() for part in ("gateway", "gateway-2"))
    assert session["request"] in logs


async def test_events_come_at_once(trusted: Front) -> None:
    every = {"Last-Event-ID": "0-0"}
    async with trusted.client() as client, client.stream("GET", "/api/v1/events", headers=every) as answer:
        made = (await speak(trusted.url, CLIPS[0])).recording_id
        async with asyncio.timeout(5):
            async for line in answer.aiter_lines():
                if made in line:
                    break


async def test_a_file_of_the_page_is_asked_of_a_gateway_once(front: Front, web: Path) -> None:
    script = web / "assets" / "index-abc123.js"
    async with front.client() as client:
        first = await client.get("/assets/index-abc123.js")
        script.unlink()
        second = await client.get("/assets/index-abc123.js")
        assert (await client.get("/assets/other.js")).status_code == 404
        page = await client.get("/")
    script.write_text(SCRIPT)
    assert (first.text, second.text) == (SCRIPT, SCRIPT)
    assert second.headers["cache-control"] == "max-age=31536000"
    assert second.headers["content-encoding"] == "gzip"
    assert page.headers["cache-control"] == "no-cache"


async def raw_answer(url: str, request: str) -> tuple[int, dict[str, Any]]:
    """Status and body of an answer to a request whose body never comes."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request.replace("\n", "\r\n").encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = re.search(r"content-length: (\d+)", head, re.IGNORECASE)
    assert length is not None
    body = await reader.readexactly(int(length[1]))
    writer.close()
    return int(head.split()[1]), json.loads(body)


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server: RunningServer) -> None:
    head = f"PATCH /api/v1/recordings/one HTTP/1.1\nHost: x\nContent-Length: {33 * 2**20}\n\n"
    status, body = await raw_answer(server.base_url, head)
    assert status == 413
    assert body["error"]["code"] == "too_large"
    assert "32 MB" in body["error"]["message"]


async def test_an_address_that_asks_too_much_is_told_when_to_come_again(gateways: list[str], tmp_path: Path) -> None:
    with front_of(gateways, tmp_path, PARLEY_REQUESTS_PER_S="1", PARLEY_SESSIONS_PER_S="1") as front:
        async with front.client() as client:
            answers = await asyncio.gather(*(client.get("/api/v1/recordings") for _ in range(130)))
        refused = [answer for answer in answers if answer.status_code == 429]
        assert 20 <= len(refused) < 30
        assert refused[0].headers["retry-after"] == "2"
        assert refused[0].json()["error"]["code"] == "too_many_requests"
        assert refused[0].json()["error"]["retryable"] is True

        sessions = [connect(address(front.url), ssl=front.trust, compression=None) for _ in range(60)]
        opened = await asyncio.gather(*sessions, return_exceptions=True)
        refusals = [one.response for one in opened if isinstance(one, InvalidStatus)]
        for one in opened:
            if isinstance(one, ClientConnection):
                await one.close()
    assert 5 <= len(refusals) < 10
    assert refusals[0].status_code == 429
    assert json.loads(refusals[0].body)["error"]["code"] == "too_many_requests"


async def test_an_exempt_address_is_not_counted(gateways: list[str], tmp_path: Path) -> None:
    with front_of(gateways, tmp_path, PARLEY_REQUESTS_PER_S="1", PARLEY_EXEMPT="127.0.0.0/8 1;") as front:
        async with front.client() as client:
            answers = await asyncio.gather(*(client.get("/api/v1/recordings") for _ in range(130)))
    assert {answer.status_code for answer in answers} == {200}


async def test_without_any_gateway_nginx_says_so_and_when_to_come_again(tmp_path: Path) -> None:
    with front_of(["http://127.0.0.1:1"], tmp_path) as front:
        async with front.client() as client:
            answer = await client.get("/api/v1/recordings")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["error"]["code"] == "gateway_unavailable"


def test_an_idle_session_stays_open(idle_stream: IdleStream) -> None:
    idle_stream.thread.join(IDLE_S + 30)
    assert idle_stream.lasted_s >= IDLE_S
    assert isinstance(idle_stream.messages[-1], wire.Closed)
    assert " ".join(one.text for one in idle_stream.messages if isinstance(one, wire.Final)) == CLIPS[0].text


# From here on things are stopped and killed.


async def test_a_rolling_restart_is_not_seen_in_what_is_written(server: RunningServer, gateways: list[str]) -> None:
    sessions = [asyncio.create_task(follow(server.base_urls, CLIP, pace=1.0)) for _ in range(6)]
    for name, place in zip(("gateway", "gateway-2"), gateways, strict=True):
        await asyncio.sleep(1.5)
        before = server.pid(name)
        os.kill(before, signal.SIGTERM)

        async def is_another(name: str = name, before: int = before) -> bool:
            return server.pid(name) != before

        await eventually(is_another)
        await until_ready(place)
    for one in await asyncio.gather(*sessions):
        assert one.text == CLIP.text
        assert one.segments == list(range(len(one.segments)))
        assert one.resumed >= 1


async def test_a_gateway_that_stops_takes_no_new_session(server: RunningServer, gateways: list[str]) -> None:
    os.kill(server.pid("gateway"), signal.SIGTERM)
    await asyncio.sleep(0.2)  # it looks for signals ten times a second
    heard = await asyncio.gather(*(speak(server.base_url, CLIPS[0]) for _ in range(4)))
    assert [one.error_codes for one in heard] == [[]] * 4
    await until_ready(gateways[0])


async def test_while_one_gateway_is_down_the_other_takes_every_session(
    server: RunningServer, gateways: list[str]
) -> None:
    os.kill(server.pid("gateway"), signal.SIGKILL)
    for heard in await asyncio.gather(*(speak(server.base_url, CLIP) for _ in range(4))):
        whole(heard)
    await until_ready(gateways[0])


async def test_connections_wait_while_nginx_restarts(server: RunningServer) -> None:
    os.kill(server.pid("nginx"), signal.SIGKILL)
    async with httpx.AsyncClient(base_url=server.base_url, timeout=10) as client:
        assert (await client.get("/api/v1/status")).status_code == 200
    whole(await speak(server.base_url, CLIP))


async def test_kill_9_of_up_leaves_nothing_of_nginx(server: RunningServer) -> None:
    """The last: nobody uses the server after this."""
    of_nginx = [psutil.Process(server.pid("nginx")), *psutil.Process(server.pid("nginx")).children(recursive=True)]
    assert len(of_nginx) > 1
    server.process.kill()
    _, left = await asyncio.to_thread(psutil.wait_procs, of_nginx, 10)
    assert not left


async def until_ready(url: str) -> None:
    """Until the gateway is ready, and nginx no longer passes it over for its failures."""

    async def is_ready() -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return (await client.get(f"{url}/readyz")).status_code == 200
        return False

    async with httpx.AsyncClient(timeout=10) as client:
        await eventually(is_ready)
    await asyncio.sleep(2.1)
