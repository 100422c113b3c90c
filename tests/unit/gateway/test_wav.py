"""A recording as one WAV file: any byte range of it is what the whole file has there."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wav import WavFile, header, parse_range
from parley.blobs import Blobs
from parley.errors import ClientError
from parley.store.recordings import AudioPart

SAMPLES = np.arange(1000, dtype="<i2")
PARTS = (AudioPart(0, 300, "r/a"), AudioPart(300, 301, "r/b"), AudioPart(301, 1000, "r/c"))


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Blobs:
    folder: Path = tmp_path_factory.mktemp("blobs")
    for part in PARTS:
        path = folder / part.blob_key
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(SAMPLES[part.start : part.end].tobytes())
    return Blobs(f"file://{folder}")


async def list_parts(first: int, last: int) -> list[AudioPart]:
    return [part for part in PARTS if part.end > first and part.start < last]


async def read(blobs: Blobs, start: int, end: int) -> bytes:
    return b"".join([piece async for piece in WavFile(1000).read(blobs, list_parts, start, end)])


async def test_the_whole_file_is_a_wav_of_all_samples(blobs: Blobs) -> None:
    with wave.open(io.BytesIO(await read(blobs, 0, WavFile(1000).size))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert file.readframes(2000) == SAMPLES.tobytes()


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (10, 50), (43, 45), (44, 46), (643, 647), (2043, 2044), (600, 2044)]
)
async def test_a_range_is_what_the_whole_file_has_there(blobs: Blobs, start: int, end: int) -> None:
    whole = header(1000) + SAMPLES.tobytes()
    assert await read(blobs, start, end) == whole[start:end]


def test_a_recording_without_audio_is_an_empty_wav() -> None:
    assert WavFile(0).size == 44


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("bytes=0-", (0, 100)),
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-500", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-500", (0, 100)),
        ("bytes=0-1,5-6", None),
        ("lines=1-2", None),
        ("bytes=", None),
        ("bytes=-", None),
        ("bytes=a-b", None),
        ("bytes=5", None),
        ("bytes=5-4", None),
        ("bytes=" + "9" * 5000 + "-", None),
    ],
)
def test_a_range_header_names_bytes_or_the_whole_file(value: str | None, expected: tuple[int, int] | None) -> None:
    assert parse_range(value, 100) == expected


@pytest.mark.parametrize("value", ["bytes=100-", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(value: str) -> None:
    with pytest.raises(ClientError, match="100 bytes"):
        parse_range(value, 100)


@given(st.text(max_size=30))
def test_no_range_header_raises_anything_else(value: str) -> None:
    try:
        found = parse_range(value, 100)
    except ClientError:
        return
    assert found is None or 0 <= found[0] < found[1] <= 100
