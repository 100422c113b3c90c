"""A closed recording becomes one file. Whatever happens at whatever step, its audio is whole and nothing is left."""

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest

from gateway.compaction import Compactor
from parley import metrics, store
from parley.audio import SAMPLE_RATE, Samples
from parley.blobs import Blobs
from parley.durable import blob_prefix, read_recording
from parley.embedded.server import RunningServer
from parley.errors import BackendError, NotFound
from parley.store import Recordings, RecordingWriter
from parley.store.recordings import AudioPart
from tests.integration.stores import own_database

OWNER = "alice"
PART = SAMPLE_RATE // 4
SAMPLES = np.random.default_rng(3).integers(-32768, 32768, 8 * PART, dtype=np.int16)


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
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(f"file://{tmp_path}")


@pytest.fixture
def compactor(pool: asyncpg.Pool, blobs: Blobs) -> Compactor:
    return Compactor(pool, blobs, settled_s=0)


class Recorded:
    """A recording with real parts in real storage; it grows by sessions that come back."""

    def __init__(self, pool: asyncpg.Pool, blobs: Blobs, recording_id: str) -> None:
        self._pool = pool
        self._blobs = blobs
        self.recording_id = recording_id
        self.rows = Recordings(pool, OWNER)

    @classmethod
    async def new(cls, pool: asyncpg.Pool, blobs: Blobs, *, parts: int = 4) -> "Recorded":
        writer = RecordingWriter.new(pool, OWNER)
        await writer.create()
        made = cls(pool, blobs, writer.recording_id)
        await made._session(writer, parts)
        return made

    async def come_back(self, parts: int = 1) -> None:
        await self._session(await RecordingWriter.take_over(self._pool, OWNER, self.recording_id), parts)

    async def _session(self, writer: RecordingWriter, parts: int) -> None:
        for start in range(writer.samples, writer.samples + parts * PART, PART):
            key = self.key(start, start + PART, writer.fence)
            await self._blobs.put(key, SAMPLES[start : start + PART].tobytes())
            await writer.add_part(AudioPart(start, start + PART, key))
        await writer.finish("finished")

    def key(self, start: int, end: int, fence: int) -> str:
        return f"{blob_prefix(self.recording_id)}/audio/{start:012d}-{end:012d}-{fence}.pcm"

    async def delete(self) -> None:
        """As the REST API does it."""
        await self._blobs.delete_prefix(blob_prefix(self.recording_id))
        await self.rows.delete(self.recording_id)
        await self._blobs.delete_prefix(blob_prefix(self.recording_id))

    async def parts(self) -> list[AudioPart]:
        return await self.rows.parts(self.recording_id, 0, 2**40)

    async def keys(self) -> list[str]:
        return await self._blobs.keys(blob_prefix(self.recording_id))

    async def audio(self) -> Samples:
        samples = (await self.rows.get(self.recording_id)).samples
        listed = read_recording(
            self._blobs, lambda first, last: self.rows.parts(self.recording_id, first, last), 0, samples
        )
        return np.concatenate([block async for block in listed])

    async def assert_whole(self, samples: int) -> None:
        assert np.array_equal(await self.audio(), SAMPLES[:samples])

    async def assert_compact(self, samples: int) -> None:
        """One file, all of the audio, and nothing beside it."""
        (part,) = await self.parts()
        assert part.blob_key.endswith(".flac")
        assert await self.keys() == [part.blob_key]
        await self.assert_whole(samples)


async def retried(pool: asyncpg.Pool, compactor: Compactor) -> bool:
    """The next attempt, when its time has come."""
    await pool.execute("UPDATE recordings SET compact_after = now()")
    return await compactor.compact_one()


async def test_a_closed_recording_becomes_one_file(pool: asyncpg.Pool, blobs: Blobs, compactor: Compactor) -> None:
    recorded = await Recorded.new(pool, blobs)
    assert await compactor.compact_one()
    await recorded.assert_compact(4 * PART)
    assert not await compactor.compact_one()


