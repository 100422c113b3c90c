"""What the journals of so many sessions cost by themselves: the gateway's own code, real PostgreSQL, a real folder."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from gateway.journal import Journal
from parley import store
from parley.audio import SAMPLE_RATE
from parley.blobs import Blobs
from parley.store import RecordingWriter

CHUNK = SAMPLE_RATE // 10


async def journal_cpu_s(database_url: str, sessions: int, seconds: float, parts_per_s: float) -> float:
    """Processor seconds of this process, all threads, for each session and second.

    Every session takes a chunk of 100 ms ten times a second, and writes `parts_per_s` parts.
    """
    async with _journals(database_url, sessions, 1 / parts_per_s) as journals:
        chunk = np.zeros(CHUNK, np.int16)
        for index, journal in enumerate(journals):  # so that their parts are not due at the same time
            await journal.append(np.zeros(1 + int(index / sessions * SAMPLE_RATE / parts_per_s), np.int16))
        began, spent = time.perf_counter(), time.process_time()
        for turn in range(int(seconds * 10)):
            for journal in journals:
                await journal.append(chunk)
            await asyncio.sleep(max(0.0, began + (turn + 1) / 10 - time.perf_counter()))
        return (time.process_time() - spent) / (sessions * seconds)


@asynccontextmanager
async def _journals(database_url: str, sessions: int, part_s: float) -> AsyncIterator[Sequence[Journal]]:
    pool = await store.connect(database_url)
    with tempfile.TemporaryDirectory() as folder:
        blobs = Blobs(Path(folder).as_uri())
        journals = []
        for _ in range(sessions):
            writer = RecordingWriter.new(pool, "benchmark")
            await writer.create()
            journals.append(_journal(writer, blobs, part_s))
        writing = asyncio.gather(*(journal.run() for journal in journals))
        yield journals
        for journal in journals:
            await journal.close()
        await writing
    await pool.close()


def _journal(writer: RecordingWriter, blobs: Blobs, part_s: float) -> Journal:
    def nothing(_: object) -> None:
        pass

    return Journal(writer, blobs=blobs, part_s=part_s, on_durable=nothing, on_trouble=nothing)
