"""Upkeep over all owners: each recording that needs something is given to one gateway, and only while it needs it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import asyncpg
import pytest

from parley import store
from parley.embedded.server import RunningServer
from parley.store import RecordingWriter, Superseded
from parley.store.recordings import AudioPart, Recordings
from parley.store.upkeep import Claim, Upkeep
from tests.integration.stores import own_database

PARTS = [AudioPart(0, 10, "a"), AudioPart(10, 30, "b", ends_segment=True)]
ONE = AudioPart(0, 30, "c.flac", ends_segment=True)


@pytest.fixture(scope="module")
def database(server: RunningServer) -> Iterator[str]:
    with own_database(server) as url:
        yield url


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(database)
    await pool.execute("TRUNCATE recordings CASCADE")
    yield pool
    await pool.close()


@pytest.fixture
def upkeep(pool: asyncpg.Pool) -> Upkeep:
    return Upkeep(pool)


async def opened(pool: asyncpg.Pool, owner: str = "alice") -> RecordingWriter:
    writer = RecordingWriter.new(pool, owner)
    await writer.create()
    for part in PARTS:
        await writer.add_part(part)
    return writer


async def closed(pool: asyncpg.Pool, owner: str = "alice") -> RecordingWriter:
    writer = await opened(pool, owner)
    await writer.finish("finished")
    return writer


async def silent_for(pool: asyncpg.Pool, seconds: float) -> None:
    await pool.execute("UPDATE recordings SET alive_at = now() - make_interval(secs => $1)", seconds)


async def claimed(upkeep: Upkeep) -> Claim:
    claim = await upkeep.claim_uncompacted(0)
    assert claim is not None
    return claim


async def test_an_abandoned_recording_is_given_to_one_gateway(pool: asyncpg.Pool, upkeep: Upkeep) -> None:
    made = {(owner, (await opened(pool, owner)).recording_id) for owner in ("alice", "bob")}
    assert await upkeep.claim_abandoned(100) is None
    await silent_for(pool, 101)
    given = await asyncio.gather(*(upkeep.claim_abandoned(100) for _ in range(6)))
    assert sorted((one.owner, one.recording_id) for one in given if one) == sorted(made)


async def test_who_claims_an_abandoned_recording_has_it_and_who_comes_back_has_it_then(
    pool: asyncpg.Pool, upkeep: Upkeep
) -> None:
    absent = await opened(pool)
    await absent.stop()
    await silent_for(pool, 101)
    caretaker = await upkeep.claim_abandoned(100)
    assert caretaker is not None
    assert (caretaker.fence, caretaker.samples, caretaker.stopped) == (2, 30, True)
    with pytest.raises(Superseded):
        await absent.touch()
    back = await RecordingWriter.take_over(pool, "alice", absent.recording_id)
    assert not back.stopped
    with pytest.raises(Superseded):
        await caretaker.finish("interrupted")


async def test_what_never_had_a_sample_stays_as_long_as_its_client_may_come_back(
    pool: asyncpg.Pool, upkeep: Upkeep
) -> None:
    for state in ("recording", "interrupted", "file"):
        writer = RecordingWriter.new(pool, "alice")
        await writer.create()
        if state != "recording":
            await writer.finish("interrupted")
        if state == "file":  # nobody comes back to it, but it can be tried again
            await pool.execute("UPDATE recordings SET origin = 'upload' WHERE id = $1", UUID(writer.recording_id))
    await silent_for(pool, 1000)
    await upkeep.discard_empty(1001)
    assert await pool.fetchval("SELECT count(*) FROM recordings") == 3
    await upkeep.discard_empty(999)
    left = await pool.fetch("SELECT state, origin FROM recordings ORDER BY origin")
    assert [tuple(row) for row in left] == [("recording", "live"), ("interrupted", "upload")]
    assert [one.state for one in await Recordings(pool, "alice").page(count=9)] == ["interrupted"]


async def test_a_closed_recording_is_never_abandoned(pool: asyncpg.Pool, upkeep: Upkeep) -> None:
    await closed(pool)
    await silent_for(pool, 1000)
    assert await upkeep.claim_abandoned(100) is None


async def test_only_a_recording_that_was_closed_for_a_while_is_compacted(pool: asyncpg.Pool, upkeep: Upkeep) -> None:
    writer = await opened(pool)
    assert await upkeep.claim_uncompacted(0) is None
    await writer.finish("interrupted")
    assert await upkeep.claim_uncompacted(60) is None
    await silent_for(pool, 61)
    assert await upkeep.claim_uncompacted(60) == Claim("alice", writer.recording_id, fence=1, attempt=1, samples=30)


async def test_a_claim_is_given_to_one_gateway_and_again_later_each_time(pool: asyncpg.Pool, upkeep: Upkeep) -> None:
    await closed(pool)
    given = await asyncio.gather(*(upkeep.claim_uncompacted(0) for _ in range(6)))
    assert len(list(filter(None, given))) == 1
    waits = []
    for attempt in range(2, 18):
        waits.append(await pool.fetchval("SELECT extract(epoch FROM compact_after - now()) FROM recordings"))
        assert await upkeep.claim_uncompacted(0) is None
        await pool.execute("UPDATE recordings SET compact_after = now()")
        assert (await claimed(upkeep)).attempt == attempt
    assert [round(float(wait) / 60) for wait in waits[:4]] == [1, 2, 4, 8]
    assert float(waits[-1]) <= 24 * 3600


async def test_a_long_recording_has_more_time(pool: asyncpg.Pool, upkeep: Upkeep) -> None:
    await closed(pool)
    await pool.execute("UPDATE recordings SET samples = 16000::bigint * 3600 * 10")
    await claimed(upkeep)
    wait_s = await pool.fetchval("SELECT extract(epoch FROM compact_after - now()) FROM recordings")
    assert 60 + 355 < wait_s < 60 + 365


async def test_one_part_takes_the_place_of_all(pool: asyncpg.Pool, upkeep: Upkeep) -> None:
    writer = await closed(pool)
    claim = await claimed(upkeep)
    assert await upkeep.parts(claim) == PARTS
    assert await upkeep.replace_parts(claim, PARTS, ONE)
    assert await Recordings(pool, "alice").parts(writer.recording_id, 0, 30) == [ONE]


async def test_what_is_compacted_is_not_claimed_again_until_somebody_came_back(
    pool: asyncpg.Pool, upkeep: Upkeep
) -> None:
    writer = await closed(pool)
    await upkeep.mark_compacted(await claimed(upkeep))
    assert await upkeep.claim_uncompacted(0) is None
    later = await RecordingWriter.take_over(pool, "alice", writer.recording_id)
    await later.finish("finished")
    assert (await claimed(upkeep)).fence == 2


async def test_a_claim_is_lost_when_somebody_comes_back(pool: asyncpg.Pool, upkeep: Upkeep) -> None:
    writer = await closed(pool)
    claim = await claimed(upkeep)
    await RecordingWriter.take_over(pool, "alice", writer.recording_id)
    await lost(pool, upkeep, claim)


async def test_a_claim_is_lost_when_the_recording_is_open_again(pool: asyncpg.Pool, upkeep: Upkeep) -> None:
    await closed(pool)
    claim = await claimed(upkeep)
    await pool.execute("UPDATE recordings SET state = 'recording'")
    await lost(pool, upkeep, claim)


async def test_a_claim_is_lost_when_another_attempt_is_made(pool: asyncpg.Pool, upkeep: Upkeep) -> None:
    await closed(pool)
    claim = await claimed(upkeep)
    await pool.execute("UPDATE recordings SET compact_after = now()")
    await claimed(upkeep)
    await lost(pool, upkeep, claim)


async def lost(pool: asyncpg.Pool, upkeep: Upkeep, claim: Claim) -> None:
    assert not await upkeep.replace_parts(claim, PARTS, ONE)
    await upkeep.mark_compacted(claim)
    assert await upkeep.parts(claim) == PARTS
    assert await pool.fetchval("SELECT compacted_fence FROM recordings") == 0


async def test_nothing_is_replaced_when_the_parts_are_others_than_were_read(pool: asyncpg.Pool, upkeep: Upkeep) -> None:
    await closed(pool)
    claim = await claimed(upkeep)
    await pool.execute("UPDATE audio_parts SET blob_key = 'other' WHERE start_sample = 0")
    assert not await upkeep.replace_parts(claim, PARTS, ONE)
    assert len(await upkeep.parts(claim)) == 2


async def test_a_deleted_recording_has_no_claim(pool: asyncpg.Pool, upkeep: Upkeep) -> None:
    writer = await closed(pool)
    claim = await claimed(upkeep)
    await Recordings(pool, "alice").delete(writer.recording_id)
    assert not await upkeep.replace_parts(claim, PARTS, ONE)
