"""Bad input on the live path: a code and a sentence each time, and nobody else is harmed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from parley import wire
from parley.embedded.server import RunningServer
from parley.transcript import samples_to_ms
from tests.conftest import CLIPS
from tests.integration.live import START, chunked, converse, samples_of, speak

SPEECH = chunked(samples_of(CLIPS[0]))
STOP = {"type": "stop"}
DURATION_MS = samples_to_ms(len(samples_of(CLIPS[0])))


BAD_BEGINNINGS: list[tuple[Any, str, int, str]] = [
    ({"type": "stop"}, "start_expected", 1002, "stop"),
    (SPEECH[0], "start_expected", 1002, "Audio came before start"),
    ("[1, 2]", "malformed_message", 1007, "list"),
    ("not json", "malformed_message", 1007, "no JSON"),
    ({"type": "begin"}, "malformed_message", 1007, "begin"),
    ({"type": "start"}, "malformed_message", 1007, "sample_rate"),
    (START | {"colour": "red"}, "malformed_message", 1007, "colour"),
    (START | {"sample_rate": 4_000}, "unsupported_audio", 1003, "4000"),
    (START | {"sample_rate": 96_000}, "unsupported_audio", 1003, "96000"),
    (START | {"encoding": "opus"}, "malformed_message", 1007, "opus"),
    (START | {"channels": 6}, "unsupported_audio", 1003, "6"),
    (START | {"language": "de"}, "unsupported_language", 1008, "de"),
    (START | {"task": "translate"}, "unsupported_task", 1008, "translate"),
    (START | {"title": "a\0b"}, "malformed_message", 1007, "title"),
    (START | {"resume": "token"}, "resume_invalid", 1008, "resume"),
    (1.6, "start_timeout", 1008, "1.5 s"),
]


@pytest.fixture
async def neighbour(server: RunningServer) -> AsyncIterator[None]:
    """While a test does its harm, another session speaks and must get every word."""
    speaking = asyncio.create_task(speak(server.base_url, CLIPS[4]))
    yield
    heard = await speaking
    assert heard.text == CLIPS[4].text
    assert heard.error_codes == []


@pytest.mark.parametrize(("first", "code", "close_code", "named"), BAD_BEGINNINGS)
async def test_a_bad_beginning_is_refused_with_the_reason(
    server: RunningServer, first: Any, code: str, close_code: int, named: str
) -> None:
    heard = await converse(server.base_url, first)
    assert heard.error_codes == [code]
    assert named in heard.of(wire.Error)[0].message
    assert heard.close_code == close_code


async def test_many_bad_beginnings_at_once_harm_nobody(server: RunningServer, neighbour: None) -> None:
    heard = await asyncio.gather(*(converse(server.base_url, first) for first, *_ in BAD_BEGINNINGS * 3))
    assert [one.error_codes for one in heard] == [[code] for _, code, *_ in BAD_BEGINNINGS * 3]


@pytest.mark.parametrize(
    ("bad", "code", "close_code"),
    [
        (b"\x00" * 3201, "malformed_audio", 1007),
        (b"\x00" * 10_000_000, "frame_too_large", 1009),
    ],
    ids=["odd-length PCM", "10 MB frame"],
)
async def test_audio_that_cannot_be_used_ends_the_session_and_keeps_what_came_before(
    server: RunningServer, neighbour: None, bad: bytes, code: str, close_code: int
) -> None:
    heard = await converse(server.base_url, START, *SPEECH, bad, *SPEECH)
    assert heard.error_codes == [code]
    assert heard.close_code == close_code
    assert heard.text == CLIPS[0].text
    assert isinstance(heard.messages[-1], wire.Closed)
    assert heard.messages[-1].duration_ms == DURATION_MS


async def test_a_sample_that_is_no_number_ends_the_session_with_its_place(server: RunningServer) -> None:
    bad = np.array([0.0, np.nan], "<f4").tobytes()
    heard = await converse(server.base_url, START | {"encoding": "pcm_f32le"}, np.zeros(1600, "<f4").tobytes(), bad)
    assert heard.error_codes == ["malformed_audio"]
    assert "Sample 1" in heard.of(wire.Error)[0].message
    assert heard.of(wire.Closed)[0].duration_ms == 100


@pytest.mark.parametrize("message", ["[]", "{", '{"type": "nonsense"}', '{"type": "stop", "now": true}', '"stop"'])
async def test_a_bad_message_is_answered_and_the_session_goes_on(server: RunningServer, message: str) -> None:
    heard = await converse(server.base_url, START, message, *SPEECH, STOP)
    assert heard.error_codes == ["malformed_message"]
    assert heard.text == CLIPS[0].text
    assert heard.close_code == 1000


async def test_a_second_start_is_answered_and_the_session_goes_on(server: RunningServer) -> None:
    heard = await converse(server.base_url, START, START, *SPEECH, STOP)
    assert heard.error_codes == ["malformed_message"]
    assert heard.text == CLIPS[0].text


async def test_audio_after_stop_is_answered_and_not_recorded(server: RunningServer) -> None:
    heard = await converse(server.base_url, START, *SPEECH, STOP, *SPEECH)
    assert heard.error_codes == ["audio_after_stop"]
    assert heard.of(wire.Closed)[0].duration_ms == DURATION_MS


async def test_silence_only_gives_no_words_and_is_kept(server: RunningServer) -> None:
    heard = await converse(server.base_url, START, *[b"\x00" * 3200] * 50, STOP)
    assert not heard.of(wire.Partial)
    assert not heard.of(wire.Final)
    assert heard.of(wire.Closed)[0].duration_ms == 5000


async def test_a_session_without_audio_is_closed_with_the_reason(server: RunningServer) -> None:
    heard = await converse(server.base_url, START)
    assert heard.error_codes == ["no_audio"]
    assert "3 s" in heard.of(wire.Error)[0].message
    assert heard.close_code == 1008


async def closed_recording(server: RunningServer, title: str) -> dict[str, Any]:
    """The recording of that title, once it is no longer being made."""
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        for _ in range(300):
            listed = (await client.get("/api/v1/recordings")).json()["recordings"]
            found = [one for one in listed if one["title"] == title and one["state"] != "recording"]
            if found:
                return dict(found[0])
            await asyncio.sleep(0.1)
    raise AssertionError(f"{title} is still being recorded")


async def test_a_client_that_never_reads_does_not_stop_its_recording(server: RunningServer) -> None:
    url = server.base_url.replace("http", "ws", 1) + "/ws/s2t"
    async with connect(url, compression=None, max_queue=1) as connection:
        await connection.send('{"type": "start", "sample_rate": 16000, "title": "never reads"}')
        for chunk in SPEECH * 5:
            await connection.send(chunk)
        await connection.send('{"type": "stop"}')
        recording = await closed_recording(server, "never reads")
        connection.transport.abort()
    assert recording["duration_ms"] == samples_to_ms(5 * len(samples_of(CLIPS[0])))
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        text = (await client.get(f"/api/v1/recordings/{recording['id']}/transcript?format=txt")).text
    assert text.count("problem") == 5


async def test_a_page_of_another_site_may_not_connect(server: RunningServer) -> None:
    heard = await converse(server.base_url, START, headers={"Origin": "https://evil.example"})
    assert heard.error_codes == ["forbidden_origin"]
    own = await converse(server.base_url, START, SPEECH[0], STOP, headers={"Origin": server.base_url})
    assert own.error_codes == []


async def test_raw_bytes_that_are_no_websocket_are_refused(server: RunningServer) -> None:
    host, port = server.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /ws/s2t HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()


async def test_a_frame_that_breaks_the_websocket_protocol_closes_only_its_connection(server: RunningServer) -> None:
    url = server.base_url.replace("http", "ws", 1) + "/ws/s2t"
    async with connect(url, compression=None) as connection:
        connection.transport.write(b"\xff\xff\xff\xff\xff")
        with contextlib.suppress(ConnectionClosed):
            await asyncio.wait_for(connection.recv(), 5)
        assert connection.close_code in (1002, 1006)
