"""Reading durable audio back: any samples of a recording, whatever form its parts have.

A part is raw PCM (`.pcm`) while its recording is young, and FLAC (`.flac`) after compaction; a resumed recording has
both. Nothing here holds more than a block of audio in memory.
"""

import asyncio
import contextlib
import io
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import numpy as np
import soundfile

from parley.audio import SAMPLE_RATE, Samples
from parley.blobs import READ_BYTES, BlobReader, Blobs
from parley.errors import NotFound, ParleyError
from parley.store.recordings import AudioPart

FLAC = ".flac"
BLOCK_SAMPLES = 8 * SAMPLE_RATE
_SAMPLE_BYTES = 2
_REQUESTS_AHEAD = 8  # a cloud's latency is ten times the transfer of a part of 2 s

ListParts = Callable[[int, int], Awaitable[Sequence[AudioPart]]]
"""The parts that hold any of the samples [first, last), in order."""


def blob_prefix(recording_id: str) -> str:
    """Where everything of one recording lies in object storage."""
    return f"recordings/{recording_id}"


async def read_samples(blobs: Blobs, parts: Sequence[AudioPart], first: int, last: int) -> AsyncIterator[Samples]:
    """Samples [first, last) in order, int16 of shape (n,), 0 < n <= BLOCK_SAMPLES. `parts` are in order.

    Raises BackendError (`storage_unavailable`) where storage does not answer, ParleyError where the audio itself is
    not there (`audio_missing`: no part, or no blob of it) or is not what was written (`audio_damaged`).
    """
    waiting: deque[asyncio.Task[Samples]] = deque()
    try:
        for part, start, end in _pieces(parts, first, last):
            if part.blob_key.endswith(FLAC):
                while waiting:
                    yield await waiting.popleft()
                async for block in _read_flac(blobs, part, start, end):
                    yield block
                continue
            waiting.append(asyncio.create_task(_read_pcm(blobs, part, start, end)))
            if len(waiting) == _REQUESTS_AHEAD:
                yield await waiting.popleft()
        while waiting:
            yield await waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def read_recording(blobs: Blobs, list_parts: ListParts, first: int, last: int) -> AsyncIterator[Samples]:
    """Like `read_samples`, of the parts that `list_parts(first, last)` tells.

    They are listed again where a blob is gone: compaction may have put another in its place since.
    """
    position = first
    parts = await list_parts(first, last)
    while position < last:
        try:
            async for block in read_samples(blobs, parts, position, last):
                yield block
                position += len(block)
        except ParleyError as error:
            listed = await list_parts(position, last)
            if error.code != "audio_missing" or set(listed) <= set(parts):
                raise
            parts = listed


def _pieces(parts: Sequence[AudioPart], first: int, last: int) -> Iterator[tuple[AudioPart, int, int]]:
    """What to read of which part, in its own samples: FLAC whole, PCM a block at a time."""
    position = first
    for part in parts:
        if part.start > position:
            break
        end = min(part.end, last)
        step = part.end if part.blob_key.endswith(FLAC) else BLOCK_SAMPLES
        for start in range(position, end, step):
            yield part, start - part.start, min(start + step, end) - part.start
        position = max(position, end)
    if position < last:
        raise ParleyError(f"No part has the samples from {position} to {last}.", code="audio_missing")


async def _read_pcm(blobs: Blobs, part: AudioPart, start: int, end: int) -> Samples:
    """Samples [start, end) of a part of raw samples, in one request."""
    with _audio_errors(part):
        data = await blobs.get_range(part.blob_key, start * _SAMPLE_BYTES, end * _SAMPLE_BYTES)
        return _whole(part, np.frombuffer(data, "<i2", count=len(data) // _SAMPLE_BYTES), start, end)


async def _read_flac(blobs: Blobs, part: AudioPart, start: int, end: int) -> AsyncIterator[Samples]:
    """Samples [start, end) of a part in FLAC, a block at a time, decoded in threads.

    The file is never closed by hand: a read that was cancelled may still run in its thread, and to close it beneath
    libsndfile is a crash. The last reference closes it.
    """
    with _audio_errors(part):
        flac = await asyncio.to_thread(_Flac, blobs.open(part.blob_key), part)
        for position in range(start, end, BLOCK_SAMPLES):
            until = min(position + BLOCK_SAMPLES, end)
            yield _whole(part, await asyncio.to_thread(flac.read, position, until), position, until)


class _Flac:
    """A part in FLAC, read from where it lies. Every call blocks."""

    def __init__(self, reader: BlobReader, part: AudioPart) -> None:
        self._reader = reader
        with reader.errors():
            self._file = soundfile.SoundFile(io.BufferedReader(reader, READ_BYTES))
        form = (self._file.samplerate, self._file.channels, self._file.subtype)
        if form != (SAMPLE_RATE, 1, "PCM_16") or self._file.frames != part.end - part.start:
            raise _damaged(part, f"it holds {self._file.frames} samples of {form}")

    def read(self, start: int, end: int) -> Samples:
        """Samples [start, end); fewer where the file ends before."""
        with self._reader.errors():
            if self._file.tell() != start:
                self._file.seek(start)
            return np.asarray(self._file.read(end - start, dtype="int16"))


def _whole(part: AudioPart, samples: Samples, start: int, end: int) -> Samples:
    if len(samples) != end - start:
        raise _damaged(part, f"it ends after {start + len(samples)} of {part.end - part.start} samples")
    return samples


def _damaged(part: AudioPart, why: str) -> ParleyError:
    return ParleyError(f"{part.blob_key!r} is damaged: {why.rstrip('.')}.", code="audio_damaged")


@contextlib.contextmanager
def _audio_errors(part: AudioPart) -> Iterator[None]:
    try:
        yield
    except NotFound as error:
        raise ParleyError(f"Audio is missing: {error.message}", code="audio_missing") from error
    except soundfile.SoundFileError as error:
        raise _damaged(part, str(error)) from error
