"""REST for notes, templates and usage: read in every form, changed by their owner, refused in plain words."""

import io
import re
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pypdfium2
import pytest
from docx import Document

from parley import store
from parley.embedded.server import RunningServer
from parley.notes import ActionItem, Notes, NotesDraft, Point
from parley.store.jobs import enqueue
from parley.store.notes import save
from parley.store.usage import Use, book
from parley.templates import BUILT_IN
from parley.transcript import Segment, Word
from tests.integration.job_store import PIPELINE

OWNER = "local"
SAID = "It is dark enough in here."
NOTES = Notes.of(
    NotesDraft(
        title="Errands",
        summary=(Point(text="The lights are to be turned off.", segments=(0,)),),
        action_items=(ActionItem(text="Turn off the lights", owner="Ann", segments=(0,)),),
    ),
    "llm",
    "ollama",
    "small",
)


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        yield client


@pytest.fixture
async def pool(server: RunningServer) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(server.database_url)
    yield pool
    await pool.close()


@pytest.fixture
async def recording_id(pool: asyncpg.Pool) -> str:
    return await recorded(pool)


async def recorded(pool: asyncpg.Pool, owner: str = OWNER) -> str:
    """A finished recording about which there is no job."""
    writer = store.RecordingWriter.new(pool, owner)
    await writer.create(title="At home")
    words = tuple(Word(word, 100 * i, 100 * i + 90, 0.9) for i, word in enumerate(SAID.split()))
    await writer.add_segment(Segment(0, 0, 1000, words, "en", 0.9), resume_at=1000, continues=False)
    await writer.finish("finished")
    return writer.recording_id


@pytest.fixture
async def noted(pool: asyncpg.Pool, recording_id: str) -> str:
    """A recording with notes by the standard template, and older ones by another."""
    await save(pool, OWNER, recording_id, "diary", NOTES.model_copy(update={"title": "Dear diary"}))
    await save(pool, OWNER, recording_id, "standard", NOTES)
    return recording_id


async def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    return error


async def test_the_newest_notes_are_read_and_say_which_others_there_are(client: httpx.AsyncClient, noted: str) -> None:
    body = (await client.get(f"/api/v1/recordings/{noted}/notes")).json()
    assert (body["recording_id"], body["template"], body["templates"]) == (noted, "standard", ["standard", "diary"])
    assert Notes.model_validate(body["notes"]) == NOTES
    diary = (await client.get(f"/api/v1/recordings/{noted}/notes", params={"template": "diary"})).json()
    assert (diary["template"], diary["notes"]["title"]) == ("diary", "Dear diary")


@pytest.mark.parametrize("form", ["txt", "md", "docx", "pdf"])
async def test_notes_are_a_document_without_the_transcript(client: httpx.AsyncClient, noted: str, form: str) -> None:
    response = await client.get(f"/api/v1/recordings/{noted}/notes", params={"format": form, "download": True})
    assert response.headers["content-disposition"] == f"attachment; filename*=UTF-8''At%20home.notes.{form}"
    text = {"docx": text_of_word, "pdf": text_of_pdf}.get(form, bytes.decode)(response.content)
    for part in ("At home", "ollama small", "The lights are to be turned off.", "Turn off the lights (Ann)", "0:00:00"):
        assert part in text
    assert "Transcript" not in text
    assert SAID not in text


@pytest.mark.parametrize("form", ["txt", "md"])
async def test_a_transcript_has_its_notes_above_where_they_are_wanted(
    client: httpx.AsyncClient, noted: str, form: str
) -> None:
    path = f"/api/v1/recordings/{noted}/transcript"
    without = (await client.get(path, params={"format": form})).text
    above = (await client.get(path, params={"format": form, "notes": True})).text
    assert "Turn off the lights" not in without
    assert above.index("Turn off the lights") < above.index(SAID)
    as_json = (await client.get(path, params={"notes": True, "template": "diary"})).json()
    assert as_json["notes"]["title"] == "Dear diary"
    assert (await client.get(path)).json()["notes"] is None


async def test_no_notes_are_told_with_what_becomes_of_their_job(
    client: httpx.AsyncClient, pool: asyncpg.Pool, recording_id: str
) -> None:
    path = f"/api/v1/recordings/{recording_id}/notes"
    error = await refused(await client.get(path), 404, "no_notes")
    assert "none was asked for" in error["message"]
    assert not error["retryable"]
    await refused(await client.get(f"/api/v1/recordings/{recording_id}/transcript?notes=1"), 404, "no_notes")
    job_id = await waiting_job(pool, recording_id)
    error = await refused(await client.get(path), 404, "no_notes")
    assert f"the job {job_id} that was to write them is under way, and delayed: The model is away." in error["message"]
    assert error["retryable"]
    error = await refused(await client.get(path, params={"template": "meeting"}), 404, "no_notes")
    assert "by the template 'meeting'; none was asked for" in error["message"]
    await pool.execute("DELETE FROM jobs WHERE id::text = $1", job_id)


async def waiting_job(pool: asyncpg.Pool, recording_id: str) -> str:
    """A job that is delayed, and that no worker takes before the test is over."""
    async with pool.acquire() as connection, connection.transaction():
        made = await enqueue(connection, OWNER, PIPELINE, recording_id=recording_id, delayed="The model is away.")
        await connection.execute(
            "UPDATE job_steps SET not_before = now() + interval '1 h', announce_at = now() + interval '1 h'"
            " WHERE job_id::text = $1",
            made.job_id,
        )
    return made.job_id


