"""Object storage by URL (a folder, S3, GCS, Azure), through obstore. Keys are slash-separated paths.

What was written has survived a power cut once the call returns. obstore leaves a folder's files in the page cache, so
`FolderWriter` writes those; a cloud's own promise holds for the others.
"""

import asyncio
import contextlib
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, LocalStore, MemoryStore, ObjectStore, S3Store, from_url

from parley.errors import BackendError, ClientError, NotFound, SetupError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from obstore import ReadableFile
    from obstore.store import RetryConfig

TEMPORARY = ".partial"
"""What the name of a folder's file ends with while it is written. A crash can leave one; it is listed like any blob."""
_RETRY: "RetryConfig" = {"retry_timeout": timedelta(seconds=5)}
"""By default obstore tries for three minutes; whoever waits for an ack has to be told sooner."""
READ_BYTES = 256 * 1024
"""Worth a request to a cloud: its transfer takes about as long as the way there."""
_FOLDER_THREADS = 32
_COPY_BYTES = 1024 * 1024
_PIECES_AT_ONCE = 512
"""Of one `writev`; Linux and macOS take 1024."""
_UPLOADS_AT_ONCE = 2

T = TypeVar("T")


_Pieces = Sequence[bytes | memoryview]


@dataclass(frozen=True, slots=True)
class SignedPut:
    """Where a blob may be sent, and with which headers."""

    url: str
    headers: Mapping[str, str]


class _Writer(Protocol):
    async def put(self, key: str, data: _Pieces | BinaryIO) -> None: ...
    async def copy(self, key: str, other: str) -> None: ...
    async def delete(self, keys: Sequence[str]) -> None: ...
    async def delete_prefix(self, prefix: str) -> None: ...


class Blobs:
    """One store. Every call raises BackendError where the storage does not answer."""

    def __init__(self, url: str) -> None:
        """Raises SetupError for a URL that names no storage."""
        try:
            self._store = _open_store(url)
        except (BaseError, ValueError, OSError) as error:
            raise SetupError(f"Object storage {url!r} cannot be used: {error}") from error
        local = self._store.prefix if isinstance(self._store, LocalStore) else None
        self._writer: _Writer = FolderWriter(Path(local)) if local else _ObjectWriter(self._store)

    async def put(self, key: str, *pieces: bytes | memoryview) -> None:
        """Writes the whole blob, one piece behind the other; what was under `key` before is replaced, in one step."""
        with _backend_errors(key, writing=True):
            await self._writer.put(key, pieces)

    async def put_file(self, key: str, file: BinaryIO) -> None:
        """Like `put`, with what an open file holds from its position on; a large one is sent in pieces."""
        with _backend_errors(key, writing=True):
            await self._writer.put(key, file)

    async def copy(self, key: str, other: str) -> None:
        """Writes what lies under `key` under `other` too. Raises NotFound where there is no such blob."""
        with _backend_errors(key):
            await self._writer.copy(key, other)

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """Bytes [start, end) of a blob; fewer where it ends before. Raises NotFound where there is no such blob."""
        with _backend_errors(key):
            try:
                return bytes(await obstore.get_range_async(self._store, key, start=start, end=end))
            except BaseError:  # obstore has no error of its own for a start behind the end
                if (await obstore.head_async(self._store, key))["size"] > start:
                    raise
                return b""

    def open(self, key: str) -> "BlobReader":
        """A blob as a file, for libraries that read files; opened at the first read. It blocks: use it in a thread."""
        return BlobReader(self._store, key)

    async def size(self, key: str) -> int:
        """Bytes of a blob. Raises NotFound where there is no such blob."""
        with _backend_errors(key):
            return (await obstore.head_async(self._store, key))["size"]

    def check_signs(self) -> None:
        """Raises ClientError (`presign_unsupported`) where `sign_put` would."""
        self._signing()

    def _signing(self) -> S3Store | GCSStore | AzureStore:
        if not isinstance(self._store, S3Store | GCSStore | AzureStore):
            raise ClientError(
                "The object storage of this server signs no addresses, as S3, GCS and Azure do."
                " Send the file to /api/v1/uploads (tus) or /api/v1/recordings (a form).",
                code="presign_unsupported",
            )
        return self._store

    async def sign_put(self, key: str, expires_in: timedelta) -> SignedPut:
        """An address to which whoever has it may send this blob, straight to the storage.

        Raises ClientError (`presign_unsupported`) where the storage takes nothing but what this process writes.
        """
        store = self._signing()
        with _backend_errors(key):
            url = await obstore.sign_async(store, "PUT", key, expires_in)
        return SignedPut(url, {"x-ms-blob-type": "BlockBlob"} if isinstance(self._store, AzureStore) else {})

    async def keys(self, prefix: str) -> list[str]:
        """The keys that begin with `prefix` and a slash."""
        with _backend_errors(prefix):
            return [meta["path"] async for listed in obstore.list(self._store, prefix=prefix) for meta in listed]

    async def delete(self, keys: Sequence[str]) -> None:
        """Removes blobs; those that are not there are no error."""
        with _backend_errors(keys[0] if keys else ""):
            await self._writer.delete(keys)

    async def delete_prefix(self, prefix: str) -> None:
        """Removes every blob whose key begins with `prefix` and a slash."""
        with _backend_errors(prefix):
            await self._writer.delete_prefix(prefix)

    async def check(self) -> None:
        """Raises BackendError unless the storage answers."""
        with _backend_errors("the storage's listing"):
            async for _ in obstore.list(self._store, prefix="recordings/none", chunk_size=1):
                break


