"""A recording goes on wherever it was cut: the same segments, the same numbers, every sample, no final twice."""

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import asyncpg
import httpx
import numpy as np
import pytest
from itsdangerous import URLSafeTimedSerializer
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from parley import wire
from parley.audio import Samples, resume_point
from parley.embedded import folder
from parley.embedded.server import RunningServer
from tests.conftest import CLIPS
from tests.integration.live import START, Heard, chunked, converse, eventually, samples_of

SPEECH = np.concatenate([samples_of(CLIPS[11]), np.zeros(8000, np.int16), samples_of(CLIPS[9])])


async def opened(server: RunningServer, **start: Any) -> tuple[ClientConnection, Heard]:
    """A session of which `ready` was read."""
    url = server.base_url.replace("http", "ws", 1) + "/ws/s2t"
    connection = await connect(url, compression=None, max_size=None)
    await connection.send(json.dumps(START | start))
    first = wire.parse_server_message(str(await connection.recv()))
    assert isinstance(first, wire.Ready), first
    return connection, Heard([first])


def ready_of(heard: Heard) -> wire.Ready:
    return heard.of(wire.Ready)[-1]


async def hear(connection: ClientConnection, heard: Heard) -> None:
    try:
        async for text in connection:
            heard.messages.append(wire.parse_server_message(str(text)))
    except ConnectionClosed:
        pass
    heard.close_code = connection.close_code


async def speak_with_cuts(server: RunningServer, samples: Samples, cuts: Sequence[int], **start: Any) -> Heard:
    """Speaks `samples`; after so many of them each time the connection breaks, and the session is resumed."""
    everything = Heard()
    resume: dict[str, Any] = {}
    for cut in [*cuts, None]:
        connection, heard = await opened(server, **start, **resume)
        hearing = asyncio.create_task(hear(connection, heard))
        rest = samples[ready_of(heard).next_sample : cut]
        for chunk in chunked(rest):
            await connection.send(chunk)
        if cut is None:
            await connection.send('{"type": "stop"}')
        else:
            await asyncio.sleep(0.4)
            connection.transport.abort()
        async with asyncio.timeout(60):
            await hearing
        everything.messages += heard.messages
        everything.close_code = heard.close_code
        known = {final.segment for final in everything.of(wire.Final)}
        resume = {"resume": ready_of(heard).resume_token, "next_segment": len(known)}
    return everything


async def stored(server: RunningServer, recording_id: str) -> tuple[dict[str, Any], list[dict[str, Any]], Samples]:
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        recording = (await client.get(f"/api/v1/recordings/{recording_id}")).json()
        transcript = (await client.get(f"/api/v1/recordings/{recording_id}/transcript")).json()
        audio = (await client.get(f"/api/v1/recordings/{recording_id}/audio")).content
    return recording, transcript["segments"], np.frombuffer(audio[44:], np.int16)


@pytest.mark.parametrize("cuts", [[0], [20_000], [70_000, 70_000], [10_000, 90_000, 150_000, 200_000, 260_000]])
async def test_a_cut_recording_is_the_same_as_an_undisturbed_one(server: RunningServer, cuts: list[int]) -> None:
    whole = await converse(server.base_url, START, *chunked(SPEECH), {"type": "stop"})
    heard = await speak_with_cuts(server, SPEECH, cuts)
    assert isinstance(heard.messages[-1], wire.Closed)
    assert heard.of(wire.Final) == whole.of(wire.Final)
    assert len({ready.recording_id for ready in heard.of(wire.Ready)}) == 1
    recording, segments, audio = await stored(server, heard.recording_id)
    assert recording["state"] == "finished"
    assert [one["text"] for one in segments] == [final.text for final in whole.of(wire.Final)]
    assert np.array_equal(audio, SPEECH)


async def test_segments_that_the_client_ended_are_ended_there_again(server: RunningServer) -> None:
    finalize = {"type": "finalize"}
    head, tail = SPEECH[:30_000], SPEECH[30_000:80_000]
    stop = {"type": "stop"}
    whole = await converse(server.base_url, START, *chunked(head), finalize, *chunked(tail), stop)
    connection, heard = await opened(server)
    spoken: list[bytes | str] = [*chunked(head), json.dumps(finalize), *chunked(tail)]
    for item in spoken:
        await connection.send(item)
    while not any(ack.samples >= len(head) for ack in heard.of(wire.Ack)):
        heard.messages.append(wire.parse_server_message(str(await connection.recv())))
    connection.transport.abort()
    ready = ready_of(heard)
    second, again = await opened(server, resume=ready.resume_token)
    rest: list[bytes | str] = [*chunked(SPEECH[ready_of(again).next_sample : 80_000]), json.dumps(stop)]
    for item in rest:
        await second.send(item)
    await hear(second, again)
    assert again.of(wire.Final) == whole.of(wire.Final)


async def test_a_newer_connection_wins_and_the_older_is_told(server: RunningServer) -> None:
    older, heard = await opened(server)
    for chunk in chunked(SPEECH[:16_000]):
        await older.send(chunk)
    newer, again = await opened(server, resume=ready_of(heard).resume_token)
    await hear(older, heard)
    assert heard.error_codes == ["superseded"]
    assert heard.close_code == 1008
    for chunk in chunked(SPEECH[ready_of(again).next_sample :]):
        await newer.send(chunk)
    await newer.send('{"type": "stop"}')
    await hear(newer, again)
    _, _, audio = await stored(server, again.recording_id)
    assert np.array_equal(audio, SPEECH)


