"""The live path end to end: real audio through a real WebSocket, PostgreSQL, Redis, engine and gateway."""

import asyncio
import itertools
from typing import Any

import httpx
import numpy as np
import pytest

from parley import wire
from parley.audio import SAMPLE_RATE
from parley.embedded.server import RunningServer
from parley.media import decode_file
from parley.transcript import samples_to_ms
from tests.conftest import CLIPS, SHARED_AUDIO, Clip
from tests.integration.live import START, Heard, chunked, converse, samples_of, speak


async def stored_audio(server: RunningServer, recording_id: str) -> np.ndarray:
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        answer = await client.get(f"/api/v1/recordings/{recording_id}/audio")
        assert answer.status_code == 200
        return np.frombuffer(answer.content[44:], "<i2")


def committed_never_shrinks(heard: Heard) -> bool:
    shown: dict[int, str] = {}
    for partial in heard.of(wire.Partial):
        if not partial.committed.startswith(shown.get(partial.segment, "")):
            return False
        shown[partial.segment] = partial.committed
    return True


@pytest.mark.parametrize("clip", [CLIPS[0], CLIPS[6], CLIPS[11]], ids=lambda clip: clip.path.stem)
async def test_a_clip_is_read_along_and_kept_word_for_word(server: RunningServer, clip: Clip) -> None:
    heard = await speak(server.base_url, clip)
    assert heard.text == clip.text
    assert heard.error_codes == []
    assert heard.close_code == 1000
    assert heard.of(wire.Partial)
    assert committed_never_shrinks(heard)
    samples = samples_of(clip)
    assert heard.of(wire.Ack)[-1].samples == len(samples)
    assert isinstance(heard.messages[-1], wire.Closed)
    assert heard.messages[-1].duration_ms == samples_to_ms(len(samples))
    assert np.array_equal(await stored_audio(server, heard.recording_id), samples)


async def test_finals_are_ordered_and_lie_where_the_words_were_said(server: RunningServer) -> None:
    heard = await speak(server.base_url, CLIPS[11])
    finals = heard.of(wire.Final)
    assert [final.segment for final in finals] == list(range(len(finals)))
    for final, following in itertools.pairwise(finals):
        assert final.end_ms <= following.start_ms
    for final in finals:
        assert all(final.start_ms <= word.start_ms <= word.end_ms <= final.end_ms for word in final.words)
        assert all(0 < word.confidence <= 1 for word in final.words)
        assert final.language == "en"


async def test_every_final_was_announced_and_is_stored_as_it_was_sent(server: RunningServer) -> None:
    heard = await speak(server.base_url, CLIPS[6])
    announced = [start.segment for start in heard.of(wire.SpeechStart)]
    assert announced == [final.segment for final in heard.of(wire.Final)]
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        transcript = (await client.get(f"/api/v1/recordings/{heard.recording_id}/transcript")).json()
    sent = [final.model_dump(mode="json", exclude={"type"}) for final in heard.of(wire.Final) if final.text]
    assert transcript["segments"] == sent


@pytest.mark.parametrize("size", [37, 512, 16_000])
async def test_finals_do_not_depend_on_the_size_of_the_chunks(server: RunningServer, size: int) -> None:
    samples = samples_of(CLIPS[8])
    usual = await speak(server.base_url, CLIPS[8])
    heard = await converse(server.base_url, START, *chunked(samples, size), {"type": "stop"})
    assert heard.of(wire.Final) == usual.of(wire.Final)


@pytest.mark.parametrize(("rate", "encoding", "channels"), [(48_000, "pcm_f32le", 2), (8_000, "mulaw", 1)])
async def test_other_formats_are_understood(server: RunningServer, rate: int, encoding: str, channels: int) -> None:
    import soxr

    from tests.unit.parley.test_audio import encode

    clip = CLIPS[2]
    resampled = soxr.resample(samples_of(clip).astype(np.float32) / 32768, SAMPLE_RATE, rate)
    data = encode(np.repeat(resampled, channels), encoding)  # type: ignore[arg-type]
    size = rate // 10 * channels * (4 if encoding == "pcm_f32le" else 1)
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    start = START | {"sample_rate": rate, "encoding": encoding, "channels": channels}
    heard = await converse(server.base_url, start, *chunks, {"type": "stop"})
    assert heard.of(wire.Closed)[0].duration_ms == pytest.approx(clip.seconds * 1000, abs=20)
    assert len(set(heard.text.split()) & set(clip.text.split())) >= len(clip.text.split()) - 2


async def test_finalize_ends_the_segment_at_once(server: RunningServer) -> None:
    chunks = chunked(samples_of(CLIPS[8]))
    heard = await converse(server.base_url, START, *chunks[:15], {"type": "finalize"}, *chunks[15:], {"type": "stop"})
    assert heard.of(wire.Final)[0].end_ms == 1500
    assert heard.of(wire.Closed)[0].duration_ms == samples_to_ms(len(samples_of(CLIPS[8])))


async def test_ping_is_answered_and_keeps_a_silent_session_open(server: RunningServer) -> None:
    waits: list[Any] = [1.5, {"type": "ping"}] * 3
    heard = await converse(server.base_url, START, *waits, *chunked(samples_of(CLIPS[0])), {"type": "stop"})
    assert len(heard.of(wire.Pong)) == 3
    assert heard.text == CLIPS[0].text


async def test_sessions_at_once_do_not_mix(server: RunningServer) -> None:
    clips = CLIPS[:8]
    heard = await asyncio.gather(*(speak(server.base_url, clip) for clip in clips))
    assert [one.text for one in heard] == [clip.text for clip in clips]
    assert len({one.recording_id for one in heard}) == len(clips)


async def test_a_client_that_vanishes_leaves_its_audio_and_its_words(server: RunningServer) -> None:
    from websockets.asyncio.client import connect

    clip = CLIPS[6]
    async with connect(server.base_url.replace("http", "ws", 1) + "/ws/s2t", compression=None) as connection:
        await connection.send('{"type": "start", "sample_rate": 16000}')
        ready = wire.parse_server_message(str(await connection.recv()))
        assert isinstance(ready, wire.Ready)
        for chunk in chunked(samples_of(clip)):
            await connection.send(chunk)
        while not isinstance(wire.parse_server_message(str(await connection.recv())), wire.Final):
            pass
        connection.transport.abort()
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        for _ in range(100):
            recording = (await client.get(f"/api/v1/recordings/{ready.recording_id}")).json()
            if recording["duration_ms"] > 0:
                break
            await asyncio.sleep(0.1)
        text = (await client.get(f"/api/v1/recordings/{ready.recording_id}/transcript?format=txt")).text
    assert recording["state"] == "recording"  # whoever comes back goes on with it: test_resume.py
    assert recording["duration_ms"] > 0
    assert text.split("\n")[0] == clip.segments[0]


async def test_real_speech_of_many_formats_gives_recordings_as_long_as_the_clips(server: RunningServer) -> None:
    if not SHARED_AUDIO.is_dir():
        pytest.skip("needs the real speech beside the project, ../shared/audio, which is not there")
    for name in ("fmt-jfk-44k1.m4a", "common_voice_en_651325.mp3", "fleurs-en-000.ogg", "fmt-sr-stereo24.flac"):
        samples = np.concatenate(list(decode_file(SHARED_AUDIO / name)))
        heard = await converse(server.base_url, START, *chunked(samples), {"type": "stop"})
        assert heard.of(wire.Ack)[-1].samples == len(samples), name
        assert np.array_equal(await stored_audio(server, heard.recording_id), samples), name
