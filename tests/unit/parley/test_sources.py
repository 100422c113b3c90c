"""The bytes of a file that came in parts: put together as they were, or said to be gone."""

import hashlib
import io

import pytest

from parley.blobs import Blobs
from parley.errors import ClientError
from parley.store.sources import SourcePart, copy_source, new_source_key, source_prefix

BODY = bytes(range(256)) * 40_000  # 10 MB: several reads


@pytest.fixture
def blobs() -> Blobs:
    return Blobs("memory:///")


async def kept(blobs: Blobs, *ends: int) -> list[SourcePart]:
    parts, start = [], 0
    for end in ends:
        part = SourcePart(start, end, new_source_key("r", start))
        await blobs.put(part.blob_key, BODY[start:end])
        parts.append(part)
        start = end
    return parts


@pytest.mark.parametrize("ends", [(len(BODY),), (1, 5_000_000, len(BODY))])
async def test_parts_are_put_together_and_hashed(blobs: Blobs, ends: tuple[int, ...]) -> None:
    file = io.BytesIO()
    assert await copy_source(blobs, await kept(blobs, *ends), file) == hashlib.sha256(BODY).hexdigest()
    assert file.getvalue() == BODY


async def test_a_file_that_is_no_longer_whole_is_not_taken_for_one(blobs: Blobs) -> None:
    first, second, third = await kept(blobs, 10, 20, 30)
    longer = SourcePart(20, 31, third.blob_key)
    for parts in ([first, third], [second, third], [first, second, longer], [SourcePart(0, 10, "sources/r/gone")]):
        with pytest.raises(ClientError, match="no longer whole") as lost:
            await copy_source(blobs, parts, io.BytesIO())
        assert lost.value.code == "source_lost"


def test_two_that_write_the_same_bytes_do_not_write_to_the_same_blob() -> None:
    keys = {new_source_key("r", 0) for _ in range(10)}
    assert len(keys) == 10
    assert all(key.startswith(f"{source_prefix('r')}/") for key in keys)
