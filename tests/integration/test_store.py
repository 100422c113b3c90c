"""The record in PostgreSQL: one owner never sees another's, and doing a thing twice changes nothing."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from parley import store
from parley.embedded.server import RunningServer
from parley.errors import BackendError, NotFound
from parley.store.recordings import AudioPart, Recordings
from parley.transcript import Segment, Word
from tests.integration.stores import database_url

SEGMENT = Segment(0, 100, 5000, (Word("Hé", 100, 200, 0.5), Word("llo", 200, 300, 0.25, joins=True)), "en", 0.5, True)


@pytest.fixture
async def pool(server: RunningServer) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(database_url(server))
    yield pool
    await pool.close()


@pytest.fixture
def mine(pool: asyncpg.Pool) -> Recordings:
    return Recordings(pool, "alice")


@pytest.fixture
def yours(pool: asyncpg.Pool) -> Recordings:
    return Recordings(pool, "bob")


async def test_what_is_stored_comes_back_as_it_was(mine: Recordings) -> None:
    made = await mine.create(title="A talk")
    await mine.add_part(made, AudioPart(0, 5000, "k1"))
    await mine.add_segment(made, SEGMENT)
    await mine.finish(made, "finished")
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
    assert await mine.parts(made, 0, 10**9) == [AudioPart(0, 5000, "k1")]


async def test_nothing_of_one_owner_is_seen_or_changed_by_another(mine: Recordings, yours: Recordings) -> None:
    made = await mine.create(title="secret")
    await mine.add_part(made, AudioPart(0, 10, "k"))
    await mine.add_segment(made, SEGMENT)
    for attempt in (yours.get(made), yours.rename(made, "x"), yours.delete(made)):
        with pytest.raises(NotFound):
            await attempt
    assert await yours.segments(made) == []
    assert await yours.parts(made, 0, 10**9) == []
    assert made not in [one.id for one in await yours.page(count=200)]
    await yours.add_part(made, AudioPart(10, 20, "stolen"))
    await yours.add_segment(made, Segment(7, 0, 1))
    await yours.finish(made, "finished")
    await yours.touch(made)
    unchanged = await mine.get(made)
    assert (unchanged.title, unchanged.state, unchanged.samples) == ("secret", "recording", 10)
    assert [segment.number for segment in await mine.segments(made)] == [0]
    assert len(await mine.parts(made, 0, 10**9)) == 1


async def test_a_final_never_changes_and_a_part_is_written_once(mine: Recordings) -> None:
    made = await mine.create()
    await mine.add_segment(made, SEGMENT)
    await mine.add_segment(made, Segment(0, 0, 1, (), "de"))
    assert await mine.segments(made) == [SEGMENT]
    await mine.add_part(made, AudioPart(0, 10, "k"))
    await mine.add_part(made, AudioPart(0, 10, "k"))
    assert await mine.parts(made, 0, 10**9) == [AudioPart(0, 10, "k")]
    assert (await mine.get(made)).samples == 10


async def test_a_recording_whose_gateway_is_silent_counts_as_interrupted(mine: Recordings, pool: asyncpg.Pool) -> None:
    made = await mine.create()
    await pool.execute("UPDATE recordings SET alive_at = now() - interval '31 seconds' WHERE id = $1", made)
    assert (await mine.get(made)).state == "interrupted"
    await mine.touch(made)
    assert (await mine.get(made)).state == "recording"


async def test_migrating_twice_changes_nothing(server: RunningServer) -> None:
    await store.migrate(database_url(server))
    await store.migrate(database_url(server))


async def test_a_database_that_does_not_answer_is_a_backend_error(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="PostgreSQL does not answer"):
        await store.connect(f"postgresql://postgres@/parley?host={tmp_path}")
