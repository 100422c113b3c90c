"""Object storage: what was put is there, whole, also after a power cut; what was removed is gone."""

import asyncio
import io
import os
from pathlib import Path

import pytest

from parley.blobs import Blobs
from parley.errors import BackendError, NotFound, SetupError


@pytest.fixture(params=["folder", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return Blobs(f"file://{tmp_path}/a%20folder" if request.param == "folder" else "memory:///")


async def test_what_was_put_is_there_by_range(blobs: Blobs) -> None:
    await blobs.put("r/1/a", b"0123456789")
    assert await blobs.get_range("r/1/a", 2, 5) == b"234"


async def test_a_blob_is_its_pieces_one_behind_the_other(blobs: Blobs) -> None:
    pieces = [memoryview(bytes([number % 256])) for number in range(1500)]
    await blobs.put("a", *pieces, b"", b"end")
    assert await blobs.get_range("a", 0, 2000) == b"".join(pieces) + b"end"


async def test_a_range_gives_what_the_blob_has_of_it(blobs: Blobs) -> None:
    await blobs.put("a", b"0123")
    await blobs.put("empty", b"")
    assert [await blobs.get_range("a", start, 9) for start in (2, 4, 7)] == [b"23", b"", b""]
    assert await blobs.get_range("empty", 0, 9) == b""


async def test_putting_again_replaces(blobs: Blobs) -> None:
    await blobs.put("a", b"a long first")
    await blobs.put("a", b"second")
    assert await blobs.get_range("a", 0, 99) == b"second"


async def test_a_file_is_put_from_where_it_stands(blobs: Blobs) -> None:
    large = os.urandom(12_000_000)
    file = io.BytesIO(b"head" + large)
    file.seek(4)
    await blobs.put_file("large", file)
    assert await blobs.get_range("large", 0, 13_000_000) == large


async def test_keys_are_those_in_the_folder_of_the_prefix(blobs: Blobs) -> None:
    for key in ("r/1/a", "r/1/sub/b", "r/10/c"):
        await blobs.put(key, b"x")
    assert sorted(await blobs.keys("r/1")) == ["r/1/a", "r/1/sub/b"]
    assert await blobs.keys("none") == []


async def test_deleting_leaves_the_others_and_does_not_mind_what_is_gone(blobs: Blobs) -> None:
    for key in ("r/a", "r/b", "r/c"):
        await blobs.put(key, b"x")
    await blobs.delete(["r/a", "r/gone", "nowhere/gone", "r/b"])
    await blobs.delete([])
    assert await blobs.keys("r") == ["r/c"]


async def test_deleting_a_prefix_leaves_its_neighbours(blobs: Blobs) -> None:
    for key in ("r/1/a", "r/1/sub/b", "r/10/c"):
        await blobs.put(key, b"x")
    await blobs.delete_prefix("r/1")
    await blobs.delete_prefix("r/1")
    assert await blobs.keys("r") == ["r/10/c"]


async def test_a_blob_that_is_not_there_is_not_found(blobs: Blobs) -> None:
    with pytest.raises(NotFound, match="'a/b'"):
        await blobs.get_range("a/b", 0, 1)
    reader = blobs.open("a/b")
    with pytest.raises(NotFound, match="'a/b'"), reader.errors():
        assert reader.read(1) == b""


async def test_a_reader_seeks_like_a_file(blobs: Blobs) -> None:
    await blobs.put("a", b"0123456789")
    reader = blobs.open("a")
    with reader.errors():
        assert (reader.read(3), reader.tell()) == (b"012", 3)
        assert (reader.seek(-2, os.SEEK_END), reader.read()) == (8, b"89")
        assert (reader.seek(4), reader.read(2)) == (4, b"45")


async def test_many_writers_at_once_get_in_nobodys_way(blobs: Blobs) -> None:
    await asyncio.gather(*(blobs.put(f"new/{i % 7}/{i}", bytes([i])) for i in range(100)))
    assert len(await blobs.keys("new")) == 100


async def test_a_folder_is_told_to_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every new directory in the one above it, the bytes, and then the name in its directory."""
    blobs = Blobs(f"file://{tmp_path}")
    told: list[str] = []
    fsync = os.fsync

    def observed(opened: int) -> None:
        path = Path(f"/proc/self/fd/{opened}").resolve()
        told.append("bytes" if path.suffix == ".partial" else str(path.relative_to(tmp_path)))
        fsync(opened)

    monkeypatch.setattr(os, "fsync", observed)
    await blobs.put("r/1/a", b"x")
    assert told == [".", "r", "bytes", "r/1"]
    told.clear()
    await blobs.put("r/1/b", b"x")
    await blobs.delete(["r/1/b"])
    await blobs.delete_prefix("r/1")
    assert told == ["bytes", "r/1", "r/1", "r"]


async def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = Blobs(f"file://{tmp_path}")
    await blobs.put("r/a", b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BackendError, match="No space left") as raised:
        await blobs.put("r/a", b"after")
    assert raised.value.code == "storage_unavailable"
    assert [files for *_, files in os.walk(tmp_path)] == [[], ["a"]]
    assert await blobs.get_range("r/a", 0, 99) == b"before"


async def test_a_folder_that_is_gone_is_storage_that_is_away(tmp_path: Path) -> None:
    root = tmp_path / "blobs"
    blobs = Blobs(root.as_uri())
    root.rmdir()
    root.touch()  # a file in its place: as root no mode keeps the folder from being made again
    with pytest.raises(BackendError, match="storage failed"):
        await blobs.put("a/b", b"x")


async def test_a_deleted_prefix_leaves_no_empty_folder(tmp_path: Path) -> None:
    blobs = Blobs(f"file://{tmp_path}")
    await blobs.put("r/1/audio/a", b"x")
    await blobs.delete_prefix("r/1")
    assert [found for _, *found in os.walk(tmp_path)] == [[["r"], []], [[], []]]


def test_a_url_that_names_no_storage_is_refused_in_one_sentence() -> None:
    with pytest.raises(SetupError, match="cannot be used"):
        Blobs("ftp://nowhere")