async def test_a_finished_recording_tells_what_was_missed_and_closes(server: RunningServer) -> None:
    whole = await converse(server.base_url, START, *chunked(SPEECH), {"type": "stop"})
    token = ready_of(whole).resume_token
    again = await converse(server.base_url, START | {"resume": token, "next_segment": 2})
    assert again.of(wire.Final) == whole.of(wire.Final)[2:]
    assert again.messages[-1] == whole.messages[-1]
    assert again.close_code == 1000
    recording, _, audio = await stored(server, whole.recording_id)
    assert recording["state"] == "finished"
    assert np.array_equal(audio, SPEECH)


@pytest.mark.parametrize(
    ("salt", "recording_id", "code"),
    [
        ("resume", "0190a1b2-0000-4000-8000-000000000000", "resume_invalid"),
        ("else", "0190a1b2-0000-4000-8000-000000000000", "resume_invalid"),
        ("resume", "../../etc", "resume_invalid"),
    ],
    ids=["unknown recording", "another purpose", "no id"],
)
async def test_a_token_that_is_no_good_is_refused(
    server: RunningServer, salt: str, recording_id: str, code: str
) -> None:
    token = URLSafeTimedSerializer(folder.secret(server.data), salt=salt).dumps(recording_id)
    heard = await converse(server.base_url, START | {"resume": token})
    assert heard.error_codes == [code]
    assert heard.close_code == 1008


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
async def test_audio_at_other_rates_goes_on_as_if_it_had_not_been_cut(server: RunningServer, rate: int) -> None:
    spoken = np.interp(np.arange(rate * 9) * 16_000 / rate, np.arange(len(SPEECH)), SPEECH).astype(np.int16)
    start = {"sample_rate": rate}
    whole = await converse(server.base_url, START | start, *chunked(spoken), {"type": "stop"})
    first, heard = await opened(server, **start)
    for chunk in chunked(spoken[: rate * 6]):
        await first.send(chunk)
    while not any(ack.samples > 50_000 for ack in heard.of(wire.Ack)):
        heard.messages.append(wire.parse_server_message(str(await first.recv())))
    first.transport.abort()
    second, again = await opened(server, **start, resume=ready_of(heard).resume_token)
    next_sample = ready_of(again).next_sample
    assert next_sample == resume_point(next_sample + 8_000, rate) or next_sample * rate % 16_000 == 0
    assert next_sample >= max(ack.samples for ack in heard.of(wire.Ack))
    for chunk in chunked(spoken[next_sample * rate // 16_000 :]):
        await second.send(chunk)
    await second.send('{"type": "stop"}')
    await hear(second, again)
    _, _, expected = await stored(server, whole.recording_id)
    _, _, audio = await stored(server, again.recording_id)
    assert len(audio) == len(expected)
    assert np.abs(audio.astype(int) - expected).max() <= 1
    assert [final.text for final in again.of(wire.Final)] == [final.text for final in whole.of(wire.Final)]


async def test_a_recording_whose_client_never_comes_back_is_closed_with_all_its_words(server: RunningServer) -> None:
    whole = await converse(server.base_url, START, *chunked(SPEECH), {"type": "stop"})
    connection, heard = await opened(server, title="left alone")
    for chunk in chunked(SPEECH):
        await connection.send(chunk)
    while not any(ack.samples >= len(SPEECH) - 32_000 for ack in heard.of(wire.Ack)):
        heard.messages.append(wire.parse_server_message(str(await connection.recv())))
    connection.transport.abort()
    silent, never_spoke = await opened(server)
    silent.transport.abort()
    await asyncio.sleep(1)
    assert (await stored(server, heard.recording_id))[0]["state"] == "recording"
    database = await asyncpg.connect(server.database_url)
    try:
        async with asyncio.timeout(90):
            await _let_time_pass(database, never_spoke.recording_id)
            await _let_time_pass(database, heard.recording_id)
            for one in (heard.recording_id, never_spoke.recording_id):
                await eventually(partial(_is_in_state, database, one, "interrupted"), within_s=75)
    finally:
        await database.close()
    _, segments, audio = await stored(server, heard.recording_id)
    assert np.array_equal(audio, SPEECH)
    assert [one["text"] for one in segments] == [final.text for final in whole.of(wire.Final)]
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        listed = [one["id"] for one in (await client.get("/api/v1/recordings")).json()["recordings"]]
    assert heard.recording_id in listed
    assert never_spoke.recording_id not in listed


async def _let_time_pass(database: asyncpg.Connection, recording_id: str) -> None:
    await database.execute("UPDATE recordings SET alive_at = now() - interval '10 minutes' WHERE id = $1", recording_id)


async def _is_in_state(database: asyncpg.Connection, recording_id: str, state: str) -> bool:
    return bool(await database.fetchval("SELECT state FROM recordings WHERE id = $1", recording_id) == state)
