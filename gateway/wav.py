"""A recording's parts as one WAV file, computed on the fly: any byte range, also while it is still being recorded."""

import re
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

from parley.audio import SAMPLE_RATE
from parley.blobs import Blobs
from parley.durable import ListParts, read_recording
from parley.errors import ClientError

HEADER_BYTES = 44
_SAMPLE_BYTES = 2
_MAX_DATA_BYTES = 0xFFFF_FFFF - HEADER_BYTES
_RANGE = re.compile(r"bytes=\s*([0-9]{0,18})-([0-9]{0,18})\s*")


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
    """The file of a recording with `samples` durable samples."""

    samples: int

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        return HEADER_BYTES + self.samples * _SAMPLE_BYTES

    async def read(self, blobs: Blobs, list_parts: ListParts, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes [start, end) of the file, some seconds at a time. `list_parts` tells the parts that hold samples."""
        if start < HEADER_BYTES:
            yield header(self.samples)[start:end]
        first = max(0, start - HEADER_BYTES) // _SAMPLE_BYTES
        last = max(first, -(-(end - HEADER_BYTES) // _SAMPLE_BYTES))
        at = HEADER_BYTES + first * _SAMPLE_BYTES
        async for samples in read_recording(blobs, list_parts, first, last):
            data = samples.astype("<i2", copy=False).tobytes()
            yield data[max(start - at, 0) : end - at]
            at += len(data)


def parse_range(value: str | None, size: int) -> tuple[int, int] | None:
    """The bytes [start, end) that a Range header asks for; None for the whole file.

    One range is honoured; several, a unit that is not bytes, or what is no range give the whole file, as RFC 9110
    (14.2) allows. Raises ClientError (`range_not_satisfiable`) for a range beyond the end.
    """
    matched = _RANGE.fullmatch(value or "")
    if matched is None or not any(matched.groups()):
        return None
    first, last = matched.groups()
    if first and last and int(last) < int(first):
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
