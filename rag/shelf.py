"""The indexes that are open: the one in use, and one that is being built beside it.

What there is stands in PostgreSQL (`search_indexes`): a change of the one in use is one UPDATE there. An index that
cannot be used is built anew, and says why; one of another model is used until its successor is complete.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import anyio.to_thread

from parley.errors import BackendError, SetupError
from parley.logs import get_logger
from rag.embedding import Embedder
from rag.index import Damaged, Index, Place
from rag.record import IndexRow, Record

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """An index with the model of its vectors. No embedder: that model is gone, and words alone are searched.

    `languages`: those of its passages, whose stems a query may need.
    """

    row: IndexRow
    index: Index
    embedder: Embedder | None
    languages: set[str]

    @property
    def name(self) -> str:
        return self.row.name


class Shelf:
    """`model`: the setting; `load` opens the embedder of such a setting, which takes seconds."""

    def __init__(self, record: Record, place: Place, model: str, load: Callable[[str], Embedder]) -> None:
        self._record = record
        self._place = place
        self._model = model
        self._load = load
        self._own: Embedder | None = None
        self._current: Opened | None = None
        self.building: Opened | None = None

    @property
    def own(self) -> Embedder:
        """That of the settings. Raises BackendError (`not_ready`) before it is open."""
        if self._own is None:
            raise BackendError("The embedding model is still loading.", code="not_ready")
        return self._own

    @property
    def current(self) -> Opened:
        """Raises BackendError (`not_ready`) before it is open."""
        if self._current is None:
            raise BackendError("The index is still being opened.", code="not_ready")
        return self._current

    async def open_model(self) -> None:
        """Raises SetupError."""
        self._own = await anyio.to_thread.run_sync(self._load, self._model)

    async def open(self) -> None:
        """Opens what is noted, and begins what is missing; of several processes one after the other."""
        async with self._record.alone():
            await self._open()

    async def _open(self) -> None:
        row = await self._record.current()
        self._current = await (self._usable(row) if row else self._begin("current", ""))
        row = await self._record.building()
        if row is not None and not self._fits(row):
            await self._discard(row)
            row = None
        if row is not None:
            self.building = await self._usable(row, state="building")
        elif not self._fits(self._current.row):
            self.building = await self._begin("building", f"The embedding model is {self.own.name} now.")
        await self._place.tidy({opened.name for opened in (self._current, self.building) if opened})

    async def rebuild(self) -> None:
        """Begins another index beside the one in use, unless that is under way."""
        if self.building is None:
            self.building = await self._begin("building", "")

    async def promote(self) -> None:
        """The one that was built is the one in use from now on."""
        former, self._current, self.building = self.current, self.building, None
        assert self._current is not None
        await self._record.promote(self._current.name, instead_of=former.name)
        _log.info("another index is in use", index=self._current.name, former=former.name)
        await former.index.close()
        await self._place.drop(former.name)

    async def look_again(self) -> bool:
        """Uses what another process has put in use; whether there was something."""
        row = await self._record.current()
        if row is None or row.name == self.current.name:
            return False
        self._current = await self._usable(row)
        return True

    async def learn_languages(self) -> None:
        """For a process that only searches: others put passages into the index."""
        self.current.languages.update(await self.current.index.languages())

    async def close(self) -> None:
        for opened in (self._current, self.building):
            if opened is not None:
                await opened.index.close()
        await self._place.close()

    def _fits(self, row: IndexRow) -> bool:
        return (row.model, row.dimension) == (self._model, self.own.dimension)

    async def _usable(self, row: IndexRow, state: str = "current") -> Opened:
        try:
            index = await self._place.open(row.name, row.dimension)
        except Damaged as error:
            notice = f"The index was built anew from the database: {error.message}."
            _log.warning("index damaged", index=row.name, error=error.message)
            await self._discard(row)
            return await self._begin("building" if state == "building" else "current", notice)
        if index.was_killed:
            # What was noted may not have come to the disk. Passages that are there are not embedded again.
            _log.info("checking an index that was not closed", index=row.name)
            await self._record.forget_done(row.name)
        return Opened(row, index, await self._embedder_of(row), await index.languages())

    async def _embedder_of(self, row: IndexRow) -> Embedder | None:
        if self._fits(row):
            return self.own
        try:
            embedder: Embedder = await anyio.to_thread.run_sync(self._load, row.model)
        except SetupError as error:
            _log.warning("model gone; until the new index is built, words alone are searched", error=error.message)
            return None
        return embedder if embedder.dimension == row.dimension else None

    async def _begin(self, state: str, notice: str) -> Opened:
        name = f"passages-{self.own.dimension}-{secrets.token_hex(4)}"
        row = IndexRow(name, self._model, self.own.dimension, notice)
        index = await self._place.create(name, row.dimension)
        await self._record.add(row, "building" if state == "building" else "current")
        return Opened(row, index, self.own, set())

    async def _discard(self, row: IndexRow) -> None:
        await self._record.remove(row.name)
        await self._place.drop(row.name)
