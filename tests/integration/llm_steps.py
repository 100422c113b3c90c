"""Recordings with words, and steps of the kind `llm` run on them as a worker does."""

from collections.abc import Sequence
from typing import Any, cast

import asyncpg

from batch.claims import Claims, Lease
from batch.pipeline import Run, StepContext, StepResult
from batch.retry import Decision, classify
from batch.wiring import Tools
from parley.jobs import PlannedStep
from parley.llm.router import Router
from parley.llm.settings import LLMSettings, ProviderSettings
from parley.settings import Settings
from parley.store import RecordingWriter
from parley.store.jobs import enqueue
from parley.transcript import Segment, Word
from tests.integration.job_store import claimed
from tests.integration.llm_double import LLMDouble

SECOND = 16_000


async def spoken(pool: asyncpg.Pool, *texts: str, owner: str = "alice", language: str = "en") -> str:
    """A finished recording of these segments, ten seconds apart."""
    writer = RecordingWriter.new(pool, owner)
    await writer.create()
    for number, text in enumerate(texts):
        start = number * 10 * SECOND
        words = tuple(Word(word, start, start + 5 * SECOND, 0.9) for word in text.split())
        segment = Segment(number, start, start + 5 * SECOND, words, language, 0.9)
        await writer.add_segment(segment, resume_at=start + 5 * SECOND, continues=False)
    await writer.finish("finished")
    return writer.recording_id


def provider(double: LLMDouble, name: str = "one", **values: Any) -> ProviderSettings:
    given = {"name": name, "kind": "openai-compatible", "model": "m-1", "base_url": f"{double.url}/v1"} | values
    return ProviderSettings.model_validate(given)


def tools(pool: asyncpg.Pool, *providers: ProviderSettings, rag: Any = None, **llm: Any) -> Tools:
    """What these steps use of a worker's tools; the others are not there."""

    async def at_once(_seconds: float) -> None:
        """A wait between two calls."""

    nothing = cast(Any, None)
    return Tools(
        settings=Settings(),
        pool=pool,
        blobs=nothing,
        events=nothing,
        transcriber=nothing,
        rag=rag,
        models=Router(LLMSettings(providers=providers, **llm), sleep=at_once),
    )


async def due(pool: asyncpg.Pool, name: str, recording_id: str, owner: str = "alice", **options: Any) -> Lease:
    """A job of the one step `name`, claimed."""
    async with pool.acquire() as connection:
        steps: Sequence[PlannedStep] = (PlannedStep(name, "llm"),)
        await enqueue(connection, owner, steps, recording_id=recording_id, options=options)
    return await claimed(Claims(pool, luck=lambda: 0.0), "llm")


async def run(step: Run, lease: Lease, with_tools: Tools) -> StepResult:
    """Runs the step, and writes down that it succeeded, as a worker does. Raises what the step raises."""
    result = await step(StepContext(lease, with_tools))
    async with lease.transaction() as connection:
        await result.write(connection)
        await lease.succeed(result.value, usage=result.usage, connection=connection)
    return result


async def put_off(pool: asyncpg.Pool, lease: Lease, error: Exception) -> tuple[Decision, Lease]:
    """Writes down that the step failed as a worker does, and claims it again at once."""
    decision = await lease.fail(classify(error))
    await pool.execute("UPDATE job_steps SET not_before = now() WHERE state = 'waiting'")
    return decision, await claimed(Claims(pool, luck=lambda: 0.0), "llm")
