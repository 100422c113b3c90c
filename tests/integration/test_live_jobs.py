"""A live recording that ends gets its job in the same transaction: once for each end, and none without words."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import replace

import httpx
import pytest

from gateway.follow_up import finish
from gateway.wiring import Gateway, open_gateway
from parley.embedded.server import RunningServer
from parley.errors import BackendError
from parley.jobs import Job
from parley.store import RecordingWriter, Superseded
from parley.store.jobs import Jobs
from parley.store.recordings import AudioPart
from parley.transcript import Segment, Word
from tests.conftest import CLIPS
from tests.integration.live import speak
from tests.integration.stores import own_database
from tests.integration.ways_in import Place


@pytest.fixture(scope="module")
def place(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with own_database(server) as url:
        yield Place(url, tmp_path_factory.mktemp("blobs"))


@pytest.fixture
async def gateway(place: Place) -> AsyncIterator[Gateway]:
    async with open_gateway(place.settings()) as gateway:
        yield gateway


async def recorded(gateway: Gateway, *texts: str) -> RecordingWriter:
    """A recording with a second of audio, and a final for each text."""
    writer = RecordingWriter.new(gateway.pool, "alice")
    await writer.create()
    await writer.add_part(AudioPart(0, 16_000, "none.pcm"))
    await say(writer, *texts)
    return writer


async def say(writer: RecordingWriter, *texts: str, first: int = 0) -> None:
    for number, text in enumerate(texts, first):
        words = (Word(text, 0, 800, 0.9),) if text else ()
        await writer.add_segment(Segment(number, 0, 800, words, "en", 0.9), resume_at=800, continues=False)


async def jobs_of(gateway: Gateway, writer: RecordingWriter) -> list[Job]:
    return await Jobs(gateway.pool, "alice").page(count=9, recording_id=writer.recording_id)


@pytest.mark.parametrize("state", ["finished", "interrupted"])
async def test_its_end_makes_a_job_once(gateway: Gateway, state: str) -> None:
    writer = await recorded(gateway, "hello")
    for _ in range(2):  # the answer to the first was lost
        await finish(gateway, writer, "finished" if state == "finished" else "interrupted")
    [job] = await jobs_of(gateway, writer)
    assert (job.pipeline, job.state, job.priority) == (("summarise", "index", "notify"), "queued", "normal")
    assert (await gateway.recordings("alice").get(writer.recording_id)).state == state


async def test_a_recording_without_words_gets_none(gateway: Gateway) -> None:
    for texts in ([], ["", ""]):
        writer = await recorded(gateway, *texts)
        await finish(gateway, writer, "finished")
        assert await jobs_of(gateway, writer) == []


async def test_an_end_behind_new_words_makes_another_job_and_one_without_does_not(gateway: Gateway) -> None:
    writer = await recorded(gateway, "hello")
    await finish(gateway, writer, "interrupted")
    back = await RecordingWriter.take_over(gateway.pool, "alice", writer.recording_id)
    await finish(gateway, back, "interrupted")
    assert len(await jobs_of(gateway, writer)) == 1
    again = await RecordingWriter.take_over(gateway.pool, "alice", writer.recording_id)
    await say(again, "world", first=1)
    await finish(gateway, again, "finished")
    assert len(await jobs_of(gateway, writer)) == 2


async def test_a_session_that_lost_its_recording_makes_no_job(gateway: Gateway) -> None:
    writer = await recorded(gateway, "hello")
    await RecordingWriter.take_over(gateway.pool, "alice", writer.recording_id)
    with pytest.raises(Superseded):
        await finish(gateway, writer, "finished")
    assert await jobs_of(gateway, writer) == []


async def test_a_recording_is_not_closed_where_its_job_cannot_be_made(gateway: Gateway) -> None:
    """They are written together: then both are tried again."""
    writer = await recorded(gateway, "hello")

    async def away(_connection: object) -> None:
        raise BackendError("PostgreSQL does not answer.")

    with pytest.raises(BackendError):
        await writer.finish("finished", then=away)
    assert (await gateway.recordings("alice").get(writer.recording_id)).state == "recording"


@pytest.mark.parametrize("pipelines", [{"live": ("sing",)}, {"live": ("index", "summarise", "index")}, {"live": ()}])
async def test_settings_that_are_wrong_keep_no_recording_from_ending(
    gateway: Gateway, pipelines: Mapping[str, tuple[str, ...]]
) -> None:
    writer = await recorded(gateway, "hello")
    await finish(replace(gateway, pipelines=pipelines), writer, "finished")
    assert (await gateway.recordings("alice").get(writer.recording_id)).state == "finished"
    assert await jobs_of(gateway, writer) == []


async def test_a_session_that_is_stopped_leaves_a_job(server: RunningServer) -> None:
    heard = await speak(server.base_url, CLIPS[0])
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        found = (await client.get("/api/v1/jobs", params={"recording": heard.recording_id})).json()["jobs"]
    assert [job["pipeline"] for job in found] == [["summarise", "index", "notify"]]
