"""Answers of language models, kept until the step that asked is done: what was paid for is not asked again."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from parley.store import queries
from parley.store.failures import database_errors
from parley.store.recordings import recording_uuid

_queries: Any = queries.load(Path(__file__).parent / "answers.sql")


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a model said, in JSON, and which model it was."""

    answer: str
    provider: str
    model: str


class Answers:
    """Those about one recording of `owner`. Every call raises BackendError where PostgreSQL does not answer."""

    def __init__(self, pool: asyncpg.Pool, owner: str, recording_id: str) -> None:
        self._pool = pool
        self._key = {"owner": owner, "recording_id": recording_uuid(recording_id)}

    async def get(self, question: bytes) -> KeptAnswer | None:
        """The answer to the question with this hash."""
        async with database_errors():
            row = await _queries.kept_answer(self._pool, question=question, **self._key)
        return KeptAnswer(*row) if row else None

    async def keep(self, question: bytes, purpose: str, kept: KeptAnswer) -> None:
        """Another worker's answer to the same question stays; nothing is kept for a recording that is gone."""
        async with database_errors():
            await _queries.keep_answer(
                self._pool,
                question=question,
                purpose=purpose,
                answer=kept.answer,
                provider=kept.provider,
                model=kept.model,
                **self._key,
            )

    async def forget(self, connection: Any, purpose: str) -> None:
        """All that were kept for this purpose, on an asyncpg connection: their step is done."""
        await _queries.forget_answers(connection, purpose=purpose, **self._key)


async def waited_s(pool: asyncpg.Pool, owner: str, step_id: int) -> float:
    """Seconds for which the step has waited for a language model; the first call begins the wait."""
    async with database_errors():
        return float(await _queries.wait(pool, owner=owner, step_id=step_id) or 0.0)


async def end_wait(connection: Any, step_id: int) -> None:
    await _queries.end_wait(connection, step_id=step_id)
