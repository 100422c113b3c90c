"""Parts that die in the middle of a session: the audio is whole, every word comes once, and the client is told."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from parley import wire
from parley.embedded.server import RunningServer, running_server
from tests.conftest import CLIPS, MINI_WHISPER
from tests.integration.live import chunked, converse, samples_of, speak_while
from tests.integration.test_resume import SPEECH, opened, ready_of

CLIP = CLIPS[11]
LONG = np.concatenate([samples_of(CLIP)] * 3)
START = {"type": "start", "sample_rate": 16_000}
STOP = {"type": "stop"}


@pytest.fixture(scope="module")
def fragile() -> Iterator[RunningServer]:
    """A server of this module's own, whose parts may be killed."""
    with running_server(
        env={"PARLEY_ENGINE__MODEL": str(MINI_WHISPER), "PARLEY_GATEWAY__STALLED_CLIENT_TIMEOUT_S": "1"}
    ) as running:
        yield running


def kill(server: RunningServer, part: str) -> None:
    """SIGKILL for one of the server's own parts."""
    processes = json.loads((server.data / "run.json").read_text())["processes"]
    pid = processes[part][0]
    assert psutil.Process(server.process.pid) in psutil.Process(pid).parents()
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("part", "told"), [("engine", "engine_unavailable"), ("postgres", "database_unavailable"), ("redis", None)]
)
async def test_a_part_that_dies_costs_no_word_and_no_sample(
    fragile: RunningServer, part: str, told: str | None
) -> None:
    await ready(fragile)
    heard = await speak_while(fragile.base_url, CLIP, lambda: kill(fragile, part))
    assert heard.text == CLIP.text
    assert [final.segment for final in heard.of(wire.Final)] == list(range(len(heard.of(wire.Final))))
    assert set(heard.error_codes) <= {told}
    assert isinstance(heard.messages[-1], wire.Closed)
    assert heard.close_code == 1000
    async with httpx.AsyncClient(base_url=fragile.base_url) as client:
        audio = (await client.get(f"/api/v1/recordings/{heard.recording_id}/audio")).content[44:]
    assert audio == samples_of(CLIP).tobytes()


async def test_a_backend_that_outlives_postgresql_does_not_keep_the_next_one_from_starting(
    fragile: RunningServer,
) -> None:
    await ready(fragile)
    postmaster = psutil.Process(fragile.pid("postgres"))
    backend = next(child for child in postmaster.children() if "idle" in " ".join(child.cmdline()))
    backend.suspend()  # as one that is busy: it does not see that its parent is gone
    kill(fragile, "postgres")
    await asyncio.sleep(0.5)
    await ready(fragile)
    assert fragile.pid("postgres") != postmaster.pid
    assert not backend.is_running()


async def ready(server: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=server.base_url, timeout=10) as client:
        for _ in range(300):
            try:
                answer = await client.get("/readyz")
                if answer.json()["parts"] == dict.fromkeys(("database", "storage", "engine", "events"), "ok"):
                    return
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.1)
    raise AssertionError("the server did not become ready again")


async def test_one_message_of_half_a_minute_is_as_good_as_many(fragile: RunningServer) -> None:
    await ready(fragile)
    whole = LONG.tobytes()[: 1_048_576 // 2 * 2]
    heard = await converse(fragile.base_url, START, whole, STOP)
    usual = await converse(fragile.base_url, START, *chunked(LONG[: len(whole) // 2]), STOP)
    assert heard.of(wire.Final) == usual.of(wire.Final)
    assert len(heard.of(wire.Final)) >= 8


async def test_a_client_that_reads_nothing_is_let_go_and_its_recording_is_kept(fragile: RunningServer) -> None:
    await ready(fragile)
    host, port = fragile.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(
        f"GET /ws/s2t HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    ping = b'{"type": "nonsense' + b"." * 200 + b'"}'
    frame = bytes([0x81, 0x80 | 126]) + len(ping).to_bytes(2, "big") + bytes(4) + ping
    start = json.dumps(START | {"title": "reads nothing"}).encode()
    writer.write(bytes([0x81, 0x80 | len(start)]) + bytes(4) + start)
    audio = samples_of(CLIPS[0]).tobytes()
    writer.write(bytes([0x82, 0x80 | 127]) + len(audio).to_bytes(8, "big") + bytes(4) + audio)
    await writer.drain()
    reader._transport.pause_reading()  # type: ignore[attr-defined]
    recording = None
    async with httpx.AsyncClient(base_url=fragile.base_url) as client:
        for _ in range(120):  # answers pile up until the buffers between are full
            writer.write(frame * 2000)
            listed = (await client.get("/api/v1/recordings")).json()["recordings"]
            recording = next((one for one in listed if one["title"] == "reads nothing"), None)
            if 'outcome="client_stalled"} 1.0' in (await client.get("/metrics")).text:
                break
            await asyncio.sleep(0.1)
    writer.close()
    assert recording is not None
    assert recording["state"] == "recording"  # for whoever resumes it
    assert recording["duration_ms"] == len(audio) // 32
    assert recording["preview"] == CLIPS[0].text


def test_a_gateway_without_its_settings_says_which_in_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "PARLEY_DATA": str(tmp_path)}
    failed = subprocess.run(
        [sys.executable, "-m", "gateway"], env=environment, capture_output=True, text=True, timeout=30
    )
    assert failed.returncode == 3
    assert "parley: PARLEY_DATABASE_URL is not set" in failed.stderr.splitlines()[-1]


async def test_while_the_database_hangs_a_session_gives_signs_and_goes_elsewhere_before_it_looks_abandoned() -> None:
    env = {"PARLEY_ENGINE__MODEL": str(MINI_WHISPER), "PARLEY_GATEWAY__ABANDONED_AFTER_S": "30"}
    with running_server(env=env) as server:
        connection, heard = await opened(server)
        await connection.send(SPEECH[:16_000].tobytes())
        hanging = psutil.Process(server.pid("postgres"))
        family = [hanging, *hanging.children(recursive=True)]
        for process in family:
            process.suspend()
        try:
            with contextlib.suppress(ConnectionClosed):
                while True:
                    message = await asyncio.wait_for(connection.recv(), 5)  # as it is promised
                    heard.messages.append(wire.parse_server_message(str(message)))
        finally:
            for process in family:
                process.resume()
        assert set(heard.error_codes) == {"database_unavailable"}
        assert connection.close_code == 1013
        resumed, more = await opened(server, resume=ready_of(heard).resume_token)
        assert ready_of(more).next_sample <= 16_000
        await resumed.close()