async def test_what_was_said_after_coming_back_joins_the_file(
    pool: asyncpg.Pool, blobs: Blobs, compactor: Compactor
) -> None:
    recorded = await Recorded.new(pool, blobs)
    await compactor.compact_one()
    await recorded.come_back()
    assert [part.blob_key[-5:] for part in await recorded.parts()] == [".flac", "2.pcm"]
    await recorded.assert_whole(5 * PART)
    assert await compactor.compact_one()
    await recorded.assert_compact(5 * PART)


async def test_a_segment_that_ended_with_the_last_part_still_ends_there(
    pool: asyncpg.Pool, blobs: Blobs, compactor: Compactor
) -> None:
    recorded = await Recorded.new(pool, blobs)
    await pool.execute("UPDATE audio_parts SET ends_segment = start_sample > $1", 2 * PART)
    await compactor.compact_one()
    assert [part.ends_segment for part in await recorded.parts()] == [True]


async def test_a_recording_without_audio_is_done_at_once(
    pool: asyncpg.Pool, blobs: Blobs, compactor: Compactor
) -> None:
    recorded = await Recorded.new(pool, blobs, parts=0)
    assert await compactor.compact_one()
    assert not await retried(pool, compactor)
    assert await recorded.keys() == []


async def test_what_crashes_and_old_sessions_left_is_deleted_and_nothing_else(
    pool: asyncpg.Pool, blobs: Blobs, compactor: Compactor
) -> None:
    recorded = await Recorded.new(pool, blobs)
    folder = f"{blob_prefix(recorded.recording_id)}/audio"
    left = [
        "000000000000-000000001000.pcm",
        "000000000000-000000001000-1.pcm",
        "000000000000-000000001000-1.pcm.01234567.partial",
        "000000000000-000000001000-1-7.flac",
    ]
    kept = ["000000000000-000000001000-2.pcm", "000000000000-000000001000-2.pcm.01234567.partial", "notes.txt"]
    for name in left + kept:
        await blobs.put(f"{folder}/{name}", b"x")
    await compactor.compact_one()
    (part,) = await recorded.parts()
    assert sorted(await recorded.keys()) == sorted([part.blob_key, *(f"{folder}/{name}" for name in kept)])


@pytest.mark.parametrize("harm", ["gone", "cut", "unlisted"])
async def test_audio_that_is_not_whole_stays_as_it_is(
    pool: asyncpg.Pool, blobs: Blobs, compactor: Compactor, tmp_path: Path, harm: str
) -> None:
    recorded = await Recorded.new(pool, blobs)
    second = (await recorded.parts())[1].blob_key
    if harm == "gone":
        (tmp_path / second).unlink()
    elif harm == "cut":
        (tmp_path / second).write_bytes(b"")
    else:
        await pool.execute("DELETE FROM audio_parts WHERE blob_key = $1", second)
    before = sorted(await recorded.keys())
    assert await compactor.compact_one()
    assert sorted(await recorded.keys()) == before
    assert not await compactor.compact_one()


