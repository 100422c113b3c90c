"""How the indexes follow PostgreSQL, the record: whatever is said, renamed or deleted there is so in them soon after.

    trigger ─ version + 1, NOTIFY ─▶ Keeper ─ passages, those missing embedded ─▶ index ─▶ "done at version N"
                     sweep: what an index does not have at its version ─▶

Nothing depends on a notification: a sweep finds what was missed, at the start and now and then. Passages are named by
their content, so doing a recording again embeds only what is new, and a kill at any moment costs what was being done.
Of several rag services at one place (a Qdrant server), one keeps the indexes: it holds a lock in PostgreSQL.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

import asyncpg

from parley import metrics
from parley.errors import BackendError, NotFound, ParleyError
from parley.logs import get_logger
from parley.store.failures import backend_errors
from rag import words
from rag.index import Point
from rag.passages import Passage, passages_of
from rag.record import CHANNEL, Record
from rag.shelf import Opened, Shelf

_AT_ONCE = 16
"""Passages embedded before another recording has its turn: a live final waits for half a second at most."""
_SWEEP_S = 30.0
_SWEPT = 500
"""Recordings that one sweep finds."""
_RETRY_S = 1.0
_log = get_logger(__name__)

Changed = Callable[[str], Awaitable[None]]
"""Told the owner whose passages changed."""


class Keeper:
    def __init__(self, database_url: str, record: Record, shelf: Shelf, changed: Changed) -> None:
        self._database_url = database_url
        self._record = record
        self._shelf = shelf
        self._changed = changed
        self._fresh: dict[str, None] = {}
        """Recordings that changed, in order: few passages each, mostly."""
        self._bulk: dict[str, None] = {}
        """Those with more to embed than fits into one turn."""
        self._woken = asyncio.Event()
        self._swept_at = 0.0
        self._more = False
        """The last sweep did not find all."""
        self._backlog: list[str] = []
        """Recordings that the index that is being built lacks."""
        self._improving: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """For ever. Where PostgreSQL or the index is away, it begins anew."""
        while True:
            try:
                await self._keep()
            except ParleyError as error:
                _log.warning("the index cannot follow", error=error.message)
            except Exception:  # noqa: BLE001  the task's outer edge: what one recording does must not end it
                _log.exception("the index cannot follow")
            await asyncio.sleep(_RETRY_S)

    async def up_to_date(self, owner: str, recording_id: str) -> int:
        """Waits until the index in use has the recording as it is now; how many passages it has then.

        Raises NotFound for another owner's.
        """
        wanted = await self._record.change(recording_id)
        if wanted is None:
            return 0
        if wanted.owner != owner:
            raise NotFound(f"There is no recording {recording_id!r}.", code="no_such_recording")
        self._wake(recording_id)
        pause = 0.02
        while True:
            done = await self._record.done(self._shelf.current.name, recording_id)
            if done is not None and done[0] >= wanted.version:
                return done[1]
            if await self._record.change(recording_id) is None:
                return 0
            await asyncio.sleep(pause)
            pause = min(0.5, pause * 1.5)

    async def rebuild(self) -> None:
        await self._shelf.rebuild()
        self._woken.set()

    # --- following

    async def _keep(self) -> None:
        with backend_errors("PostgreSQL does not answer"):
            connection = await asyncpg.connect(self._database_url, timeout=10)
            try:
                await self._lead(connection)
                await connection.add_listener(CHANNEL, self._notified)
                connection.add_termination_listener(lambda _connection: self._woken.set())
                self._swept_at = 0.0
                while not connection.is_closed():
                    await self._turn()
            finally:
                await self._stop_improving()
                connection.terminate()

    def _notified(self, _connection: object, _pid: int, _channel: str, said: object) -> None:
        self._wake(str(said))

    async def _lead(self, connection: asyncpg.Connection) -> None:
        """Waits for the lock. Meanwhile, what the leader puts in use is used here."""
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", self._record.lock_number + 1):
            await self._shelf.look_again()
            await self._shelf.learn_languages()
            await asyncio.sleep(_RETRY_S)

    def _wake(self, recording_id: str) -> None:
        self._fresh.setdefault(recording_id)
        self._woken.set()

    async def _turn(self) -> None:
        """The most urgent thing there is to do: changes, long recordings, the index that is being built."""
        if time.monotonic() - self._swept_at > _SWEEP_S or (self._more and not self._bulk):
            await self._sweep()
        if self._fresh or self._bulk:
            await self._next_recording()
        elif self._shelf.building is not None:
            await self._build(self._shelf.building)
        else:
            self._improve()
            await self._rest()

    async def _rest(self) -> None:
        """Until there is something to do, or time for a sweep."""
        self._woken.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SWEEP_S):
                await self._woken.wait()

    async def _sweep(self) -> None:
        behind = await self._record.behind(self._shelf.current.name, _SWEPT)
        for recording_id in behind:
            if recording_id not in self._fresh:
                self._bulk.setdefault(recording_id)
        self._more = len(behind) == _SWEPT
        self._swept_at = time.monotonic()

    async def _next_recording(self) -> None:
        queue = self._fresh or self._bulk
        recording_id = next(iter(queue))
        del queue[recording_id]
        complete = False
        try:
            complete = await self._follow(recording_id)
        finally:
            if not complete:
                self._bulk.setdefault(recording_id)
            metrics.RAG_WAITING.set(len(self._fresh) + len(self._bulk))

    async def _follow(self, recording_id: str) -> bool:
        """One turn of a recording in the index in use; a deleted one goes from all. Whether it is complete."""
        change = await self._record.change(recording_id)
        if change is None:
            return True
        if not change.gone:
            current, building = self._shelf.current, self._shelf.building
            # The model of an index can be gone; then only its successor can take anything new.
            return await self._bring_up(building if current.embedder is None and building else current, recording_id)
        for opened in (self._shelf.current, self._shelf.building):
            if opened is not None:
                await opened.index.keep_only(change.owner, recording_id, [])
                await self._record.forget_gone(opened.name, recording_id)
        await self._changed(change.owner)
        return True

    async def _bring_up(self, opened: Opened, recording_id: str) -> bool:
        """Embeds and stores some of the passages that are missing. With the last of them, what is there too much goes,
        and it is noted at which version the index has the recording. Whether that was so."""
        change = await self._record.change(recording_id)
        said = await self._record.spoken(recording_id)
        if change is None or said is None:
            return True  # deleted just now: that is told too
        passages = passages_of(*said)
        ids = [passage.id for passage in passages]
        there = await opened.index.present(ids)
        missing = [passage for passage in passages if passage.id not in there]
        await self._store(opened, missing[:_AT_ONCE])
        if len(missing) > _AT_ONCE:
            return False
        await opened.index.keep_only(change.owner, recording_id, ids)
        if not await self._record.mark_done(opened.name, recording_id, change.version, len(ids)):
            await opened.index.keep_only(change.owner, recording_id, [])
        await self._changed(change.owner)
        return True

    async def _store(self, opened: Opened, passages: list[Passage]) -> None:
        if not passages:
            return
        if opened.embedder is None:
            raise BackendError("The model of this index is gone; its successor is being built.", code="model_gone")
        vectors = await opened.embedder.passages([passage.embedded_text for passage in passages])
        await opened.index.upsert(
            [
                Point(passage, vector, words.of_passage(passage.embedded_text, passage.language))
                for passage, vector in zip(passages, vectors, strict=True)
            ]
        )
        opened.languages.update(passage.language for passage in passages)
        metrics.RAG_INDEXED.inc(len(passages))

    # --- building, improving

    async def _build(self, building: Opened) -> None:
        """One turn of the index that is being built; once it lacks nothing, it is the one in use."""
        if not self._backlog:
            self._backlog = await self._record.behind(building.name, _SWEPT)
        if self._backlog:
            change = await self._record.change(self._backlog[-1])
            if change is not None and change.gone:
                await self._follow(self._backlog.pop())
            elif await self._bring_up(building, self._backlog[-1]):
                self._backlog.pop()
            return
        await self._stop_improving()
        await self._shelf.promote()
        self._swept_at = 0.0
        for owner in await self._record.owners():
            await self._changed(owner)

    def _improve(self) -> None:
        if self._improving is None or self._improving.done():
            self._improving = asyncio.create_task(self._improved(self._shelf.current))

    async def _improved(self, opened: Opened) -> None:
        try:
            await opened.index.improve()
        except ParleyError as error:
            _log.warning("the index could not be improved", error=error.message)

    async def _stop_improving(self) -> None:
        if self._improving is not None:
            self._improving.cancel()
            await asyncio.wait((self._improving,))
            self._improving = None
