"""With no engine at all, audio is accepted and kept without end; its text comes when an engine is back."""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from parley import wire
from parley.embedded.server import RunningServer, running_server
from tests.conftest import MINI_WHISPER
from tests.integration.live import START, chunked, converse
from tests.integration.test_outages import kill, ready
from tests.integration.test_resume import SPEECH, hear, opened, stored

LONG = np.concatenate([SPEECH] * 5)


@pytest.fixture(scope="module")
def fragile() -> Iterator[RunningServer]:
    env = {"PARLEY_ENGINE__MODEL": str(MINI_WHISPER), "PARLEY_GATEWAY__MAX_BACKLOG_S": "40"}
    with running_server(env=env) as running:
        yield running


async def test_more_audio_than_memory_may_hold_is_transcribed_when_an_engine_is_back(fragile: RunningServer) -> None:
    await ready(fragile)
    whole = await converse(fragile.base_url, START, *chunked(LONG), {"type": "stop"})
    connection, heard = await opened(fragile)
    kill(fragile, "engine")
    while "engine_unavailable" not in heard.error_codes:
        heard.messages.append(wire.parse_server_message(str(await connection.recv())))
    hearing = asyncio.create_task(hear(connection, heard))
    for chunk in chunked(LONG, 16_000):
        await connection.send(chunk)
    await connection.send('{"type": "stop"}')
    async with asyncio.timeout(100):
        await hearing
    assert heard.of(wire.Final) == whole.of(wire.Final)
    assert isinstance(heard.messages[-1], wire.Closed)
    assert np.array_equal((await stored(fragile, heard.recording_id))[2], LONG)
    assert "stranded" in (fragile.data / "logs" / "gateway.log").read_text()


async def test_a_session_that_begins_without_an_engine_gets_its_text_later(fragile: RunningServer) -> None:
    await ready(fragile)
    kill(fragile, "engine")
    await asyncio.sleep(1.2)  # the gateway has asked again how the engine is
    connection, heard = await opened(fragile)
    assert heard.of(wire.Ready)[0].recognizer is None
    for chunk in chunked(SPEECH, 16_000):
        await connection.send(chunk)
    await connection.send('{"type": "stop"}')
    async with asyncio.timeout(60):
        await hear(connection, heard)
    assert len(heard.of(wire.Final)) >= 4
    assert [change.recognizer.name for change in heard.of(wire.RecognizerChange)] == ["faster-whisper"]
    assert isinstance(heard.messages[-1], wire.Closed)
