"""What the session of a recording writes, under a fence: where two have the same recording, the newer wins.

new, create ──▶ add_part, add_segment, touch … ──▶ finish
current, on ──▶ the same in the transactions of a step, which has a fence of its own
take_over ──▶ a RecordingWriter with the next fence: all that the one before it writes is refused (`Superseded`)
"""

from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from pathlib import Path
from typing import Any, Self
from uuid import UUID, uuid4

import asyncpg

from parley.errors import ClientError
from parley.store import queries
from parley.store.failures import database_errors
from parley.store.recordings import AudioPart, recording_uuid, unknown
from parley.transcript import LastFinal, RecordingState, Segment

_queries: Any = queries.load(Path(__file__).parent / "writing.sql")


class Superseded(ClientError):
    """Another session has taken the recording over."""

    code = "superseded"


class RecordingWriter:
    """One session's right to write to one recording.

    Every call raises Superseded once another session has it, NotFound once it was deleted, BackendError where
    PostgreSQL does not answer.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        owner: str,
        recording_id: str,
        *,
        fence: int = 1,
        samples: int = 0,
        state: RecordingState = "recording",
        options: Mapping[str, Any] | None = None,
        stopped: bool = False,
    ) -> None:
        self._pool = pool
        self._key = {"id": UUID(recording_id), "owner": owner}
        self.owner = owner
        self.recording_id = recording_id
        self.fence = fence
        self.samples = samples
        """Durable samples when it was opened."""
        self.state = state
        self.options = options or {}
        """How the recording is transcribed."""
        self.stopped = stopped
        """Its client had said `stop`."""

    @classmethod
    def new(cls, pool: asyncpg.Pool, owner: str, options: Mapping[str, Any] | None = None) -> Self:
        """For a recording that is yet to be created."""
        return cls(pool, owner, str(uuid4()), options=options)

    async def create(self, *, title: str | None = None) -> None:
        """Makes the recording, in state `recording`."""
        await self._query("create_recording", title=title, options=self.options)

    @classmethod
    async def take_over(cls, pool: asyncpg.Pool, owner: str, recording_id: str) -> Self:
        """The right to go on with a recording; whoever had it loses it. Raises NotFound."""
        recording_uuid(recording_id)
        writer = cls(pool, owner, recording_id)
        row = await writer._query("take_over")
        if row is None:
            raise unknown(recording_id)
        return cls.of(pool, row)

    @classmethod
    async def current(cls, pool: asyncpg.Pool, owner: str, recording_id: str) -> Self:
        """The right that whoever has the recording has: for those whom something else keeps apart. Raises NotFound."""
        recording_uuid(recording_id)
        row = await cls(pool, owner, recording_id)._query("current")
        if row is None:
            raise unknown(recording_id)
        return cls.of(pool, row)

    def on(self, connection: Any) -> Self:
        """The same right, used on an asyncpg connection, in the caller's transaction."""
        bound = copy(self)
        bound._pool = connection
        return bound

    @classmethod
    def of(cls, pool: asyncpg.Pool, row: Mapping[str, Any]) -> Self:
        """From a row with all that a takeover returns."""
        values = dict(row)
        return cls(pool, values.pop("owner"), str(values.pop("id")), **values)

    async def last_final(self) -> LastFinal | None:
        """None where there is none yet."""
        row = await self._query("last_final")
        return LastFinal(*row) if row else None

    async def add_part(self, part: AudioPart) -> None:
        """Records that a part is in object storage. Doing it twice changes nothing."""
        values = {"start_sample": part.start, "end_sample": part.end, "blob_key": part.blob_key}
        if not await self._query("add_part", fence=self.fence, ends_segment=part.ends_segment, **values):
            samples = await self._check_fence()
            if samples < part.end:
                raise ValueError(f"the part {part} does not begin at the durable end, {samples}")

    async def mark_part(self, end: int) -> None:
        """The client ended the open segment at `end`, the end of a part."""
        if not await self._query("mark_part", fence=self.fence, end_sample=end):
            await self._check_fence()

    async def add_segment(self, segment: Segment, *, resume_at: int, continues: bool) -> None:
        """Stores a final, and where the search for the next segment begins. The first of a number stays."""
        stored = await self._query(
            "add_segment",
            fence=self.fence,
            number=segment.number,
            start_sample=segment.start,
            end_sample=segment.end,
            resume_at=resume_at,
            continues=continues,
            text=_storable(segment.text),
            words=[[_storable(w.text), w.start, w.end, round(w.confidence, 4), w.joins] for w in segment.words],
            language=segment.language,
            confidence=segment.confidence,
            suspect=segment.suspect,
        )
        if stored is None:
            await self._check_fence()

    async def touch(self) -> None:
        """A sign of life."""
        await self._fenced("touch_recording")

    async def stop(self) -> None:
        """All audio of the recording is there; its last finals are not."""
        await self._fenced("stop_recording")

    async def finish(self, state: RecordingState, *, then: Callable[[Any], Awaitable[None]] | None = None) -> None:
        """Closes the recording. What `then` writes, on an asyncpg connection, is there exactly if it is closed."""
        if then is None:
            await self._fenced("finish_recording", state=state)
            return
        async with database_errors(), self._pool.acquire() as connection, connection.transaction():
            await self.on(connection)._fenced("finish_recording", state=state)
            await then(connection)

    async def reopen(self) -> None:
        """A file that was not written down to its end is written down again, under the next fence: not by this one."""
        await self._fenced("reopen_recording")

    async def last_words(self, connection: Any) -> int | None:
        """The number of the last final with words, None where there is none; on an asyncpg connection."""
        number: int | None = await _queries.last_words(connection, **self._key)
        return number

    async def discard(self) -> None:
        """Removes a recording that never had a sample."""
        await self._fenced("discard_recording")

    async def _fenced(self, name: str, **values: Any) -> None:
        if not await self._query(name, fence=self.fence, **values):
            await self._check_fence()

    async def _check_fence(self) -> int:
        """The durable samples, where this session still has the recording."""
        row = await self._query("standing")
        if row is None:
            raise unknown(self.recording_id)
        if row["fence"] != self.fence:
            raise Superseded("This recording goes on in another session.")
        return int(row["samples"])

    async def _query(self, name: str, **values: Any) -> Any:
        async with database_errors():
            return await getattr(_queries, name)(self._pool, **self._key, **values)


def _storable(text: str) -> str:
    """PostgreSQL's text holds no NUL."""
    return text.replace("\0", "")