@pytest.mark.parametrize(
    ("query", "wrong"), [({"format": "srt"}, "srt"), ({"template": ""}, "template"), ({"colour": "red"}, "colour")]
)
async def test_a_wrong_question_is_named(
    client: httpx.AsyncClient, recording_id: str, query: dict[str, str], wrong: str
) -> None:
    error = await refused(
        await client.get(f"/api/v1/recordings/{recording_id}/notes", params=query), 400, "bad_request"
    )
    assert wrong in error["message"]


async def test_notes_of_no_recording_are_not_found(client: httpx.AsyncClient) -> None:
    await refused(await client.get(f"/api/v1/recordings/{uuid4()}/notes"), 404, "no_such_recording")


async def test_another_owners_notes_are_not_found(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    theirs = await recorded(pool, "somebody else")
    await save(pool, "somebody else", theirs, "standard", NOTES)
    await refused(await client.get(f"/api/v1/recordings/{theirs}/notes"), 404, "no_such_recording")


async def test_templates_are_made_replaced_and_deleted(client: httpx.AsyncClient) -> None:
    path = "/api/v1/templates"
    made = await client.post(path, json={"name": "stand-up", "instructions": " Three questions. "})
    expected = {"name": "stand-up", "title": "stand-up", "instructions": "Three questions.", "built_in": False}
    assert (made.status_code, made.json()) == (201, expected)
    await refused(await client.post(path, json={"name": "stand-up", "instructions": "x"}), 409, "template_exists")
    put = await client.put(f"{path}/stand-up", json={"title": "Daily", "instructions": "Two."})
    assert put.json() == (await client.get(f"{path}/stand-up")).json()
    assert put.json()["title"] == "Daily"
    listed = (await client.get(path)).json()["templates"]
    assert [template["name"] for template in listed] == [*BUILT_IN, "stand-up"]
    assert (await client.delete(f"{path}/stand-up")).status_code == 204
    error = await refused(await client.get(f"{path}/stand-up"), 404, "no_such_template")
    assert "there are standard, meeting" in error["message"]
    await refused(await client.delete(f"{path}/stand-up"), 404, "no_such_template")


async def test_built_in_templates_stay_as_they_are(client: httpx.AsyncClient) -> None:
    body = {"instructions": "Mine."}
    await refused(await client.put("/api/v1/templates/standard", json=body), 409, "built_in_template")
    await refused(await client.delete("/api/v1/templates/standard"), 409, "built_in_template")
    await refused(await client.post("/api/v1/templates", json=body | {"name": "diary"}), 409, "built_in_template")


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({"name": "Stand Up", "instructions": "x"}, "name"),
        ({"name": "x" * 81, "instructions": "x"}, "name"),
        ({"name": "x"}, "instructions"),
        ({"name": "x", "instructions": "  "}, "instructions"),
        ({"name": "x", "instructions": "y" * 8001}, "instructions"),
        ({"name": "x", "instructions": "y", "mood": 1}, "mood"),
    ],
)
async def test_what_is_no_template_is_refused(client: httpx.AsyncClient, body: dict[str, Any], wrong: str) -> None:
    error = await refused(await client.post("/api/v1/templates", json=body), 400, "bad_request")
    assert wrong in error["message"]


async def test_a_template_cannot_be_put_under_a_name_that_is_none(client: httpx.AsyncClient) -> None:
    error = await refused(await client.put("/api/v1/templates/A%20b", json={"instructions": "x"}), 400, "bad_request")
    assert "'A b' is no name of a template" in error["message"]


async def test_usage_is_summed_by_month(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    job, entry = str(uuid4()), str(uuid4())
    use = Use(entry, "notes", "openai", "m", 1000, 50, cost=Decimal("0.0125"), job_id=job, step="summarise")
    await book(pool, OWNER, use)
    await pool.execute("UPDATE usage SET at = '2020-02-29T23:59:59Z' WHERE entry = $1", entry)
    sum_ = {"uses": 1, "tokens_in": 1000, "tokens_out": 50, "audio_s": 0.0, "cost": 0.0125}
    assert (await client.get("/api/v1/usage", params={"month": "2020-02"})).json() == {
        "month": "2020-02",
        "total": sum_,
        "budget": None,
        "providers": [sum_ | {"provider": "openai", "model": "m"}],
        "steps": [sum_ | {"step": "summarise", "purpose": "notes"}],
        "jobs": [sum_ | {"job_id": job, "recording_id": None}],
    }
    now = (await client.get("/api/v1/usage")).json()
    assert re.fullmatch(r"20\d\d-\d\d", now["month"])
    error = await refused(await client.get("/api/v1/usage", params={"month": "May"}), 400, "bad_request")
    assert "'May' is no month" in error["message"]


async def test_the_description_names_every_route(client: httpx.AsyncClient) -> None:
    paths = (await client.get("/api/docs/openapi.json")).json()["paths"]
    assert {"get"} == paths["/api/v1/recordings/{id}/notes"].keys()
    assert {"get", "post"} == paths["/api/v1/templates"].keys()
    assert {"get", "put", "delete"} == paths["/api/v1/templates/{name}"].keys()
    assert {"get"} == paths["/api/v1/usage"].keys()


def text_of_word(content: bytes) -> str:
    return "\n".join(paragraph.text for paragraph in Document(io.BytesIO(content)).paragraphs)


def text_of_pdf(content: bytes) -> str:
    document = pypdfium2.PdfDocument(content)
    try:
        return " ".join(" ".join(page.get_textpage().get_text_bounded() for page in document).split())
    finally:
        document.close()
