"""The index in this process: Qdrant's own engine, `qdrant-edge-py`, in a folder.

    DATA/index/NAME/shard-1/    the collection, with its write-ahead log
    DATA/index/NAME/current     which of the folders it is: another one is a copy that is being improved
    DATA/index/NAME/in-use      there while it is open: still there at the next start, the process was killed

Measured with release 0.9: the engine holds Python's lock in every call, also for the minutes of `optimize`. So one
thread does all calls, a search is never behind more than a few milliseconds of writing, and `optimize` works on a copy
in a process of its own, which then takes the place of the first, with what was written meanwhile.
"""

import asyncio
import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from qdrant_edge import (
    CountRequest,
    EdgeShard,
    FacetRequest,
    KeywordIndexParams,
    PayloadSchemaType,
    QueryBatchRequest,
    UpdateOperation,
)

from parley.errors import BackendError, SetupError
from parley.logs import get_logger
from parley.rag_wire import SearchFilters
from rag import edge_form
from rag.embedding import Vectors
from rag.index import KEYWORDS, Candidates, Damaged, Point, Scope, scope_of
from rag.words import Sparse

WORTH_IMPROVING = 20_000
"""Passages outside the graph from which on a scan of them shows in a search: 5 ms on one core."""
_FLUSH_EVERY = 5_000
"""Passages. What was not flushed is in the write-ahead log; this keeps that short."""
_LANGUAGES = 200
_log = get_logger(__name__)
_T = TypeVar("_T")


class EdgePlace:
    """Indexes in folders below `folder`, which one process has at a time."""

    def __init__(self, folder: Path) -> None:
        """Raises SetupError where another process has the folder, or it cannot be written."""
        self.name = "embedded"
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / "lock").open("w")
        except OSError as error:
            raise SetupError(f"The folder of the index, {folder}, cannot be written: {error.strerror}.") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise SetupError(f"Another rag service has the index in {folder} open; stop it first.") from None

    async def create(self, name: str, dimension: int) -> "EdgeIndex":
        await self.drop(name)
        index = EdgeIndex(name, self._folder / name)
        await index.run(lambda: index.begin(dimension))
        return index

    async def open(self, name: str, dimension: int) -> "EdgeIndex":
        index = EdgeIndex(name, self._folder / name)
        try:
            await index.run(lambda: index.load(dimension))
        except BackendError as error:
            await index.close()
            raise Damaged(error.message) from error
        except Damaged:
            await index.close()
            raise
        return index

    async def drop(self, name: str) -> None:
        await asyncio.to_thread(shutil.rmtree, self._folder / name, ignore_errors=True)

    async def tidy(self, names: Collection[str]) -> None:
        for folder in self._folder.iterdir():
            if folder.is_dir() and folder.name not in names:
                await self.drop(folder.name)

    async def close(self) -> None:
        self._lock.close()