def _open_store(url: str) -> ObjectStore:
    if url.startswith("file:"):
        return from_url(url, mkdir=True)
    if url.startswith("memory:"):
        return MemoryStore()
    # Client options given here would hide those of the environment, such as AWS_ALLOW_HTTP.
    return from_url(url, retry_config=_RETRY)


class _ObjectWriter:
    """Writes to what obstore writes durably by itself."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def put(self, key: str, data: _Pieces | BinaryIO) -> None:
        whole = b"".join(data) if isinstance(data, Sequence) else data
        await obstore.put_async(self._store, key, whole, max_concurrency=_UPLOADS_AT_ONCE)

    async def copy(self, key: str, other: str) -> None:
        await obstore.copy_async(self._store, key, other)

    async def delete(self, keys: Sequence[str]) -> None:
        try:
            await obstore.delete_async(self._store, list(keys))
        except FileNotFoundError:  # S3 forgives what is not there; GCS and Azure stop at it
            for key in keys:
                with contextlib.suppress(FileNotFoundError):
                    await obstore.delete_async(self._store, key)

    async def delete_prefix(self, prefix: str) -> None:
        async for listed in obstore.list(self._store, prefix=prefix):
            await self.delete([meta["path"] for meta in listed])


class FolderWriter:
    """Writes to a folder: a temporary file, fsync, rename, fsync of the directories whose entries changed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # Threads of its own: a disk that hangs must not hold up what else runs in threads.
        self._threads = ThreadPoolExecutor(_FOLDER_THREADS, thread_name_prefix="blobs")

    async def put(self, key: str, data: _Pieces | BinaryIO) -> None:
        await self._run(lambda: self._put(self._root / key, data))

    async def copy(self, key: str, other: str) -> None:
        await self._run(lambda: self._copy(self._root / key, self._root / other))

    async def delete(self, keys: Sequence[str]) -> None:
        await self._run(lambda: self._delete([self._root / key for key in keys]))

    async def delete_prefix(self, prefix: str) -> None:
        await self._run(lambda: self._delete_folder(self._root / prefix))

    async def _run(self, call: Callable[[], None]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _put(self, path: Path, data: _Pieces | BinaryIO) -> None:
        _make_directory(path.parent)
        temporary = path.with_name(f"{path.name}.{token_hex(4)}{TEMPORARY}")
        try:
            with temporary.open("xb", buffering=0) as file:
                _write(file, data)
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync({path.parent})

    def _copy(self, path: Path, other: Path) -> None:
        with path.open("rb") as file:
            self._put(other, file)

    def _delete(self, paths: Sequence[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)
        _sync({path.parent for path in paths if path.parent.exists()})

    def _delete_folder(self, path: Path) -> None:
        if path.exists():
            shutil.rmtree(path)
            _sync({path.parent})


def _write(file: BinaryIO, data: _Pieces | BinaryIO) -> None:
    if not isinstance(data, Sequence):
        shutil.copyfileobj(data, file, _COPY_BYTES)
        return
    for first in range(0, len(data), _PIECES_AT_ONCE):
        pieces = data[first : first + _PIECES_AT_ONCE]
        wanted = sum(len(piece) for piece in pieces)
        if (written := os.writev(file.fileno(), pieces)) != wanted:
            raise OSError(f"only {written} of {wanted} bytes could be written")


def _make_directory(directory: Path) -> None:
    """Makes a directory and those above it that are missing, durably: what fails after it finds them there again."""
    if not directory.exists():
        _make_directory(directory.parent)
        directory.mkdir(exist_ok=True)
        _sync({directory.parent})


def _sync(directories: set[Path]) -> None:
    for directory in directories:
        opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


class BlobReader(io.RawIOBase):
    """A blob as a file, for a library whose callbacks must not raise. Reads of a buffer's size are worth a request.

    Such a library is called within `errors`, which raises what storage said in place of what the library made of it.
    """

    def __init__(self, store: ObjectStore, key: str) -> None:
        self._store = store
        self._key = key
        self._file: ReadableFile | None = None
        self._errors: list[Exception] = []

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        data = self._try(lambda file: bytes(file.read(len(view))), b"")
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._try(lambda file: file.seek(offset, whence), 0)

    def tell(self) -> int:
        return self._try(lambda file: file.tell(), 0)

    def _try(self, call: Callable[["ReadableFile"], T], otherwise: T) -> T:
        try:
            if self._file is None:
                self._file = obstore.open_reader(self._store, self._key, buffer_size=READ_BYTES)
            return call(self._file)
        except (BaseError, OSError) as error:
            self._errors.append(error)
            return otherwise

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Raises BackendError or NotFound if storage failed within the block."""
        self._errors.clear()
        try:
            yield
        finally:
            if self._errors:
                with _backend_errors(self._key):
                    raise self._errors[0]


@contextlib.contextmanager
def _backend_errors(key: str, *, writing: bool = False) -> Iterator[None]:
    """What is not found by who writes is the bucket or the folder: storage is away."""
    try:
        yield
    except (BaseError, OSError) as error:
        if isinstance(error, FileNotFoundError) and not writing:
            raise NotFound(f"There is no blob {key!r}.", code="no_such_blob") from error
        why = str(error).split("\n", 1)[0]  # obstore adds pages of its own state
        raise BackendError(f"Object storage failed at {key!r}: {why}", code="storage_unavailable") from error
