"""Translations of recordings, segment by segment. They go when their recording goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from parley.errors import NotFound
from parley.store import queries
from parley.store.failures import database_errors
from parley.store.recordings import recording_uuid, unknown

_queries: Any = queries.load(Path(__file__).parent / "translations.sql")


@dataclass(frozen=True, slots=True)
class TranslatedSegment:
    """The segment of this number in another language. `provider` and `model` are None where it was spoken in it."""

    number: int
    text: str
    provider: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class TranslationSummary:
    """A translation that there is: its language, how many segments it has, and when it was written."""

    language: str
    segments: int
    created_at: datetime


async def save(
    connection: Any, owner: str, recording_id: str, language: str, segments: Sequence[TranslatedSegment]
) -> None:
    """Keeps a translation on an asyncpg connection, in the caller's transaction, in place of the one there was.

    Raises NotFound for a recording that is not the owner's.
    """
    key = {"id": recording_uuid(recording_id), "language": language}
    if await _queries.lock_recording(connection, id=key["id"], owner=owner) is None:
        raise unknown(recording_id)
    await _queries.clear_translation(connection, **key)
    await _queries.insert_translation(
        connection,
        numbers=[segment.number for segment in segments],
        texts=[_storable(segment.text) for segment in segments],
        providers=[segment.provider or "" for segment in segments],
        models=[segment.model or "" for segment in segments],
        **key,
    )


class Translations:
    """All that `owner` may see. The owner is bound here, once, and every query filters by it (invariant 9).

    Every call raises BackendError where PostgreSQL does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, owner: str) -> None:
        self._pool = pool
        self._owner = owner

    async def of(self, recording_id: str) -> list[TranslationSummary]:
        """Those that there are of a recording."""
        values = {"id": recording_uuid(recording_id), "owner": self._owner}
        async with database_errors():
            return [TranslationSummary(*row) async for row in _queries.list_translations(self._pool, **values)]

    async def get(self, recording_id: str, language: str) -> list[TranslatedSegment]:
        """Its segments in order. Raises NotFound that names the languages there are."""
        values = {"id": recording_uuid(recording_id), "owner": self._owner, "language": language}
        async with database_errors():
            found = [TranslatedSegment(*row) async for row in _queries.get_translation(self._pool, **values)]
        if not found:
            there = ", ".join(each.language for each in await self.of(recording_id)) or "none"
            raise NotFound(
                f"There is no translation into {language[:40]!r} of this recording; there is: {there}."
                " A job with the step translate and the option translate_to makes one.",
                code="no_such_translation",
            )
        return found


def _storable(text: str) -> str:
    """What PostgreSQL's text holds: no NUL, no half of a pair."""
    return text.replace("\0", "").encode(errors="replace").decode()