class EdgeIndex:
    """One collection."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.was_killed = False
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "index")
        self._shard: EdgeShard | None = None
        self._writing = asyncio.Lock()
        self._written: list[UpdateOperation] | None = None
        """What was written since the copy was taken; None: there is no copy."""
        self._unflushed = 0

    async def run(self, work: Callable[[], _T]) -> _T:
        """Does `work` in the index's thread. Raises BackendError for what the engine reports."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (BackendError, Damaged):
            raise
        except Exception as error:  # the engine raises bare Exception, for whatever it is
            raise BackendError(f"The index {self.name} failed: {error}", code="index_failed") from error

    # --- in the index's thread

    def begin(self, dimension: int) -> None:
        self._shard = _new_shard(self._folder / "shard-1", dimension)
        _point_to(self._folder, "shard-1")
        self._mark().touch()

    def load(self, dimension: int) -> None:
        current = _current(self._folder)
        if current is None:
            raise Damaged(f"the folder {self.name} of the index is missing")
        self.was_killed = self._mark().exists()
        for other in self._folder.glob("shard-*"):
            if other != current:
                shutil.rmtree(other, ignore_errors=True)
        has = edge_form.dimension_of(current)
        if has != dimension:
            raise Damaged(f"the index {self.name} is of dimension {has}, and {dimension} is noted")
        self._shard = EdgeShard.load(str(current))
        self._shard.count(CountRequest(exact=True))
        self._mark().touch()

    def _mark(self) -> Path:
        return self._folder / "in-use"

    def _open(self) -> EdgeShard:
        if self._shard is None:
            raise BackendError(f"The index {self.name} is closed.", code="index_failed")
        return self._shard

    def _write(self, operation: UpdateOperation, passages: int = 0) -> None:
        shard = self._open()
        shard.update(operation)
        if self._written is not None:
            self._written.append(operation)
        self._unflushed += passages
        if self._unflushed >= _FLUSH_EVERY:
            shard.flush()
            self._unflushed = 0

    def _close(self) -> None:
        if self._shard is not None:
            self._shard.flush()
            self._shard.close()
            self._shard = None
            self._mark().unlink(missing_ok=True)

    # --- the port

    async def upsert(self, points: Sequence[Point]) -> None:
        if points:
            operation = UpdateOperation.upsert_points([edge_form.point(point) for point in points])
            async with self._writing:
                await self.run(lambda: self._write(operation, len(points)))

    async def present(self, ids: Sequence[str]) -> set[str]:
        if not ids:
            return set()
        found = await self.run(lambda: self._open().retrieve(list(ids), with_payload=False, with_vector=False))
        return {str(record.id) for record in found}

    async def keep_only(self, owner: str, recording_id: str, ids: Sequence[str]) -> None:
        gone = edge_form.within(scope_of(owner, SearchFilters(recording_id=recording_id)), without=ids)
        async with self._writing:
            await self.run(lambda: self._write(UpdateOperation.delete_points_by_filter(gone)))

    async def search(self, scope: Scope, dense: Vectors | None, words: Sparse, count: int) -> Candidates:
        requests = edge_form.requests(scope, dense, words, count)
        if not requests:
            return Candidates((), ())
        answers = await self.run(lambda: self._open().query_batch(QueryBatchRequest(requests)))
        sides = [tuple(edge_form.found(point) for point in answer) for answer in answers]
        by_dense = sides.pop(0) if dense is not None else ()
        return Candidates(by_dense, sides.pop(0) if sides else ())

    async def languages(self) -> set[str]:
        facet = await self.run(lambda: self._open().facet(FacetRequest("language", limit=_LANGUAGES)))
        return {str(hit.value) for hit in facet.hits}

    async def count(self) -> int:
        return int(await self.run(lambda: self._open().count(CountRequest(exact=True))))

    async def close(self) -> None:
        try:
            await self.run(self._close)
        finally:
            self._thread.shutdown(wait=False)

    # --- improving

    async def improve(self) -> None:
        if not await self.run(self._is_worth_it):
            return
        _log.info("improving the index", index=self.name)
        try:
            async with self._writing:  # the files must not change while they are copied; searches go on
                await self.run(lambda: self._open().flush())
                better = await asyncio.to_thread(_copied, self._folder)
                self._written = []
            await _optimize(better)
            async with self._writing:
                await self.run(lambda: self._take(better))
        finally:
            self._written = None
        _log.info("the index is improved", index=self.name)

    def _is_worth_it(self) -> bool:
        info = self._open().info()
        # Every passage has words, which are always indexed: what is more than that is in the graph.
        in_graph = max(0, info.indexed_vectors_count - info.points_count)
        return bool(info.points_count - in_graph >= WORTH_IMPROVING)

    def _take(self, better: Path) -> None:
        """Goes on with the improved copy, after what was written since it was taken."""
        shard, worse, former = EdgeShard.load(str(better)), self._open(), _current(self._folder)
        for operation in self._written or []:
            shard.update(operation)
        shard.flush()
        _point_to(self._folder, better.name)
        self._shard = shard
        worse.close()
        if former is not None:
            shutil.rmtree(former, ignore_errors=True)


def _new_shard(folder: Path, dimension: int) -> EdgeShard:
    folder.mkdir(parents=True)
    shard = EdgeShard.create(str(folder), edge_form.config(dimension))
    shard.update(UpdateOperation.create_field_index("owner", KeywordIndexParams(is_tenant=True)))
    for field in KEYWORDS:
        shard.update(UpdateOperation.create_field_index(field, PayloadSchemaType.Keyword))
    shard.update(UpdateOperation.create_field_index("date", PayloadSchemaType.Datetime))
    shard.flush()
    return shard


def _current(folder: Path) -> Path | None:
    """The folder of the collection; None where there is none."""
    try:
        named = folder / (folder / "current").read_text().strip()
    except OSError:
        return None
    return named if named.is_dir() else None


def _point_to(folder: Path, name: str) -> None:
    new = folder / "current.new"
    new.write_text(name)
    new.replace(folder / "current")


def _copied(folder: Path) -> Path:
    """A copy of the collection beside it."""
    current = _current(folder)
    if current is None:
        raise BackendError(f"The index in {folder.name} is gone.", code="index_failed")
    better = folder / f"shard-{int(current.name.partition('-')[2]) + 1}"
    shutil.rmtree(better, ignore_errors=True)
    shutil.copytree(current, better)
    return better


async def _optimize(folder: Path) -> None:
    """Raises BackendError where the process comes to nothing."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rag.optimize", str(folder), stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        raise BackendError(f"The index could not be improved: {last}", code="index_failed")
