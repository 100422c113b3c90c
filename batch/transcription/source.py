"""The file that a recording came as: copied to this machine while it is hashed, then decoded piece by piece."""

import contextlib
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from parley.audio import SAMPLE_RATE, Samples
from parley.blobs import Blobs
from parley.errors import BackendError, ClientError
from parley.media import EndsEarly, decode_file, in_chunks, probe
from parley.store.sources import Source, SourcePart, copy_source
from parley.tasks import to_its_end

CHUNK = 10 * SAMPLE_RATE
_OPEN_FILES = Path("/proc/self/fd")
_GUESSED_BYTES_A_SECOND = 8_000
"""Of a file that does not say how long it is."""


@dataclass(frozen=True, slots=True)
class LocalSource:
    """The file on this machine. `name`: what its owner calls it."""

    path: Path
    sha256: str
    name: str


@contextlib.asynccontextmanager
async def local_source(blobs: Blobs, source: Source, parts: list[SourcePart]) -> AsyncIterator[LocalSource]:
    """The file, for as long as the block runs. Where it can, it has no name: a crash leaves nothing of it.

    Raises ClientError where the recording has no file, BackendError where storage is away or the disk is full.
    """
    if not parts:
        raise ClientError("This recording did not come as a file, or its file is not there.", code="no_source")
    path, file = await to_its_end(_temporary_file)
    try:
        try:
            sha256 = await copy_source(blobs, parts, file)
            await to_its_end(file.flush)
        except OSError as error:
            raise BackendError(f"The file cannot be copied to this machine: {error}.", code="disk_full") from error
        yield LocalSource(path, sha256, source.name or "the file")
    finally:
        await to_its_end(partial(_let_go, path, file))


def _temporary_file() -> tuple[Path, BinaryIO]:
    descriptor, name = tempfile.mkstemp(prefix="parley-source-")
    path, file = Path(name), os.fdopen(descriptor, "w+b")
    if _OPEN_FILES.is_dir():
        path.unlink()
        path = _OPEN_FILES / str(descriptor)
    return path, file


def _let_go(path: Path, file: BinaryIO) -> None:
    if path.parent != _OPEN_FILES:
        path.unlink()
    file.close()


class Decoding:
    """One pass over the file's audio. `ends_early`: why not all of it was there, once all was read."""

    def __init__(self, source: LocalSource) -> None:
        self._source = source
        self.ends_early: str | None = None
        self.samples = 0

    async def chunks(self) -> AsyncGenerator[Samples, None]:
        """int16 mono at 16 kHz, in pieces of ten seconds. Raises ClientError for what is no audio.

        In a thread: a chunk takes some 20 ms.
        """
        chunks = in_chunks(self._pieces(), CHUNK)
        while (chunk := await to_its_end(partial(next, chunks, None))) is not None:
            self.samples += len(chunk)
            yield chunk

    def _pieces(self) -> Iterator[Samples]:
        try:
            yield from decode_file(self._source.path, name=self._source.name)
        except EndsEarly as error:
            self.ends_early = error.message


async def expected_samples(source: LocalSource) -> int:
    """Samples that the file says it holds, or a guess. Raises ClientError for what is no audio."""
    media = await to_its_end(partial(probe, source.path, name=source.name))
    if media.duration_s is not None:
        return round(media.duration_s * SAMPLE_RATE)
    return source.path.stat().st_size * SAMPLE_RATE // _GUESSED_BYTES_A_SECOND
