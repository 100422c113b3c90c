"""The index follows the record: whatever is said, renamed, deleted; after kills, damage, and a change of the model."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from parley.embedded.server import RunningServer
from parley.errors import NotFound, SetupError
from parley.store import Recordings
from parley.tasks import background
from rag import keeper as keeping_module
from rag.embedding import Embedder, bundled_model
from tests.integration.rag_parts import Rag, embedder, keeping, opened, soon
from tests.integration.stores import own_database

LONG = "this is one of the many sentences of a very long meeting about nothing at all number"


@pytest.fixture
def database(server: RunningServer) -> Iterator[str]:
    with own_database(server) as url:
        yield url


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Another embedding model, of 32 dimensions: untrained, and as real as any."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import AutoTokenizer, BertConfig, BertModel

    parts, whole = tmp_path_factory.mktemp("bert"), tmp_path_factory.mktemp("small-model")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=30_522, **sizes)).save_pretrained(parts)
    AutoTokenizer.from_pretrained(bundled_model()).save_pretrained(parts)
    words = Transformer(str(parts))
    SentenceTransformer(modules=[words, Pooling(32)]).save(str(whole))
    return str(whole)


async def test_what_is_said_is_found_by_meaning_and_by_word(database: str, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as rag:
        await rag.speak("We agreed to raise the price of the bread.", title="Bakery")
        await rag.speak("The cat sleeps on the warm stove.", title="Pets")
        await soon(lambda: _has(rag, 2))
        assert (await rag.titles("what will a loaf cost from now on?"))[0] == "Bakery"
        assert (await rag.titles("a kitty having a nap"))[0] == "Pets"
        hit = (await rag.find("price of bread"))[0]
        assert [piece.text for piece in hit.segments[0].pieces if piece.match] == ["price", "bread"]
        assert (hit.start_ms, hit.end_ms, hit.at_ms) == (0, 4000, 0)
        assert hit.scores.dense is not None
        assert hit.scores.words is not None
        assert "alice" in rag.changed


async def test_a_running_recording_is_found_final_by_final_and_played_at_the_right_one(
    database: str, tmp_path: Path
) -> None:
    async with keeping(database, tmp_path) as rag:
        recording = await rag.speak("Good morning everybody.")
        await soon(lambda: rag.find("morning"))
        await rag.speak("Let us begin with the budget.", "Then comes the elephant.", into=recording)

        async def found() -> bool:
            return any(hit.at_ms == 8000 for hit in await rag.find("elephant"))

        await soon(found)
        assert len(await rag.find("elephant")) == 1
        assert await rag.shelf.current.index.count() == 1


async def test_a_rename_is_followed_and_a_deleted_recording_is_gone(database: str, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as rag:
        recording = await rag.speak("We talked about nothing in particular.", title="Untitled")
        await soon(lambda: rag.find("particular"))
        await Recordings(rag.pool, "alice").rename(recording, "Retrospective")

        async def renamed() -> bool:
            return await rag.titles("retrospective") == ["Retrospective"]

        await soon(renamed)
        assert await rag.shelf.current.index.count() == 1
        await Recordings(rag.pool, "alice").delete(recording)

        async def gone() -> bool:
            return not await rag.find("particular")

        await soon(gone)
        assert await rag.shelf.current.index.count() == 0
        assert await rag.pool.fetchval("SELECT count(*) FROM search_changes") == 0
        assert await rag.pool.fetchval("SELECT count(*) FROM search_done") == 0


async def test_what_was_said_renamed_and_deleted_while_it_was_away_is_found_out(database: str, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as rag:
        kept, renamed, deleted = [await rag.speak(f"the {name} sings", title=name) for name in ("lark", "wren", "crow")]
        await soon(lambda: _has(rag, 3))
    async with opened(database, tmp_path) as rag:  # nobody keeps the index meanwhile
        await rag.speak("the owl sings", title="owl")
        await Recordings(rag.pool, "alice").rename(renamed, "robin")
        await Recordings(rag.pool, "alice").delete(deleted)
        assert kept
    async with keeping(database, tmp_path) as rag:

        async def true() -> bool:
            return set(await rag.titles("sings")) == {"lark", "robin", "owl"}

        await soon(true)


async def _has(rag: Rag, passages: int) -> bool:
    return await rag.shelf.current.index.count() == passages


async def test_a_caller_can_wait_until_a_recording_is_found(database: str, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as rag:
        recording = await rag.speak(*(f"{LONG} {number}" for number in range(60)))
        passages = await rag.keeper.up_to_date("alice", recording)
        assert passages == await rag.shelf.current.index.count() > 3
        assert await rag.keeper.up_to_date("alice", "00000000-0000-4000-8000-000000000000") == 0
        with pytest.raises(NotFound):
            await rag.keeper.up_to_date("bob", recording)
        await Recordings(rag.pool, "alice").delete(recording)
        assert await rag.keeper.up_to_date("alice", recording) == 0
        assert await rag.shelf.current.index.count() == 0


async def test_a_final_is_found_before_a_long_recording_is_done(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping_module, "_AT_ONCE", 1)
    async with keeping(database, tmp_path) as rag:
        await rag.speak(*(f"{LONG} {number}" for number in range(400)), title="long")
        await rag.speak("a giraffe came in", title="short")
        await soon(lambda: rag.find("giraffe"))
        assert await rag.pool.fetchval("SELECT count(*) FROM search_done") == 1


async def test_indexing_that_is_interrupted_anywhere_leaves_nothing_missing_and_nothing_twice(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping_module, "_AT_ONCE", 2)
    async with opened(database, tmp_path) as rag:
        for title in ("one", "two", "three"):
            await rag.speak(*(f"{LONG} {title} {number}" for number in range(25)), title=title)
    for pause in (0.05, 0.2, 0.4, 0.1):
        async with opened(database, tmp_path) as rag:
            cut = asyncio.create_task(rag.keeper.run())
            await asyncio.sleep(pause)
            cut.cancel()
            await asyncio.wait((cut,))
    async with keeping(database, tmp_path) as rag:

        async def done() -> bool:
            return bool(await rag.pool.fetchval("SELECT count(*) = 3 FROM search_done"))

        await soon(done)
        noted = await rag.pool.fetchval("SELECT sum(passages) FROM search_done")
        assert await rag.shelf.current.index.count() == noted
        segments = {
            (hit.title, segment.number) for title in ("one", "two", "three") for hit in await rag.find(title)
            for segment in hit.segments
        }  # fmt: skip
        assert segments == {(title, number) for title in ("one", "two", "three") for number in range(25)}


async def test_a_damaged_index_is_built_anew_and_says_so(database: str, tmp_path: Path) -> None:
    async with keeping(database, tmp_path) as rag:
        await rag.speak("the red fox")
        await soon(lambda: rag.find("fox"))
        damaged = rag.shelf.current.name
    (tmp_path / damaged / "shard-1" / "edge_config.json").write_text("{")
    async with keeping(database, tmp_path) as rag:
        await soon(lambda: rag.find("fox"))
        assert rag.shelf.current.name != damaged
        assert "built anew from the database" in rag.shelf.current.row.notice
        assert not (tmp_path / damaged).exists()


async def test_another_model_means_another_index_and_searches_go_on_meanwhile(
    database: str, tmp_path: Path, small_model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with keeping(database, tmp_path) as rag:
        for number in range(6):
            await rag.speak(f"the red fox number {number}", title=f"fox {number}")
        await soon(lambda: _has(rag, 6))
        former = rag.shelf.current.name
    async with opened(database, tmp_path, small_model) as rag:
        assert rag.shelf.current.name == former
        assert rag.shelf.building is not None
        assert len(await rag.find("fox")) == 6
        async with background(rag.keeper.run()):
            while rag.shelf.current.name == former:
                assert len(await rag.find("fox")) == 6
                await asyncio.sleep(0.01)
            assert rag.shelf.current.row.dimension == 32
            assert len(await rag.find("fox")) == 6
            await soon(lambda: not (tmp_path / former).exists())
    async with opened(database, tmp_path, small_model) as rag:
        assert rag.shelf.current.row.model == small_model
        assert rag.shelf.building is None


async def test_where_the_former_model_is_gone_words_are_searched_until_the_new_index_is_there(
    database: str, tmp_path: Path, small_model: str
) -> None:
    def load(model: str) -> Embedder:
        if not model:
            raise SetupError("The model is gone.")
        return embedder(model)

    async with keeping(database, tmp_path) as rag:
        await rag.speak("the red fox", title="fox")
        await soon(lambda: rag.find("fox"))
    async with opened(database, tmp_path, small_model, load=load) as rag:
        (hit,) = await rag.find("fox")
        assert hit.scores.dense is None
        await rag.speak("the blue fox", title="blue")
        async with background(rag.keeper.run()):
            await soon(lambda: rag.shelf.building is None)
        assert set(await rag.titles("fox")) == {"fox", "blue"}


async def test_a_rebuild_that_is_asked_for_replaces_the_index_and_loses_no_change(
    database: str, tmp_path: Path
) -> None:
    async with keeping(database, tmp_path) as rag:
        recordings = [await rag.speak(f"the red fox number {number}") for number in range(8)]
        await soon(lambda: _has(rag, 8))
        former = rag.shelf.current.name
        await rag.keeper.rebuild()
        await Recordings(rag.pool, "alice").delete(recordings[0])
        await rag.speak("the blue whale")
        await soon(lambda: rag.shelf.current.name != former)
        await soon(lambda: rag.find("whale"))

        async def deleted() -> bool:
            return recordings[0] not in {hit.recording_id for hit in await rag.find("fox")}

        await soon(deleted)
        assert await rag.shelf.current.index.count() == 8
