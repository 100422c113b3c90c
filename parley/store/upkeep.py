"""What gateways do for recordings that no session has: close the abandoned, compact the closed.

This is the one place that does not filter by owner (invariant 9): it looks for work among everybody's recordings, and
hands out whose it found and where the audio lies, never a title or a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from parley.store import queries
from parley.store.failures import database_errors
from parley.store.recordings import AudioPart
from parley.store.writing import RecordingWriter

_queries: Any = queries.load(Path(__file__).parent / "upkeep.sql")


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to one attempt at compacting a recording, as it was closed under `fence`, with `samples` durable."""

    owner: str
    recording_id: str
    fence: int
    attempt: int
    samples: int

    @property
    def _key(self) -> dict[str, Any]:
        return {"id": UUID(self.recording_id), "fence": self.fence, "attempt": self.attempt}


class Upkeep:
    """Every call raises BackendError where PostgreSQL does not answer."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def claim_abandoned(self, after_s: float) -> RecordingWriter | None:
        """The right to go on with an open recording that has shown no sign of life for `after_s`."""
        async with database_errors():
            row = await _queries.claim_abandoned(self._pool, after_s=float(after_s))
        return RecordingWriter.of(self._pool, row) if row else None

    async def discard_empty(self, after_s: float) -> None:
        """Removes recordings without a single sample that nobody has come back to for `after_s`."""
        async with database_errors():
            await _queries.discard_empty(self._pool, after_s=float(after_s))

    async def claim_uncompacted(self, settled_s: float) -> Claim | None:
        """A recording that was closed at least `settled_s` ago and is not compacted, longest due first.

        A claim that comes to nothing is given out again, later each time.
        """
        async with database_errors():
            row = await _queries.claim_uncompacted(self._pool, settled_s=float(settled_s))
        if row is None:
            return None
        return Claim(row["owner"], str(row["id"]), row["fence"], row["compact_attempt"], row["samples"])

    async def parts(self, claim: Claim) -> list[AudioPart]:
        """All parts of the claimed recording, in order."""
        async with database_errors():
            return await self._parts(self._pool, claim)

    async def replace_parts(self, claim: Claim, parts: Sequence[AudioPart], new: AudioPart) -> bool:
        """Puts one part in the place of `parts`; False, with nothing changed, where the claim holds no longer.

        It is lost when somebody came back to the recording, deleted it, or made another attempt, or `parts` are not
        what the recording has.
        """
        async with database_errors(), self._pool.acquire() as connection, connection.transaction():
            if not await _queries.hold_claim(connection, **claim._key):
                return False
            if await self._parts(connection, claim) != list(parts):
                return False
            await _queries.delete_parts(connection, **claim._key)
            await _queries.insert_part(
                connection,
                **claim._key,
                start_sample=new.start,
                end_sample=new.end,
                blob_key=new.blob_key,
                ends_segment=new.ends_segment,
            )
        return True

    async def mark_compacted(self, claim: Claim) -> None:
        """The recording's audio is one file and nothing lies beside it. Changes nothing where the claim was lost."""
        async with database_errors():
            await _queries.mark_compacted(self._pool, **claim._key)

    async def _parts(self, connection: Any, claim: Claim) -> list[AudioPart]:
        rows = _queries.claimed_parts(connection, **claim._key)
        return [
            AudioPart(row["start_sample"], row["end_sample"], row["blob_key"], row["ends_segment"])
            async for row in rows
        ]
