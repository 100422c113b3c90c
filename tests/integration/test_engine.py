"""The engine as a real process with a real (miniature) Whisper, through a real WebSocket."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise

import httpx
import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from parley.audio import SAMPLE_RATE
from parley.engine_wire import Begin, End, Error, Open, Partial
from parley.transcript import join_words
from tests.integration.engine_process import (
    CLIPS,
    MODEL,
    Clip,
    engine_process,
    receive,
    session,
    until_final,
    wait_until_ready,
    whole,
)

CHUNK_BYTES = 3200  # 100 ms


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an engine with the miniature Whisper."""
    with engine_process(tmp_path_factory.mktemp("engine"), PARLEY_ENGINE__MODEL=str(MODEL)) as (port, _):
        wait_until_ready(port)
        yield port


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.name)
async def test_partials_grow_into_the_exact_final(engine: int, clip: Clip) -> None:
    async with session(engine) as ws:
        await ws.send(Begin(segment=0).to_json())
        partials: list[Partial] = []
        for at in range(0, len(clip.audio), CHUNK_BYTES):
            await ws.send(clip.audio[at : at + CHUNK_BYTES])
            await asyncio.sleep(0.01)
        await ws.send(End(segment=0, samples=len(clip.audio) // 2).to_json())
        partials, final = await until_final(ws)
    assert join_words(final.words) == clip.text
    assert not final.suspect
    assert final.confidence > 0.5
    assert [partial.revision for partial in partials] == list(range(len(partials)))
    assert partials
    for before, after in pairwise(partials):
        assert after.committed.startswith(before.committed)
        assert after.samples > before.samples


async def test_word_times_lie_in_the_speech(engine: int) -> None:
    async with session(engine) as ws:
        for number, clip in enumerate(CLIPS):
            words = (await whole(ws, number, clip.audio)).words
            assert abs(words[-1].end / SAMPLE_RATE - clip.end_s) < 0.35, clip.name
            assert words[0].end / SAMPLE_RATE > clip.start_s, clip.name
            assert all(before.end <= after.start for before, after in pairwise(words))
            assert all(0 <= word.start <= word.end <= len(clip.audio) // 2 for word in words)
            assert all(0 < word.confidence <= 1 for word in words)


async def test_what_is_cut_off_at_the_end_is_not_heard(engine: int) -> None:
    clip = CLIPS[6]
    async with session(engine) as ws:
        await ws.send(Begin(segment=0).to_json())
        await ws.send(clip.audio)
        await ws.send(End(segment=0, samples=16_000).to_json())
        _, final = await until_final(ws)
    assert join_words(final.words).startswith("Turn off")
    assert len(final.words) < 6
    assert all(word.end <= 16_000 for word in final.words)


async def test_finals_come_while_the_next_segment_is_open(engine: int) -> None:
    async with session(engine) as ws:
        for number, clip in enumerate(CLIPS[:3]):
            await ws.send(Begin(segment=number).to_json())
            await ws.send(clip.audio)
            await ws.send(End(segment=number, samples=len(clip.audio) // 2).to_json())
        await ws.send(Begin(segment=3).to_json())
        finals = [(await until_final(ws))[1] for _ in range(3)]
    assert [(final.segment, join_words(final.words)) for final in finals] == [
        (number, clip.text) for number, clip in enumerate(CLIPS[:3])
    ]


async def test_more_segments_than_there_is_room_for_are_slowed_down_not_lost(engine: int) -> None:
    async with session(engine, Open(session="file", lane="batch")) as ws:

        async def send() -> None:
            for number in range(40):
                audio = CLIPS[number % 3].audio
                await ws.send(Begin(segment=number).to_json())
                await ws.send(audio)
                await ws.send(End(segment=number, samples=len(audio) // 2).to_json())

        sending = asyncio.create_task(send())
        results = [await until_final(ws) for _ in range(40)]
        await sending
    said = {final.segment: join_words(final.words) for _, final in results}
    assert said == {number: CLIPS[number % 3].text for number in range(40)}
    assert not any(partials for partials, _ in results)


async def test_many_sessions_at_once_get_what_each_would_get_alone(engine: int) -> None:
    async def one(clip: Clip) -> str:
        async with session(engine) as ws:
            return join_words((await whole(ws, 0, clip.audio)).words)

    assert await asyncio.gather(*(one(clip) for clip in CLIPS)) == [clip.text for clip in CLIPS]


@pytest.mark.parametrize("level", [0, 30, 2000])
async def test_silence_and_noise_hold_no_words(engine: int, level: int) -> None:
    noise = np.random.default_rng(1).normal(0, 1, 3 * SAMPLE_RATE) * level
    async with session(engine) as ws:
        final = await whole(ws, 0, noise.astype(np.int16).tobytes())
    assert final.words == ()


@pytest.mark.parametrize("samples", [0, 1, 100, 1000])
async def test_a_segment_too_short_for_a_word_is_final_too(engine: int, samples: int) -> None:
    async with session(engine) as ws:
        assert (await whole(ws, 0, CLIPS[0].audio[: 2 * samples])).segment == 0


OPEN = Open(session="test").to_json()
BEGIN = Begin(segment=0).to_json()
WRONG: dict[str, tuple[Sequence[str | bytes], str]] = {
    "no JSON": (["hello"], "malformed_message"),
    "not an object": (["[1]"], "malformed_message"),
    "a field too many": (['{"type":"open","session":"s","speed":2}'], "malformed_message"),
    "an unknown type": ([OPEN, '{"type":"sing"}'], "malformed_message"),
    "audio first": ([b"\0\0"], "out_of_order"),
    "begin first": ([BEGIN], "out_of_order"),
    "open twice": ([OPEN, OPEN], "out_of_order"),
    "audio without a segment": ([OPEN, b"\0\0"], "out_of_order"),
    "half a sample": ([OPEN, BEGIN, b"\0\0\0"], "malformed_audio"),
    "end beyond the audio": ([OPEN, BEGIN, '{"type":"end","segment":0,"samples":9}'], "malformed_message"),
    "too long a segment": ([OPEN, BEGIN, b"\0\0" * 480_001], "segment_too_long"),
    "a language unknown to the model": (['{"type":"open","session":"s","language":"fr"}'], "unsupported_language"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_bad_input_gets_an_error_and_the_connection_ends(engine: int, case: str) -> None:
    messages, code = WRONG[case]
    async with connect(f"ws://127.0.0.1:{engine}/v1/stream") as ws:
        for message in messages:
            await ws.send(message)
        error = await receive(ws)
        while not isinstance(error, Error):
            error = await receive(ws)
        assert error.code == code
        assert error.segment is None
        assert not error.retryable
        with pytest.raises(ConnectionClosed):
            await ws.recv()


async def test_a_gateway_that_vanishes_leaves_nothing_behind(engine: int) -> None:
    for _ in range(5):
        ws = await connect(f"ws://127.0.0.1:{engine}/v1/stream")
        await ws.send(OPEN)
        for number in range(6):
            await ws.send(Begin(segment=number).to_json())
            await ws.send(CLIPS[0].audio)
            await ws.send(End(segment=number, samples=16_000).to_json())
        ws.transport.abort()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{engine}") as client:
        for _ in range(200):
            metrics = (await client.get("/metrics")).text
            if "parley_engine_sessions_open 0.0" in metrics:
                break
            await asyncio.sleep(0.05)
    assert "parley_engine_sessions_open 0.0" in metrics
    assert 'parley_engine_waiting{lane="final"} 0.0' in metrics
