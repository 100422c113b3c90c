"""The step `transcribe`, through a real engine with the miniature Whisper, real PostgreSQL and a real folder."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from batch.claims import Lease, LeaseLost
from batch.pipeline import StepContext
from batch.retry import classify
from batch.steps.transcribe import transcribe
from batch.transcription import record
from batch.transcription.choose import open_transcriber
from batch.transcription.engines import open_engines
from batch.transcription.record import flac
from batch.transcription.same import UnderWay
from batch.transcription.transcriber import quality_of
from parley.audio import SAMPLE_RATE, Samples
from parley.durable import blob_prefix
from parley.embedded.server import RunningServer
from parley.errors import ClientError, EngineError
from parley.jobs import JobOptions
from parley.settings import GatewaySettings, Settings
from parley.store import RecordingWriter
from parley.store.jobs import Jobs
from parley.store.recordings import AudioPart, Recordings
from parley.store.writing import Superseded
from tests.conftest import CLIPS
from tests.integration.stores import own_database
from tests.integration.transcribing import Desk, desk, spoken

PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452")


@pytest.fixture(scope="module")
def database(server: RunningServer) -> Iterator[str]:
    with own_database(server) as url:
        yield url


def settings_for(*urls: str) -> Settings:
    return Settings(gateway=GatewaySettings(engine_urls=urls))


@pytest.fixture
async def it(server: RunningServer, database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    settings = settings_for(server.places["engine"])
    async with open_transcriber(settings) as transcriber, desk(database, tmp_path, transcriber, settings) as opened:
        yield opened


@pytest.fixture(scope="module")
def talk() -> Samples:
    """Some 15 s."""
    return spoken(0, 1, 2, 3, 4)


TALK = " ".join(CLIPS[clip].text for clip in range(5))


async def test_a_file_becomes_a_recording_with_audio_and_a_transcript(it: Desk, talk: Samples) -> None:
    recording_id = await it.hand_in(flac(talk), name="talk.flac")
    result = await it.attempt()
    segments = await it.segments(recording_id)
    assert " ".join(segment.text for segment in segments) == TALK
    assert [segment.number for segment in segments] == list(range(len(segments)))
    assert all(0 <= word.start <= word.end <= len(talk) for segment in segments for word in segment.words)
    np.testing.assert_array_equal(await it.audio(recording_id), talk)
    assert await it.state(recording_id) == "finished"
    assert result.value == {
        "audio_s": round(len(talk) / SAMPLE_RATE, 3),
        "segments": len(segments),
        "recognizer": "faster-whisper",
        "model": result.value["model"],
        "device": "cpu",
    }
    assert result.usage is not None
    assert 0 < result.usage["audio_s"] < len(talk) / SAMPLE_RATE
    [job] = await Jobs(it.pool, "alice").page(count=5)
    assert job.state == "succeeded"


def wav(samples: Samples) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format="WAV")
    return file.getvalue()


class Killed(BaseException):
    """The worker dies here."""


class DyingLease(Lease):
    """Of a worker that dies at its n-th transaction: before it, or, `late`, when it is committed."""

    left = 0
    late = False

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        self.left -= 1
        if self.left < 0 and not self.late:
            raise Killed
        async with super().transaction() as connection:
            yield connection
        if self.left < 0:
            raise Killed


@pytest.mark.parametrize("late", [False, True], ids=["before", "behind"])
async def test_killed_anywhere_it_goes_on_where_it_was_and_nothing_is_there_twice(
    it: Desk, talk: Samples, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "PART", 3 * SAMPLE_RATE)
    monkeypatch.setattr(record, "_AT_LEAST_EVERY_S", 0.0)
    undisturbed = await it.hand_in(flac(talk))
    await it.attempt()
    disturbed = await it.hand_in(flac(talk), options={"vocabulary": ["other"]})  # so that it is not linked
    for transactions in range(100):
        lease = await it.claim()
        lease.__class__, lease.left, lease.late = DyingLease, transactions, late  # type: ignore[attr-defined]
        try:
            await it.attempt(lease)
            break
        except Killed:
            pass
    assert transactions > 5
    expected, found = await it.segments(undisturbed), await it.segments(disturbed)
    for before, after in zip(expected, found, strict=True):
        assert (before.number, before.start, before.end, before.text) == (
            after.number,
            after.start,
            after.end,
            after.text,
        )
        assert [(word.start, word.end) for word in before.words] == [(word.start, word.end) for word in after.words]
    np.testing.assert_array_equal(await it.audio(disturbed), talk)
    parts = await Recordings(it.pool, "alice").parts(disturbed, 0, len(talk))
    assert [part.start for part in parts] == list(range(0, len(talk), 3 * SAMPLE_RATE))
    keys = await it.tools.blobs.keys(blob_prefix(disturbed))
    assert sorted(keys) == [part.blob_key for part in parts]


async def test_a_worker_that_lost_its_step_in_the_middle_writes_nothing_more(it: Desk, talk: Samples) -> None:
    recording_id = await it.hand_in(flac(talk))
    first = await it.claim()
    await it.attempt()
    before = await it.segments(recording_id)
    with pytest.raises(LeaseLost):
        await it.attempt(first)
    assert await it.segments(recording_id) == before


async def test_a_file_that_ends_early_is_written_down_as_far_as_it_goes_and_says_so(it: Desk, talk: Samples) -> None:
    data = flac(talk)
    recording_id = await it.hand_in(data[: len(data) // 2], name="cut.flac")
    result = await it.attempt()
    assert "'cut.flac' ends early" in result.value["ends_early"]
    assert await it.state(recording_id) == "finished"
    assert TALK.startswith((await it.text(recording_id)).rsplit(" ", 2)[0])


async def test_silence_is_finished_without_a_segment_and_says_so(it: Desk) -> None:
    recording_id = await it.hand_in(flac(np.zeros(90 * SAMPLE_RATE, np.int16)))
    result = await it.attempt()
    assert (result.value["segments"], result.value["no_speech"], result.value["audio_s"]) == (0, True, 90.0)
    assert await it.state(recording_id) == "finished"
    assert len(await it.audio(recording_id)) == 90 * SAMPLE_RATE


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        (PNG, "no_audio", "'talk.mp3' is a PNG image, no audio."),
        (b"hello" * 100, "undecodable", "'talk.mp3' is no audio that can be decoded."),
        (b"", "no_source", "This recording did not come as a file, or its file is not there."),
        (wav(np.zeros(0, np.int16)), "no_audio", "'talk.mp3' holds no audio."),
    ],
    ids=["picture", "text", "nothing", "no samples"],
)
async def test_what_is_no_audio_fails_for_good_in_plain_words(it: Desk, data: bytes, code: str, said: str) -> None:
    recording_id = await it.hand_in(data, name="talk.mp3")
    lease = await it.claim()
    with pytest.raises(ClientError) as raised:
        await transcribe(StepContext(lease, it.tools))
    failure = classify(raised.value)
    assert (failure.error_class, failure.code, failure.message) == ("permanent", code, said)
    assert await it.state(recording_id) == "interrupted"


async def test_a_language_that_the_model_does_not_know_fails_for_good(it: Desk, talk: Samples) -> None:
    recording_id = await it.hand_in(flac(talk), options={"language": "fr"})
    with pytest.raises(ClientError, match="does not know the language 'fr'"):
        await it.attempt()
    assert await it.state(recording_id) == "interrupted"


async def test_a_file_that_is_taken_up_again_is_written_under_a_new_fence(it: Desk, talk: Samples) -> None:
    recording_id = await it.hand_in(flac(talk), options={"language": "fr"})
    lease = await it.claim()
    with pytest.raises(ClientError) as raised:
        await it.attempt(lease)
    await lease.fail(classify(raised.value))
    before = await RecordingWriter.current(it.pool, "alice", recording_id)
    await it.ask_again(recording_id)
    await it.attempt()
    assert await it.state(recording_id) == "finished"
    parts = await Recordings(it.pool, "alice").parts(recording_id, 0, len(talk))
    assert {part.blob_key.rpartition("-")[2] for part in parts} == {f"{before.fence + 1}.flac"}
    with pytest.raises(Superseded):
        await before.add_part(AudioPart(len(talk), len(talk) + 1, "late"))


async def test_with_no_engine_the_job_is_delayed_and_the_recording_waits(
    database: str, tmp_path: Path, talk: Samples
) -> None:
    settings = settings_for("http://127.0.0.1:1")
    async with open_engines(settings) as engines, desk(database, tmp_path, engines, settings) as it:
        recording_id = await it.hand_in(flac(talk))
        with pytest.raises(EngineError) as raised:
            await it.attempt()
        assert classify(raised.value).error_class == "delayed"
        assert await it.state(recording_id) == "processing"


async def test_the_same_audio_is_linked_and_has_its_own_copy(it: Desk, talk: Samples) -> None:
    first = await it.hand_in(flac(talk))
    await it.attempt()
    second = await it.hand_in(flac(talk), name="again.flac")
    result = await it.attempt()
    assert result.value["same_as"] == first
    assert result.usage is None
    assert (await Recordings(it.pool, "alice").get(second)).same_as == first
    assert await it.segments(second) == await it.segments(first)
    await it.tools.blobs.delete_prefix(blob_prefix(first))
    np.testing.assert_array_equal(await it.audio(second), talk)


@pytest.mark.parametrize(
    ("owner", "options"), [("bob", None), ("alice", {"language": "en"})], ids=["another owner", "other settings"]
)
async def test_what_only_looks_the_same_is_not_linked(
    it: Desk, talk: Samples, owner: str, options: dict[str, Any] | None
) -> None:
    await it.hand_in(flac(talk))
    await it.attempt()
    second = await it.hand_in(flac(talk), owner, options=options)
    result = await it.attempt()
    assert "same_as" not in result.value
    assert await it.text(second, owner) == TALK


async def test_while_the_same_audio_is_under_way_the_second_job_waits_for_it(it: Desk, talk: Samples) -> None:
    await it.hand_in(flac(talk))
    first = await it.claim()
    key_is_taken = asyncio.Event()
    same_content = first.same_content

    async def noting(content_key: str) -> str | None:
        found = await same_content(content_key)
        key_is_taken.set()
        return found

    first.same_content = noting  # type: ignore[method-assign]
    running = asyncio.create_task(it.attempt(first))
    await key_is_taken.wait()
    second = await it.hand_in(flac(talk))
    lease = await it.claims.claim("stt", "w", 60.0)
    assert lease is not None
    with pytest.raises(UnderWay) as raised:
        await transcribe(StepContext(lease, it.tools))
    assert classify(raised.value).error_class == "delayed"
    assert await it.state(second) == "processing"
    await running
    result = await it.attempt(lease)
    assert result.value["same_as"] == first.step.recording_id


async def test_a_recording_that_is_deleted_meanwhile_leaves_nothing_in_storage(it: Desk, talk: Samples) -> None:
    recording_id = await it.hand_in(flac(talk))
    lease = await it.claim()
    same_content = lease.same_content

    async def then_deleted(content_key: str) -> str | None:
        found = await same_content(content_key)
        await Recordings(it.pool, "alice").delete(recording_id)
        return found

    lease.same_content = then_deleted  # type: ignore[method-assign]
    with pytest.raises(LeaseLost):
        await it.attempt(lease)
    assert await it.tools.blobs.keys(blob_prefix(recording_id)) == []


async def test_a_recording_that_is_finished_is_left_as_it_is(it: Desk, talk: Samples) -> None:
    recording_id = await it.hand_in(flac(talk))
    lease = await it.claim()
    await it.pool.execute("UPDATE recordings SET state = 'finished' WHERE id = $1::uuid", recording_id)
    result = await it.attempt(lease)
    assert result.value == {"audio_s": 0.0, "segments": 0, "no_speech": True} or result.value["segments"] == 0


def test_urgent_jobs_are_quick_and_others_good_unless_somebody_says_otherwise() -> None:
    assert [quality_of(JobOptions(), priority) for priority in ("urgent", "normal", "bulk")] == [
        "fast",
        "accurate",
        "accurate",
    ]
    assert quality_of(JobOptions(quality="fast"), "bulk") == "fast"
