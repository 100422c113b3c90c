"""What is particular to the index in a folder: it outlives its process, tells of damage, improves beside searches."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from parley.errors import SetupError
from rag import edge_index
from rag.edge_index import EdgeIndex, EdgePlace
from rag.index import Damaged, scope_of
from tests.integration.test_index import DIMENSION, asked, ids, passage, points, vector

WRITER = """
import asyncio, sys
from pathlib import Path
from rag.edge_index import EdgePlace
from tests.integration.test_index import DIMENSION, passage, points

async def write():
    index = await EdgePlace(Path(sys.argv[1])).create("passages", DIMENSION)
    await index.upsert(points(passage("the red fox"), passage("a blue whale")))
    print("written", flush=True)
    await asyncio.sleep(60)

asyncio.run(write())
"""


def killed_writer(folder: Path) -> None:
    """A process that wrote two passages and was killed before it could close anything."""
    with subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)


async def test_what_was_written_is_there_after_a_kill_and_the_index_says_that_there_was_one(tmp_path: Path) -> None:
    killed_writer(tmp_path)
    place = EdgePlace(tmp_path)
    index = await place.open("passages", DIMENSION)
    assert index.was_killed
    assert await index.count() == 2
    assert (await index.search(scope_of("alice"), vector(0), asked("fox"), 5)).words
    await index.close()
    again = await place.open("passages", DIMENSION)
    assert not again.was_killed
    await again.close()
    await place.close()


@pytest.mark.parametrize("damage", ["segments", "config", "pointer"])
async def test_a_damaged_folder_is_told(tmp_path: Path, damage: str) -> None:
    place = EdgePlace(tmp_path)
    index = await place.create("passages", DIMENSION)
    await index.upsert(points(passage("the red fox")))
    await index.close()
    shard = tmp_path / "passages" / "shard-1"
    match damage:
        case "segments":
            for file in shard.rglob("segment.json"):
                file.write_bytes(b"\0" * 100)
        case "config":
            (shard / "edge_config.json").write_text("{")
        case "pointer":
            (tmp_path / "passages" / "current").unlink()
    with pytest.raises(Damaged):
        await place.open("passages", DIMENSION)
    await place.close()


async def test_one_process_has_the_folder(tmp_path: Path) -> None:
    place = EdgePlace(tmp_path)
    with pytest.raises(SetupError, match="Another rag service has the index"):
        EdgePlace(tmp_path)
    await place.close()
    await EdgePlace(tmp_path).close()


async def test_searches_and_writes_go_on_while_a_copy_is_improved_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_index, "WORTH_IMPROVING", 100)
    place = EdgePlace(tmp_path)
    index = await place.create("passages", DIMENSION)
    stored = points(*(passage(f"passage number {number}") for number in range(300)))
    await index.upsert(stored)
    improving = asyncio.create_task(index.improve())
    written = 0
    while not improving.done():
        late = passage(f"late {written}")
        await index.upsert(points(late))
        await index.keep_only("alice", stored[written].passage.source.recording_id, [])
        assert late.id in ids((await index.search(scope_of("alice"), vector(0), asked(f"late {written}"), 300)).words)
        written += 1
        await asyncio.sleep(0.01)
    await improving
    assert written > 3
    assert await index.count() == 300
    assert len(list((tmp_path / "passages").glob("shard-*"))) == 1
    await index.close()
    reopened = await place.open("passages", DIMENSION)
    assert await reopened.count() == 300
    await reopened.close()
    await place.close()


async def test_improving_that_fails_leaves_the_index_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_index, "WORTH_IMPROVING", 1)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    place = EdgePlace(tmp_path)
    index: EdgeIndex = await place.create("passages", DIMENSION)
    await index.upsert(points(passage("the red fox")))
    with pytest.raises(Exception, match="could not be improved"):
        await index.improve()
    await index.upsert(points(passage("a whale")))
    assert await index.count() == 2
    await index.close()
    await place.close()
