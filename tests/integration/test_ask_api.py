"""Asking through a whole server: events as they come, bad input, another's recording, the search service away."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from parley import store
from parley.embedded.server import RunningServer, running_server
from parley.store import RecordingWriter
from parley.transcript import Segment, Word
from tests.conftest import MINI_WHISPER
from tests.integration.live import eventually

SAID = ("Good morning, this is about the heating.", "The new boiler comes on the third of March.")
QUESTION = "When does the new boiler come?"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A whole Parley, with search."""
    with running_server(env={"PARLEY_ENGINE__MODEL": str(MINI_WHISPER)}, rag=True) as running:
        yield running


@pytest.fixture
async def http(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.base_url, timeout=60) as client:
        yield client


async def spoken(server: RunningServer, *texts: str, owner: str = "local", finished: bool = True) -> str:
    """A recording with these finals, which may go on."""
    pool = await store.connect(server.database_url, max_size=1)
    try:
        writer = RecordingWriter.new(pool, owner)
        await writer.create(title="The house")
        for number, text in enumerate(texts):
            words = tuple(Word(word, number * 64_000, number * 64_000 + 64_000, 0.9) for word in text.split())
            final = Segment(number, number * 64_000, (number + 1) * 64_000, words, "en", 0.9)
            await writer.add_segment(final, resume_at=final.end, continues=False)
        if finished:
            await writer.finish("finished")
        return writer.recording_id
    finally:
        pool.terminate()


async def asked(http: httpx.AsyncClient, question: str, **body: Any) -> list[tuple[str, dict[str, Any]]]:
    """The events of an answer, in order; none where the search service is still opening."""
    events, name = [], ""
    async with http.stream("POST", "/api/v1/ask", json={"question": question, **body}) as answer:
        if answer.status_code == 503:
            return []
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        async for line in answer.aiter_lines():
            field, _, value = line.partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                events.append((name, json.loads(value)))
    return events


async def until_answered(http: httpx.AsyncClient, question: str, **body: Any) -> list[tuple[str, dict[str, Any]]]:
    """Asks until there is an answer: what was just said is found within seconds."""
    events: list[tuple[str, dict[str, Any]]] = []

    async def answered() -> bool:
        events[:] = await asked(http, question, **body)
        return any(name == "answer" and data["answered"] for name, data in events)

    await eventually(answered, 90)
    return events


async def test_an_answer_comes_event_by_event_and_says_where_it_was_said(
    server: RunningServer, http: httpx.AsyncClient
) -> None:
    recording = await spoken(server, *SAID)
    events = await until_answered(http, QUESTION, recording_id=recording)
    names = [name for name, _ in events]
    assert names[:3] == ["status", "passages", "status"]
    assert set(names[3:-2]) == {"claim"}
    assert names[-2:] == ["answer", "done"]
    answer = dict(events)["answer"]
    assert answer["method"] == "extract"
    (citation,) = answer["claims"][0]["citations"]
    assert (citation["recording_id"], citation["segments"], citation["quote"]) == (recording, [1], SAID[1])
    assert (citation["start_ms"], citation["end_ms"]) == (4000, 8000)
    assert citation["title"] == "The house"


async def test_a_recording_that_still_runs_is_asked_about(server: RunningServer, http: httpx.AsyncClient) -> None:
    recording = await spoken(server, *SAID, finished=False)
    answer = dict(await until_answered(http, QUESTION, recording_id=recording))["answer"]
    assert answer["claims"][0]["citations"][0]["recording_id"] == recording


async def test_another_owners_recordings_answer_nothing(server: RunningServer, http: httpx.AsyncClient) -> None:
    theirs = await spoken(server, "The password of the greenhouse is chrysanthemum.", owner="somebody-else")
    await until_answered(http, QUESTION, recording_id=await spoken(server, *SAID))
    events = dict(await asked(http, "What is the password of the greenhouse?"))
    assert theirs not in {passage["recording_id"] for passage in events["passages"]["passages"]}
    assert "chrysanthemum" not in json.dumps(events)
    refused = await http.post("/api/v1/ask", json={"question": QUESTION, "recording_id": theirs})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "no_such_recording")


@pytest.mark.parametrize(
    ("body", "status", "code", "named"),
    [
        ({"question": ""}, 400, "empty_question", "empty"),
        ({"question": " \n "}, 400, "empty_question", "empty"),
        ({"question": "🦊🦊"}, 400, "no_words", "🦊🦊"),
        ({"question": "fox " * 2500}, 400, "question_too_long", "9999 characters"),
        ({}, 400, "bad_request", "question"),
        ({"question": 7}, 400, "bad_request", "7"),
        ({"question": "fox?", "recording_id": "nonsense"}, 404, "no_such_recording", "nonsense"),
        (
            {"question": "fox?", "recording_id": "0c6a8c66-1b53-4ad5-9c3c-2c7e6a0a1c55"},
            *(404, "no_such_recording", "0c6a8c66"),
        ),
        ({"question": "fox?", "history": [{"question": ""}]}, 400, "bad_request", "history"),
        ({"question": "fox?", "history": [{"question": "a?"}] * 21}, 400, "bad_request", "history"),
        ({"question": "fox?", "owner": "somebody-else"}, 400, "bad_request", "owner"),
        ({"question": "x" * 70_000}, 413, "too_large", "65536"),
    ],
)
async def test_bad_input_is_told_in_plain_words(
    http: httpx.AsyncClient, body: dict[str, Any], status: int, code: str, named: str
) -> None:
    answer = await http.post("/api/v1/ask", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert named in answer.json()["error"]["message"]


async def test_what_is_no_json_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/v1/ask", content=b"when?", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


async def test_pages_of_other_sites_may_not_ask(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/v1/ask", json={"question": QUESTION}, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden_origin")
