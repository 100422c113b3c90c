"""Files that are handed in, and the step `transcribe` run on them, as a worker does it."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import numpy as np
from redis.asyncio import Redis

from batch.claims import Claims, Lease
from batch.pipeline import StepContext, StepResult
from batch.steps.transcribe import transcribe
from batch.transcription.transcriber import Transcriber
from batch.wiring import Tools
from parley import store
from parley.audio import SAMPLE_RATE, Samples
from parley.blobs import Blobs
from parley.durable import read_recording
from parley.events import Events
from parley.jobs import PlannedStep, Priority
from parley.llm.router import Router
from parley.media import decode_file
from parley.settings import Settings
from parley.store.jobs import enqueue
from parley.store.recordings import Recordings
from parley.store.sources import SourcePart, add_parts, create_recording, new_source_key
from parley.transcript import Segment
from tests.conftest import CLIPS
from tests.integration.job_store import claimed, let_leases_expire, let_waits_pass

SOURCE_PART_BYTES = 50_000
"""So that a file lies in several blobs, as one that came by a resumable upload."""


def spoken(*clips: int, pause_s: float = 1.0) -> Samples:
    """Clips of the miniature Whisper, with pauses."""
    pause = np.zeros(round(pause_s * SAMPLE_RATE), np.int16)
    return np.concatenate([piece for clip in clips for piece in (*decode_file(CLIPS[clip].path), pause)])


TRANSCRIBE = [PlannedStep("transcribe", "stt")]


@dataclass
class Desk:
    pool: asyncpg.Pool
    tools: Tools
    claims: Claims

    async def hand_in(
        self,
        data: bytes,
        owner: str = "alice",
        *,
        name: str = "talk.wav",
        priority: Priority = "normal",
        options: Mapping[str, Any] | None = None,
    ) -> str:
        """A recording that comes as this file, with its job; its id."""
        recording_id = str(uuid4())
        parts = []
        for start in range(0, len(data), SOURCE_PART_BYTES):
            end = min(start + SOURCE_PART_BYTES, len(data))
            parts.append(SourcePart(start, end, new_source_key(recording_id, start)))
            await self.tools.blobs.put(parts[-1].blob_key, data[start:end])
        async with self.pool.acquire() as connection, connection.transaction():
            await create_recording(connection, owner, recording_id, origin="upload", name=name)
            await add_parts(connection, owner, recording_id, parts)
            await enqueue(connection, owner, TRANSCRIBE, recording_id=recording_id, priority=priority, options=options)
        return recording_id

    async def ask_again(self, recording_id: str, owner: str = "alice") -> None:
        """Another job for the same file."""
        async with self.pool.acquire() as connection:
            await enqueue(connection, owner, TRANSCRIBE, recording_id=recording_id)

    async def claim(self) -> Lease:
        """The step that is due; where its worker died, or it has to wait, time passes."""
        await let_leases_expire(self.pool)
        await self.claims.reap()
        await let_waits_pass(self.pool)
        return await claimed(self.claims)

    async def attempt(self, lease: Lease | None = None) -> StepResult:
        """One attempt, and its success. Raises what it raises."""
        lease = lease or await self.claim()
        result = await transcribe(StepContext(lease, self.tools))
        async with lease.transaction() as connection:
            await result.write(connection)
            await lease.succeed(result.value, usage=result.usage, connection=connection)
        return result

    async def state(self, recording_id: str, owner: str = "alice") -> str:
        return (await Recordings(self.pool, owner).get(recording_id)).state

    async def segments(self, recording_id: str, owner: str = "alice") -> list[Segment]:
        return await Recordings(self.pool, owner).segments(recording_id)

    async def text(self, recording_id: str, owner: str = "alice") -> str:
        return " ".join(segment.text for segment in await self.segments(recording_id, owner))

    async def audio(self, recording_id: str, owner: str = "alice") -> Samples:
        """What is durable, read back."""
        recordings = Recordings(self.pool, owner)
        samples = (await recordings.get(recording_id)).samples
        blocks = read_recording(
            self.tools.blobs, lambda first, last: recordings.parts(recording_id, first, last), 0, samples
        )
        return np.concatenate([np.zeros(0, np.int16), *[block async for block in blocks]])


@contextlib.asynccontextmanager
async def desk(database_url: str, folder: Path, transcriber: Transcriber, settings: Settings) -> AsyncIterator[Desk]:
    """With nothing in the database, and storage in `folder`."""
    pool = await store.connect(database_url)
    redis = Redis.from_url("redis://127.0.0.1:1/0")  # nothing is told
    try:
        await pool.execute("TRUNCATE jobs, recordings, usage CASCADE")
        tools = Tools(settings, pool, Blobs(f"file://{folder}"), Events(redis), transcriber, Router(settings.llm))
        yield Desk(pool, tools, Claims(pool, luck=lambda: 0.0))
    finally:
        await redis.aclose()
        await pool.close()