async def test_a_file_that_storage_garbles_never_replaces_the_parts(
    pool: asyncpg.Pool, blobs: Blobs, compactor: Compactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = await Recorded.new(pool, blobs)
    put_file = blobs.put_file

    async def garbled(key: str, file: Any) -> None:
        data = bytearray(file.read())
        data[len(data) // 2] ^= 1
        await blobs.put(key, bytes(data))

    monkeypatch.setattr(blobs, "put_file", garbled)
    assert await compactor.compact_one()
    assert len(await recorded.parts()) == len(await recorded.keys()) == 4
    monkeypatch.setattr(blobs, "put_file", put_file)
    assert await retried(pool, compactor)
    await recorded.assert_compact(4 * PART)


async def test_every_outcome_is_counted(pool: asyncpg.Pool, blobs: Blobs, compactor: Compactor) -> None:
    await Recorded.new(pool, blobs)
    counter = metrics.COMPACTIONS.labels("compacted")
    before = counter._value.get()
    await compactor.compact_one()
    assert counter._value.get() == before + 1


class Crash(BaseException):
    """The process dies: nothing of it runs any more."""


class Steps:
    """Stands before Blobs and Upkeep, and lets something happen before or after the `at`-th call of them."""

    def __init__(self, happening: Callable[[], Coroutine[Any, Any, None]], at: int, *, after: bool) -> None:
        self._happening = happening
        self._at = at
        self._after = after
        self.calls = 0
        self._happened: list[asyncio.Task[None]] = []

    def on(self, compactor: Compactor) -> None:
        for name in ("_blobs", "_upkeep"):
            setattr(compactor, name, _Observed(getattr(compactor, name), self))

    async def call(self, method: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
        mine = self.calls == self._at
        self.calls += 1
        if mine and not self._after:
            await self._happen()
        result = await method(*arguments)
        if mine and self._after:
            await self._happen()
        return result

    async def _happen(self) -> None:
        self._happened.append(asyncio.create_task(self._happening()))
        await asyncio.shield(self._happened[0])

    async def settled(self) -> None:
        """What happens comes to its end, also where the call that it came with was given up."""
        await asyncio.gather(*self._happened, return_exceptions=True)


class _Observed:
    def __init__(self, target: Any, steps: Steps) -> None:
        self._target = target
        self._steps = steps

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._target, name)
        if not inspect.iscoroutinefunction(method):
            return method
        return lambda *arguments: self._steps.call(method, *arguments)


Happening = Callable[[Recorded], Coroutine[Any, Any, None]]


async def at_every_step(
    pool: asyncpg.Pool, blobs: Blobs, happening: Happening, check: Callable[[Recorded], Awaitable[None]]
) -> int:
    """Compacts one recording after another, with `happening` at another step of each, then `check`; counts steps."""
    for step in range(100):
        for after in (False, True):
            recorded = await Recorded.new(pool, blobs, parts=2)
            compactor = Compactor(pool, blobs, settled_s=0)
            steps = Steps(lambda recorded=recorded: happening(recorded), step, after=after)  # type: ignore[misc]
            steps.on(compactor)
            with contextlib.suppress(Crash, BackendError):
                await compactor.compact_one()
            await steps.settled()
            await check(recorded)
        if steps.calls <= step:
            return step
    raise AssertionError("compaction does not end")


@pytest.mark.parametrize("error", [Crash(), BackendError("Away.", code="storage_unavailable")])
async def test_a_crash_or_outage_at_any_step_loses_nothing_and_leaves_nothing(
    pool: asyncpg.Pool, blobs: Blobs, compactor: Compactor, error: BaseException
) -> None:
    async def fail(_: Recorded) -> None:
        raise error

    async def check(recorded: Recorded) -> None:
        await recorded.assert_whole(2 * PART)
        while await retried(pool, compactor):
            pass
        await recorded.assert_compact(2 * PART)

    assert await at_every_step(pool, blobs, fail, check) > 10


async def test_a_client_that_comes_back_at_any_step_keeps_all_it_said(
    pool: asyncpg.Pool, blobs: Blobs, compactor: Compactor
) -> None:
    async def check(recorded: Recorded) -> None:
        samples = (await recorded.rows.get(recorded.recording_id)).samples
        await recorded.assert_whole(samples)
        while await retried(pool, compactor):
            pass
        await recorded.assert_compact(samples)

    assert await at_every_step(pool, blobs, Recorded.come_back, check) > 10


async def test_a_recording_deleted_at_any_step_leaves_nothing(
    pool: asyncpg.Pool, blobs: Blobs, compactor: Compactor
) -> None:
    async def check(recorded: Recorded) -> None:
        if await recorded.keys():  # its step never came: it was compacted
            await recorded.delete()
        with pytest.raises(NotFound):
            await recorded.rows.get(recorded.recording_id)
        assert await recorded.keys() == []
        assert not await retried(pool, compactor)

    assert await at_every_step(pool, blobs, Recorded.delete, check) > 10


async def test_two_gateways_never_spoil_each_others_work(pool: asyncpg.Pool, blobs: Blobs) -> None:
    """The claim of the first lapses at some step, and the second does it all; then the first goes on."""
    other = Compactor(pool, blobs, settled_s=0)

    async def lapse(_: Recorded) -> None:
        await retried(pool, other)

    async def check(recorded: Recorded) -> None:
        await recorded.assert_compact(2 * PART)

    assert await at_every_step(pool, blobs, lapse, check) > 10
