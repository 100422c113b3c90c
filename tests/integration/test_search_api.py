"""Search through a whole server: what was said, also just now; bad input; the search service away and back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from parley import store
from parley.embedded.server import RunningServer, running_server
from parley.errors import BackendError, ClientError
from parley.rag_client import RagClient
from parley.rag_wire import SearchRequest
from parley.reindex import rag_address
from parley.settings import Settings
from parley.store import Recordings, RecordingWriter
from parley.transcript import Segment, Word
from tests.conftest import CLIPS, MINI_WHISPER
from tests.integration.live import eventually, speak

OWNER = "local"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A whole Parley, with search."""
    with running_server(env={"PARLEY_ENGINE__MODEL": str(MINI_WHISPER)}, rag=True) as running:
        yield running


@pytest.fixture
async def http(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.base_url, timeout=30) as client:
        yield client


def rag_of(server: RunningServer) -> RagClient:
    return RagClient(*rag_address(Settings(data=server.data), server.data))


async def spoken(server: RunningServer, *texts: str, title: str | None = None, owner: str = OWNER) -> str:
    """A finished recording with these finals."""
    pool = await store.connect(server.database_url, max_size=1)
    try:
        writer = RecordingWriter.new(pool, owner)
        await writer.create(title=title)
        for number, text in enumerate(texts):
            words = tuple(Word(word, number * 64_000, number * 64_000 + 64_000, 0.9) for word in text.split())
            final = Segment(number, number * 64_000, (number + 1) * 64_000, words, "en", 0.9)
            await writer.add_segment(final, resume_at=final.end, continues=False)
        await writer.finish("finished")
        return writer.recording_id
    finally:
        pool.terminate()


async def found(http: httpx.AsyncClient, q: str, **query: Any) -> list[dict[str, Any]]:
    answer = await http.get("/api/v1/search", params={"q": q, **query})
    if answer.status_code == 503:  # rag is still opening its model
        assert answer.json()["error"]["code"] == "rag_unavailable"
        return []
    assert answer.status_code == 200, answer.text
    hits: list[dict[str, Any]] = answer.json()["hits"]
    return hits


async def until_found(http: httpx.AsyncClient, q: str, recording: str) -> dict[str, Any]:
    """The hit in that recording, once there is one."""
    hits: list[dict[str, Any]] = []

    async def there() -> bool:
        hits[:] = [hit for hit in await found(http, q) if hit["recording_id"] == recording]
        return bool(hits)

    await eventually(there, 90)
    return hits[0]


async def test_a_hit_says_what_where_and_why(server: RunningServer, http: httpx.AsyncClient) -> None:
    recording = await spoken(server, "Good morning.", "The invoice for the bicycle is paid.", title="Accounts")
    hit: dict[str, Any] = {}

    async def by_both_sides() -> bool:
        """One side may look before it is there, and the other after."""
        hit.update(await until_found(http, "bicycle invoices", recording))
        return hit["scores"]["words"] is not None

    await eventually(by_both_sides, 90)
    assert (hit["title"], hit["language"], hit["start_ms"], hit["end_ms"], hit["at_ms"]) == (
        *("Accounts", "en"),
        *(0, 8000, 4000),
    )
    marked = [piece["text"] for piece in hit["segments"][1]["pieces"] if piece["match"]]
    assert marked == ["invoice", "bicycle"]
    assert hit["scores"]["dense"] > 0.2
    assert hit["scores"]["words"] > 0


async def test_a_recording_that_was_just_spoken_is_found_and_a_deleted_one_is_not(
    server: RunningServer, http: httpx.AsyncClient
) -> None:
    heard = await speak(server.base_url, CLIPS[0])
    hit = await until_found(http, heard.text, heard.recording_id)
    assert hit["segments"]
    assert (await http.delete(f"/api/v1/recordings/{heard.recording_id}")).status_code == 204

    async def gone() -> bool:
        return heard.recording_id not in {hit["recording_id"] for hit in await found(http, heard.text)}

    await eventually(gone)


async def test_searches_are_remembered_until_something_changes(server: RunningServer, http: httpx.AsyncClient) -> None:
    recording = await spoken(server, "The walrus is on the beach.")
    await until_found(http, "walrus", recording)

    async def remembered() -> bool:
        return (await http.get("/api/v1/search", params={"q": "walrus"})).headers["X-Search-Source"] == "cache"

    await eventually(remembered)
    renamed = await http.patch(f"/api/v1/recordings/{recording}", json={"title": "Seals"})
    assert renamed.status_code == 200

    async def told() -> bool:
        return [hit["title"] for hit in await found(http, "walrus") if hit["recording_id"] == recording] == ["Seals"]

    await eventually(told)


async def test_filters_and_pages(server: RunningServer, http: httpx.AsyncClient) -> None:
    recordings = [await spoken(server, f"The otter swims, take {number}.") for number in range(5)]
    for recording in recordings:
        await until_found(http, "otter swims", recording)
    (hit,) = await found(http, "otter swims", recording=recordings[2])
    assert hit["recording_id"] == recordings[2]
    assert await found(http, "otter swims", until="2020-01-01") == []
    assert await found(http, "otter swims", language="fr") == []
    assert await found(http, "otter swims", since="2020-01-01", language="en")
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        page = (await http.get("/api/v1/search", params={"q": "otter swims", "limit": 2, "offset": offset})).json()
        seen += [hit["recording_id"] for hit in page["hits"]]
        offset = page["next_offset"]
    assert set(recordings) <= set(seen)
    assert len(seen) == len(set(seen))


