"""The rag service as long as it runs: opens its model and its indexes, then keeps them true and answers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from parley import rag_wire as wire
from parley.errors import BackendError, ParleyError, SetupError
from parley.logs import get_logger
from parley.search_cache import SearchCache
from parley.tasks import background
from rag.asking import Asker
from rag.keeper import Keeper
from rag.record import Record
from rag.search import Searcher
from rag.shelf import Shelf
from rag.writer import Writer

_RETRY_S = 2.0
_log = get_logger(__name__)


class Service:
    """What the routes share. `failure` is why it stopped, None where it did as it was asked."""

    def __init__(self, record: Record, shelf: Shelf, keeper: Keeper, cache: SearchCache, writer: Writer) -> None:
        self.shelf = shelf
        self.keeper = keeper
        self.searcher = Searcher(shelf)
        self.asker = Asker(self.searcher, writer)
        self.failure: ParleyError | None = None
        self._record = record
        self._cache = cache
        self._stop: Callable[[], None] = lambda: None

    def stop_at_failure(self, stop: Callable[[], None]) -> None:
        """`stop` ends the process's server."""
        self._stop = stop

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        try:
            async with background(self._run()):
                yield
        finally:
            await self.shelf.close()

    async def _run(self) -> None:
        try:
            await self.shelf.open_model()
            _log.info("embedding model is open", model=self.shelf.own.name, dimension=self.shelf.own.dimension)
            await self._open()
        except SetupError as error:
            self.failure = error
            self._stop()
            return
        await self._cache.forget_all()
        await self.keeper.run()

    async def _open(self) -> None:
        """As soon as PostgreSQL, and the server of the index, answer."""
        while True:
            try:
                await self.shelf.open()
            except BackendError as error:
                _log.warning("the index cannot be opened yet", error=error.message)
                await asyncio.sleep(_RETRY_S)
            else:
                return

    async def status(self) -> wire.StatusAnswer:
        current, building = self.shelf.current, self.shelf.building
        return wire.StatusAnswer(
            model=current.embedder.name
            if current.embedder
            else f"{current.row.model} (gone; words alone are searched)",
            dimension=current.row.dimension,
            index=current.name,
            passages=await current.index.count(),
            waiting=await self._record.how_many_behind(current.name),
            building=building.name if building else None,
            building_waiting=await self._record.how_many_behind(building.name) if building else 0,
            notice=current.row.notice,
        )
