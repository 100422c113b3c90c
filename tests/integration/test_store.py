"""The record in PostgreSQL: one owner never sees another's, and doing a thing twice changes nothing."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from parley import store
from parley.embedded.server import RunningServer
from parley.errors import BackendError, NotFound
from parley.store import RecordingWriter, Superseded
from parley.store.recordings import AudioPart, Recordings
from parley.transcript import LastFinal, Segment, Word

SEGMENT = Segment(0, 100, 5000, (Word("Hé", 100, 200, 0.5), Word("llo", 200, 300, 0.25, joins=True)), "en", 0.5, True)


@pytest.fixture
async def pool(server: RunningServer) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(server.database_url)
    yield pool
    await pool.close()


@pytest.fixture
def mine(pool: asyncpg.Pool) -> Recordings:
    return Recordings(pool, "alice")


@pytest.fixture
def yours(pool: asyncpg.Pool) -> Recordings:
    return Recordings(pool, "bob")


async def begin(pool: asyncpg.Pool, title: str | None = None) -> RecordingWriter:
    """A recording of Alice."""
    writer = RecordingWriter.new(pool, "alice", {"language": "en"})
    await writer.create(title=title)
    return writer


async def test_what_is_stored_comes_back_as_it_was(pool: asyncpg.Pool, mine: Recordings) -> None:
    writer = await begin(pool, title="A talk")
    made = writer.recording_id
    await writer.add_part(AudioPart(0, 5000, "k1"))
    await writer.add_segment(SEGMENT, resume_at=5100, continues=False)
    await writer.finish("finished")
    recording = await mine.get(made)
    assert (recording.title, recording.state, recording.samples, recording.language) == (
        "A talk",
        "finished",
        5000,
        "en",
    )
    assert recording.preview == "Héllo"
    assert (datetime.now(UTC) - recording.created_at).total_seconds() < 60
    assert await mine.segments(made) == [SEGMENT]
    assert await mine.segments(made, first=1) == []
    assert await mine.parts(made, 0, 10**9) == [AudioPart(0, 5000, "k1")]
    assert await writer.last_final() == LastFinal(0, 5000, 5100, continues=False)


async def test_nothing_of_one_owner_is_seen_or_changed_by_another(
    pool: asyncpg.Pool, mine: Recordings, yours: Recordings
) -> None:
    writer = await begin(pool, title="secret")
    made = writer.recording_id
    await writer.add_part(AudioPart(0, 10, "k"))
    await writer.add_segment(SEGMENT, resume_at=5000, continues=False)
    thief = RecordingWriter(pool, "bob", made)
    for attempt in (
        yours.get(made),
        yours.rename(made, "x"),
        yours.delete(made),
        RecordingWriter.take_over(pool, "bob", made),
        thief.add_part(AudioPart(10, 20, "stolen")),
        thief.add_segment(Segment(7, 0, 1), resume_at=1, continues=False),
        thief.finish("finished"),
        thief.touch(),
        thief.discard(),
    ):
        with pytest.raises(NotFound):
            await attempt
    assert await yours.segments(made) == []
    assert await yours.parts(made, 0, 10**9) == []
    assert made not in [one.id for one in await yours.page(count=200)]
    unchanged = await mine.get(made)
    assert (unchanged.title, unchanged.state, unchanged.samples) == ("secret", "recording", 10)
    assert [segment.number for segment in await mine.segments(made)] == [0]
    assert len(await mine.parts(made, 0, 10**9)) == 1


async def test_a_final_never_changes_and_a_part_is_written_once(pool: asyncpg.Pool, mine: Recordings) -> None:
    writer = await begin(pool)
    made = writer.recording_id
    await writer.add_segment(SEGMENT, resume_at=5000, continues=True)
    await writer.add_segment(Segment(0, 0, 1, (), "de"), resume_at=1, continues=False)
    assert await mine.segments(made) == [SEGMENT]
    assert await writer.last_final() == LastFinal(0, 5000, 5000, continues=True)
    await writer.add_part(AudioPart(0, 10, "k"))
    await writer.add_part(AudioPart(0, 10, "k"))
    assert await mine.parts(made, 0, 10**9) == [AudioPart(0, 10, "k")]
    assert (await mine.get(made)).samples == 10
    await writer.mark_part(10)
    assert await mine.parts(made, 0, 10**9) == [AudioPart(0, 10, "k", ends_segment=True)]


async def test_a_part_that_leaves_a_gap_is_refused(pool: asyncpg.Pool) -> None:
    writer = await begin(pool)
    with pytest.raises(ValueError, match="does not begin at the durable end, 0"):
        await writer.add_part(AudioPart(5, 10, "k"))


async def test_of_two_that_have_a_recording_only_the_newer_writes(pool: asyncpg.Pool, mine: Recordings) -> None:
    older = await begin(pool)
    await older.add_part(AudioPart(0, 10, "k"))
    newer = await RecordingWriter.take_over(pool, "alice", older.recording_id)
    assert (newer.fence, newer.samples, newer.options, newer.stopped) == (2, 10, {"language": "en"}, False)
    for attempt in (
        older.add_part(AudioPart(10, 20, "late")),
        older.mark_part(10),
        older.add_segment(SEGMENT, resume_at=5000, continues=False),
        older.touch(),
        older.stop(),
        older.finish("finished"),
        older.discard(),
    ):
        with pytest.raises(Superseded):
            await attempt
    await newer.add_part(AudioPart(10, 20, "k2"))
    await newer.stop()
    assert (await mine.get(older.recording_id)).samples == 20
    back = await RecordingWriter.take_over(pool, "alice", older.recording_id)
    assert not back.stopped  # whoever comes back may say more


async def test_only_a_finished_recording_keeps_its_state_when_it_is_taken_over(
    pool: asyncpg.Pool, mine: Recordings
) -> None:
    writer = await begin(pool)
    await writer.finish("interrupted")
    writer = await RecordingWriter.take_over(pool, "alice", writer.recording_id)
    assert (await mine.get(writer.recording_id)).state == "recording"
    await writer.finish("finished")
    assert (await RecordingWriter.take_over(pool, "alice", writer.recording_id)).state == "finished"


async def test_a_recording_whose_gateway_is_silent_counts_as_interrupted(pool: asyncpg.Pool, mine: Recordings) -> None:
    writer = await begin(pool)
    made = writer.recording_id
    await pool.execute("UPDATE recordings SET alive_at = now() - interval '31 seconds' WHERE id = $1", made)
    assert (await mine.get(made)).state == "interrupted"
    await writer.touch()
    assert (await mine.get(made)).state == "recording"


async def test_migrating_twice_changes_nothing(server: RunningServer) -> None:
    await store.migrate(server.database_url)
    await store.migrate(server.database_url)


async def test_a_database_that_does_not_answer_is_a_backend_error(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="PostgreSQL does not answer"):
        await store.connect(f"postgresql://postgres@/parley?host={tmp_path}")
