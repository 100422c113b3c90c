"""A recording's parts as one WAV file, computed on the fly: any byte range, also while it is still being recorded."""

import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

from parley.audio import SAMPLE_RATE
from parley.blobs import Blobs
from parley.errors import ClientError
from parley.store.recordings import AudioPart

HEADER_BYTES = 44
_SAMPLE_BYTES = 2
_MAX_DATA_BYTES = 0xFFFF_FFFF - HEADER_BYTES


def header(samples: int) -> bytes:
    """The 44 bytes of a RIFF WAVE header for `samples` of int16 mono at 16 kHz (36 hours at most fit its fields)."""
    data_bytes = min(samples * _SAMPLE_BYTES, _MAX_DATA_BYTES)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF", data_bytes + HEADER_BYTES - 8, b"WAVE",
        b"fmt ", 16, 1, 1, SAMPLE_RATE, SAMPLE_RATE * _SAMPLE_BYTES, _SAMPLE_BYTES, 16,
        b"data", data_bytes,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class WavFile:
    """The file; `parts` are contiguous and in order."""

    parts: tuple[AudioPart, ...]

    @property
    def samples(self) -> int:
        return self.parts[-1].end if self.parts else 0

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return HEADER_BYTES + self.samples * _SAMPLE_BYTES

    async def read(self, blobs: Blobs, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes [start, end) of the file, a part at a time."""
        if start < HEADER_BYTES:
            yield header(self.samples)[start:end]
        for part in self.parts:
            first = HEADER_BYTES + part.start * _SAMPLE_BYTES
            last = HEADER_BYTES + part.end * _SAMPLE_BYTES
            if last > start and first < end:
                yield await blobs.get_range(part.blob_key, max(start, first) - first, min(end, last) - first)


def parse_range(value: str | None, size: int) -> tuple[int, int] | None:
    """The bytes [start, end) that a Range header asks for; None for the whole file.

    One range is honoured; several, or a unit that is not bytes, give the whole file, as RFC 9110 (14.2) allows.
    Raises ClientError (`range_not_satisfiable`) for a range beyond the end.
    """
    if value is None or not value.startswith("bytes=") or "," in value:
        return None
    first, dash, last = value.removeprefix("bytes=").strip().partition("-")
    if not dash or not (first or last) or any(part and not part.isdecimal() for part in (first, last)):
        return None
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    else:
        start, end = max(0, size - int(last)), size
    if start >= end:
        raise ClientError(
            f"The range {value!r} lies beyond the {size} bytes of the file.", code="range_not_satisfiable"
        )
    return start, end
