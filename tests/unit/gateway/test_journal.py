"""Durable audio: every sample once, acknowledged only when it is written, whatever storage does."""

import asyncio
import contextlib
from dataclasses import replace
from itertools import pairwise
from typing import cast

import numpy as np
import pytest

from gateway import journal as journal_module
from gateway.journal import Journal
from parley.blobs import Blobs
from parley.errors import BackendError, ParleyError
from parley.store import RecordingWriter, Superseded
from parley.store.recordings import AudioPart

PART_S = 0.01
PART = 160


class Storage:
    """Object storage and rows in memory; each write fails as many times as the script says."""

    recording_id, fence, samples = "r", 3, 0

    def __init__(self, *failures: bool) -> None:
        self.failures = iter(failures)
        self.blobs: dict[str, bytes] = {}
        self.parts: list[AudioPart] = []

    async def put(self, key: str, *pieces: bytes | memoryview) -> None:
        if next(self.failures, False):
            raise BackendError("Storage is away.", code="storage_unavailable")
        self.blobs[key] = b"".join(pieces)

    async def add_part(self, part: AudioPart) -> None:
        if next(self.failures, False):
            raise BackendError("The database is away.", code="database_unavailable")
        self.parts.append(part)

    async def mark_part(self, end: int) -> None:
        [at] = [index for index, part in enumerate(self.parts) if part.end == end]
        self.parts[at] = replace(self.parts[at], ends_segment=True)


def journal(storage: Storage, acks: list[int], troubles: list[str]) -> Journal:
    return Journal(
        cast(RecordingWriter, storage),
        blobs=cast(Blobs, storage),
        part_s=PART_S,
        on_durable=acks.append,
        on_trouble=lambda error: troubles.append(error.code),
    )


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_RETRY_S", (0.0,))


async def write(storage: Storage, sizes: list[int]) -> tuple[list[int], list[str]]:
    acks: list[int] = []
    troubles: list[str] = []
    it = journal(storage, acks, troubles)
    running = asyncio.create_task(it.run())
    position = 0
    for size in sizes:
        await it.append(np.arange(position, position + size, dtype=np.int16))
        position += size
    await it.close()
    await running
    assert it.durable == position
    return acks, troubles


@pytest.mark.parametrize("sizes", [[1], [PART], [PART * 3], [50] * 20, [7, 500, 1, 1, 159, 160, 161], []])
async def test_every_sample_is_kept_once_and_in_order(sizes: list[int]) -> None:
    storage = Storage()
    acks, troubles = await write(storage, sizes)
    kept = b"".join(storage.blobs[part.blob_key] for part in storage.parts)
    assert np.array_equal(np.frombuffer(kept, np.int16), np.arange(sum(sizes), dtype=np.int16))
    assert all(one.end == following.start for one, following in pairwise(storage.parts))
    assert acks == [part.end for part in storage.parts]
    assert troubles == []


async def test_what_is_waited_for_is_written_before_its_part_is_full() -> None:
    storage = Storage()
    acks: list[int] = []
    it = journal(storage, acks, [])
    running = asyncio.create_task(it.run())
    await it.append(np.zeros(PART // 2, np.int16))
    async with asyncio.timeout(5):
        await it.until_durable(PART // 2)
        await it.until_durable(10)
    assert acks == [PART // 2]
    await it.close()
    await running


async def test_nothing_is_acknowledged_before_it_is_written_and_troubles_are_told() -> None:
    storage = Storage(True, True, False, True, False, False)
    acks, troubles = await write(storage, [PART])
    assert acks == [PART]
    assert troubles == ["storage_unavailable", "storage_unavailable", "database_unavailable"]
    assert len(storage.parts) == 1


async def test_memory_stays_bounded_while_storage_is_away() -> None:
    away = asyncio.Event()

    class Away(Storage):
        async def put(self, key: str, *pieces: bytes | memoryview) -> None:
            await away.wait()
            await super().put(key, *pieces)

    storage = Away()
    acks: list[int] = []
    it = journal(storage, acks, [])
    running = asyncio.create_task(it.run())
    appended = 0
    with contextlib.suppress(TimeoutError):
        while appended < 1000:
            async with asyncio.timeout(0.2):
                await it.append(np.zeros(PART, np.int16))
            appended += 1
    assert 12 <= appended <= 20
    assert acks == []
    away.set()
    await it.close()
    await running
    assert acks[-1] == appended * PART


async def test_a_part_ends_where_the_client_ends_a_segment() -> None:
    storage = Storage()
    it = journal(storage, [], [])
    running = asyncio.create_task(it.run())
    await it.append(np.zeros(50, np.int16))
    await it.end_segment()
    await it.append(np.zeros(30, np.int16))
    await it.until_durable(80)
    await it.end_segment()
    await it.close()
    await running
    assert [(part.start, part.end, part.ends_segment) for part in storage.parts] == [(0, 50, True), (50, 80, True)]


async def test_what_is_not_durable_yet_can_be_had_from_memory() -> None:
    storage = Storage()
    storage.samples = 100
    it = journal(storage, [], [])
    await it.append(np.arange(50, dtype=np.int16))
    await it.append(np.arange(50, 90, dtype=np.int16))
    assert (it.durable, it.end) == (100, 190)
    samples, ends_segment = it.tail(140)
    assert (samples.tolist(), ends_segment) == (list(range(40, 90)), False)
    await it.end_segment()
    await it.append(np.zeros(7, np.int16))
    samples, ends_segment = it.tail(140)
    assert (len(samples), ends_segment) == (50, True)


async def test_a_journal_goes_on_behind_what_is_durable() -> None:
    storage = Storage()
    storage.samples = 100
    acks: list[int] = []
    it = journal(storage, acks, [])
    await it.append(np.zeros(20, np.int16))
    await it.close()
    await it.run()
    assert [(part.start, part.end) for part in storage.parts] == [(100, 120)]
    assert acks == [120]


async def test_who_waits_for_room_is_let_go_when_the_journal_ends() -> None:
    class Taken(Storage):
        async def add_part(self, part: AudioPart) -> None:
            await asyncio.sleep(0.05)
            raise Superseded("It goes on elsewhere.")

    it = journal(Taken(), [], [])
    running = asyncio.create_task(it.run())

    async def append_for_ever() -> None:
        while True:
            await it.append(np.zeros(PART, np.int16))

    with pytest.raises(ParleyError, match="no more audio"):
        await asyncio.wait_for(append_for_ever(), timeout=5)
    with pytest.raises(Superseded):
        await running
