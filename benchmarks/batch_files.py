"""Files for the batch path's benchmark, and jobs of them in a server of its own."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import numpy as np
import soundfile

from benchmarks.speech import Corpus
from parley import store
from parley.audio import SAMPLE_RATE, Samples
from parley.blobs import Blobs
from parley.embedded.server import RunningServer
from parley.errors import ParleyError
from parley.jobs import PlannedStep
from parley.store.jobs import enqueue
from parley.store.recordings import Recordings
from parley.store.sources import SourcePart, add_parts, create_recording, new_source_key

_LOOK_S = 0.05
_BLOCK = 60 * SAMPLE_RATE


def write_file(path: Path, samples: Samples) -> Path:
    """As MP3, of which most uploads are."""
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, format="MP3") as file:
        for start in range(0, len(samples), _BLOCK):
            file.write(samples[start : start + _BLOCK])
    return path


def speech_files(corpus: Corpus, folder: Path, minutes: float, count: int) -> list[Path]:
    """Clips with pauses; each file begins with another one, so that no two are the same audio."""
    return [
        write_file(folder / f"speech-{number}.mp3", corpus.speech(minutes * 60, number * 3).samples)
        for number in range(count)
    ]


def sparse_file(corpus: Corpus, folder: Path, hours: float) -> Path:
    """Half a minute of speech in each ten minutes, silence in between."""
    speech = corpus.speech(30, 0).samples
    quiet = np.zeros(10 * 60 * SAMPLE_RATE - len(speech), np.int16)
    path = folder / "sparse.mp3"
    with soundfile.SoundFile(path, "w", SAMPLE_RATE, 1, format="MP3") as file:
        for _ in range(round(hours * 6)):
            file.write(speech)
            file.write(quiet)
    return path


@dataclass(frozen=True)
class Shop:
    """Where files are handed in."""

    pool: asyncpg.Pool
    blobs: Blobs

    async def write_down(self, files: Sequence[Path]) -> tuple[float, list[str]]:
        """All of them at once: seconds until the last job succeeded, and their texts."""
        owner = f"benchmark-{uuid4()}"  # nothing is taken over from a run before
        began = time.monotonic()
        jobs, recordings = zip(*[await self._hand_in(file, owner) for file in files], strict=True)
        while set(states := await self._states(jobs)) != {"succeeded"}:
            if set(states) & {"failed", "dead", "cancelled"}:
                raise ParleyError(f"A job did not succeed: {', '.join(states)}.")
            await asyncio.sleep(_LOOK_S)
        return time.monotonic() - began, [await self._text(owner, recording) for recording in recordings]

    async def _states(self, jobs: Sequence[str]) -> list[str]:
        rows = await self.pool.fetch("SELECT state FROM jobs WHERE id = ANY($1::uuid[])", jobs)
        return [row["state"] for row in rows]

    async def _hand_in(self, file: Path, owner: str) -> tuple[str, str]:
        recording_id, data = str(uuid4()), file.read_bytes()  # noqa: ASYNC240 — before anything is measured
        part = SourcePart(0, len(data), new_source_key(recording_id, 0))
        await self.blobs.put(part.blob_key, data)
        async with self.pool.acquire() as connection, connection.transaction():
            await create_recording(connection, owner, recording_id, origin="upload", name=file.name)
            await add_parts(connection, owner, recording_id, [part])
            made = await enqueue(
                connection,
                owner,
                [PlannedStep("transcribe", "stt")],
                recording_id=recording_id,
                options={"language": "en"},
            )
        return made.job_id, recording_id

    async def _text(self, owner: str, recording_id: str) -> str:
        segments = await Recordings(self.pool, owner).segments(recording_id)
        return " ".join(segment.text for segment in segments)


@contextlib.asynccontextmanager
async def open_shop(server: RunningServer) -> AsyncIterator[Shop]:
    pool = await store.connect(server.database_url)
    try:
        yield Shop(pool, Blobs(f"file://{server.data / 'blobs'}"))
    finally:
        await pool.close()
