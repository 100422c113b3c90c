"""Object storage by URL (a folder, S3, GCS, Azure), through obstore. Keys are slash-separated paths."""

import contextlib
from collections.abc import Iterator

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from parley.errors import BackendError, NotFound, SetupError


class Blobs:
    """One store. Every call raises BackendError where the storage does not answer."""

    def __init__(self, url: str) -> None:
        """Raises SetupError for a URL that names no storage."""
        try:
            self._store = from_url(url, mkdir=True) if url.startswith("file:") else from_url(url)
        except (BaseError, ValueError, OSError) as error:
            raise SetupError(f"Object storage {url!r} cannot be used: {error}") from error

    async def put(self, key: str, data: bytes) -> None:
        """Writes the whole blob; what was under `key` before is replaced."""
        with _backend_errors(key):
            await obstore.put_async(self._store, key, data)

    async def get_range(self, key: str, start: int, end: int) -> bytes:
        """Bytes [start, end) of a blob. Raises NotFound where there is no such blob."""
        with _backend_errors(key):
            return bytes(await obstore.get_range_async(self._store, key, start=start, end=end))

    async def delete_prefix(self, prefix: str) -> None:
        """Removes every blob whose key begins with `prefix` and a slash."""
        with _backend_errors(prefix):
            async for listed in obstore.list(self._store, prefix=prefix):
                await obstore.delete_async(self._store, [meta["path"] for meta in listed])

    async def check(self) -> None:
        """Raises BackendError unless the storage answers."""
        with _backend_errors("the storage's listing"):
            async for _ in obstore.list(self._store, prefix="recordings/none", chunk_size=1):
                break


@contextlib.contextmanager
def _backend_errors(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFound(f"There is no blob {key!r}.", code="no_such_blob") from error
    except (BaseError, OSError) as error:
        raise BackendError(f"Object storage failed at {key!r}: {error}", code="storage_unavailable") from error
