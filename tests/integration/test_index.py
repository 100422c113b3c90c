"""The contract of the index: the engine in this process, and a server's interface, do the same.

qdrant-client's local mode stands in for a server: it speaks through the same client, and nothing else uses it.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient

from parley.rag_wire import SearchFilters
from rag import words
from rag.edge_index import EdgePlace
from rag.index import Damaged, Found, Index, Place, Point, scope_of
from rag.passages import Passage, Source, Spoken, passages_of
from rag.server_index import ServerPlace

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning")  # of the stand-in
DIMENSION = 16
DAY = datetime(2026, 3, 7, 9, 30, tzinfo=UTC)
NO_WORDS = words.Sparse((), ())


@pytest.fixture(params=["embedded", "server"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    opened: Place = (
        EdgePlace(tmp_path / "index")
        if request.param == "embedded"
        else ServerPlace(AsyncQdrantClient(":memory:"), "memory")
    )
    yield opened
    await opened.close()


@pytest.fixture
async def index(place: Place) -> AsyncIterator[Index]:
    created = await place.create("passages", DIMENSION)
    yield created
    await created.close()


def vector(seed: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    drawn = np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)
    return drawn / np.linalg.norm(drawn)


def passage(text: str, owner: str = "alice", recording: str | None = None, **about: object) -> Passage:
    language = str(about.pop("language", "en"))
    speaker = about.pop("speaker", None)
    source = Source(owner, recording or str(uuid4()), None, DAY, **about)  # type: ignore[arg-type]
    if isinstance(about.get("created_at"), datetime):
        source = Source(owner, source.recording_id, None, about["created_at"])  # type: ignore[arg-type]
    return passages_of(source, [Spoken(0, 0, 1000, text, language, str(speaker) if speaker else None)])[0]


def at(when: datetime, text: str, owner: str = "alice") -> Passage:
    return passages_of(Source(owner, str(uuid4()), None, when), [Spoken(0, 0, 1000, text, "en")])[0]


def points(*passages: Passage) -> list[Point]:
    return [Point(each, vector(seed), words.of_passage(each.text, each.language)) for seed, each in enumerate(passages)]


def ids(found: Sequence[Found]) -> list[str]:
    return [each.id for each in found]


def asked(query: str) -> words.Sparse:
    return words.of_query(query, ["en"])


async def test_each_side_finds_the_nearest_first_with_all_that_is_shown(index: Index) -> None:
    stored = points(passage("the red fox jumps"), passage("a blue whale swims"), passage("red whales in a red sea"))
    await index.upsert(stored)
    found = await index.search(scope_of("alice"), vector(1), asked("red whale"), 10)
    assert len(found.dense) == 3
    assert found.dense[0].id == stored[1].passage.id
    assert found.dense[0].score == pytest.approx(1.0, abs=1e-4)
    assert found.words[0].id == stored[2].passage.id
    assert found.words[0].score > found.words[1].score > 0
    assert found.dense[0].vector == pytest.approx(vector(1), abs=1e-4)
    assert found.dense[0].payload == {
        "owner": "alice",
        "recording": stored[1].passage.source.recording_id,
        "date": DAY.isoformat(),
        "title": None,
        "language": "en",
        "tags": [],
        "speaker": None,
        "segments": [[0, 0, 1000, "a blue whale swims"]],
    }


async def test_a_side_that_is_given_nothing_finds_nothing(index: Index) -> None:
    await index.upsert(points(passage("the red fox")))
    found = await index.search(scope_of("alice"), None, asked("fox"), 10)
    assert (len(found.dense), len(found.words)) == (0, 1)
    found = await index.search(scope_of("alice"), vector(0), NO_WORDS, 10)
    assert (len(found.dense), len(found.words)) == (1, 0)
    assert (await index.search(scope_of("alice"), None, NO_WORDS, 10)).dense == ()


async def test_an_owner_finds_nothing_of_others(index: Index) -> None:
    mine, other = passage("the red fox", "alice"), passage("the red fox", "bob")
    await index.upsert(points(mine, other))
    for owner, expected in (("alice", [mine.id]), ("bob", [other.id]), ("carol", [])):
        found = await index.search(scope_of(owner), vector(0), asked("fox"), 10)
        assert ids(found.dense) == ids(found.words) == expected
    others_recording = SearchFilters(recording_id=other.source.recording_id)
    assert not (await index.search(scope_of("alice", others_recording), vector(0), asked("fox"), 10)).dense


async def test_filters_hold_for_both_sides(index: Index) -> None:
    german = passage("der rote fuchs red fox", language="de")
    tagged = passage("the red fox", tags=("work", "2026"))
    spoken = passage("the red fox again", speaker="anna")
    late = at(datetime(2026, 5, 1, tzinfo=UTC), "the red fox in may")
    await index.upsert(points(german, tagged, spoken, late))
    wanted = {
        german.id: SearchFilters(language="de"),
        tagged.id: SearchFilters(tag="work"),
        spoken.id: SearchFilters(speaker="anna"),
        late.id: SearchFilters(since=datetime(2026, 5, 1, tzinfo=UTC)),
    }
    for expected, filters in wanted.items():
        found = await index.search(scope_of("alice", filters), vector(9), asked("fox"), 10)
        assert ids(found.dense) == ids(found.words) == [expected], filters
    until = SearchFilters(until=DAY)
    assert len((await index.search(scope_of("alice", until), vector(9), asked("fox"), 10)).dense) == 3
    nothing = SearchFilters(tag="work", language="de")
    assert not (await index.search(scope_of("alice", nothing), vector(9), asked("fox"), 10)).dense


async def test_the_same_again_changes_nothing(index: Index) -> None:
    stored = points(passage("the red fox"), passage("a whale"))
    await index.upsert(stored)
    await index.upsert(stored)
    await index.upsert([])
    assert await index.count() == 2


async def test_it_says_which_passages_are_there(index: Index) -> None:
    stored = points(passage("the red fox"), passage("a whale"))
    await index.upsert(stored[:1])
    asked_for = [point.passage.id for point in stored]
    assert await index.present(asked_for) == {asked_for[0]}
    assert await index.present([]) == set()


async def test_what_is_not_kept_of_a_recording_is_gone_and_nothing_else(index: Index) -> None:
    recording = str(uuid4())
    first, second, other = passage("one", recording=recording), passage("two", recording=recording), passage("three")
    await index.upsert(points(first, second, other))
    await index.keep_only("alice", recording, [second.id])
    assert await index.present([first.id, second.id, other.id]) == {second.id, other.id}
    await index.keep_only("bob", recording, [])
    assert await index.count() == 2
    await index.keep_only("alice", recording, [])
    assert await index.present([first.id, second.id, other.id]) == {other.id}


async def test_it_knows_the_languages_of_its_passages(index: Index) -> None:
    assert await index.languages() == set()
    await index.upsert(points(passage("red"), passage("rot", language="de"), passage("blau", language="de")))
    assert await index.languages() == {"en", "de"}


async def test_an_index_that_is_missing_or_of_another_dimension_is_damaged(place: Place) -> None:
    created = await place.create("passages", DIMENSION)
    await created.close()
    with pytest.raises(Damaged, match=r"missing|no collection"):
        await place.open("nowhere", DIMENSION)
    with pytest.raises(Damaged, match="dimension 16, and 32 is noted"):
        await place.open("passages", 32)
    await (await place.open("passages", DIMENSION)).close()
    await place.drop("passages")
    await place.drop("passages")
    with pytest.raises(Damaged):
        await place.open("passages", DIMENSION)


async def test_a_new_index_is_empty_whatever_had_its_name(place: Place) -> None:
    first = await place.create("passages", DIMENSION)
    await first.upsert(points(passage("the red fox")))
    await first.close()
    second = await place.create("passages", 8)
    assert await second.count() == 0
    await second.close()