async def test_nothing_of_another_owner_is_found(server: RunningServer, http: httpx.AsyncClient) -> None:
    theirs = await spoken(server, "The secret of the chameleon.", owner="somebody-else")
    mine = await spoken(server, "A chameleon without secrets.")
    await until_found(http, "chameleon", mine)
    async with rag_of(server) as rag:
        assert await rag.index("somebody-else", theirs) == 1
        answer = await rag.search(SearchRequest(owner="somebody-else", query="chameleon"))
        assert {hit.recording_id for hit in answer.hits} == {theirs}
    assert theirs not in {hit["recording_id"] for hit in await found(http, "secret chameleon", limit=50)}
    refused = await http.get("/api/v1/search", params={"q": "chameleon", "recording": theirs})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "no_such_recording")


@pytest.mark.parametrize(
    ("query", "status", "code", "named"),
    [
        ({"q": ""}, 400, "empty_query", "no letters or digits"),
        ({"q": "  \n "}, 400, "empty_query", "no letters or digits"),
        ({"q": "🦊🦊"}, 400, "empty_query", "no letters or digits"),
        ({"q": "fox " * 2500}, 400, "query_too_long", "10000 characters"),
        ({}, 400, "bad_request", "q"),
        ({"q": "fox", "recording": "nonsense"}, 404, "no_such_recording", "nonsense"),
        ({"q": "fox", "recording": "0c6a8c66-1b53-4ad5-9c3c-2c7e6a0a1c55"}, 404, "no_such_recording", "0c6a8c66"),
        ({"q": "fox", "since": "2026-05-02", "until": "2026-05-01"}, 400, "bad_filter", "2026-05-02"),
        ({"q": "fox", "since": "yesterday"}, 400, "bad_request", "yesterday"),
        ({"q": "fox", "limit": "51"}, 400, "bad_request", "51"),
        ({"q": "fox", "colour": "red"}, 400, "bad_request", "colour"),
    ],
)
async def test_bad_input_is_told_in_plain_words(
    http: httpx.AsyncClient, query: dict[str, str], status: int, code: str, named: str
) -> None:
    answer = await http.get("/api/v1/search", params=query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert named in answer.json()["error"]["message"]


async def test_without_the_token_nothing_is_told(server: RunningServer) -> None:
    url, token = rag_address(Settings(data=server.data), server.data)
    async with httpx.AsyncClient(base_url=url) as stranger:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": token}):
            answer = await stranger.get("/v1/status", headers=headers)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
        assert (await stranger.get("/metrics")).status_code == 200
    async with RagClient(url, "wrong") as wrong:
        with pytest.raises(BackendError) as refused:
            await wrong.status()
    assert refused.value.code == "rag_unavailable"


async def test_texts_are_embedded_for_others(server: RunningServer) -> None:
    async with rag_of(server) as rag:

        async def ready() -> bool:
            try:
                return (await rag.status()).dimension == 384
            except BackendError:
                return False

        await eventually(ready, 90)
        vectors = await rag.embed(["a cat sleeps", "a kitten is napping", "the price of steel"])
        assert vectors.shape == (3, 384)
        assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
        assert (vectors**2).sum(axis=1) == pytest.approx([1, 1, 1], abs=1e-4)
        assert (await rag.embed([])).shape[0] == 0
        with pytest.raises(ClientError):
            await rag.search(SearchRequest(owner=OWNER, query="?!"))


async def test_a_kill_in_the_middle_of_indexing_leaves_nothing_missing_and_all_else_works_meanwhile(
    server: RunningServer, http: httpx.AsyncClient
) -> None:
    sentences = [f"Sentence {number} of a very long speech about the number {number}." for number in range(400)]
    recording = await spoken(server, *sentences, title="Marathon")
    os.kill(server.pid("rag"), signal.SIGKILL)
    answer = await http.get("/api/v1/search", params={"q": "a speech that nobody asked for yet"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "rag_unavailable")
    assert (await http.get("/api/v1/recordings")).status_code == 200
    assert (await http.get("/readyz")).status_code == 200
    await until_found(http, "Marathon speech", recording)
    os.kill(server.pid("rag"), signal.SIGKILL)
    await asyncio.sleep(1)
    await until_found(http, "Marathon speech number", recording)

    async def complete() -> bool:
        seen: set[int] = set()
        for offset in (0, 50):
            hits = await found(http, "Marathon", recording=recording, limit=50, offset=offset)
            seen |= {segment["number"] for hit in hits for segment in hit["segments"]}
        return seen == set(range(400))

    await eventually(complete, 90)
    pool = await store.connect(server.database_url, max_size=1)
    await Recordings(pool, OWNER).delete(recording)
    pool.terminate()


def test_the_token_is_the_folders_alone(server: RunningServer) -> None:
    assert (Path(server.data) / "rag-token").stat().st_mode & 0o077 == 0
