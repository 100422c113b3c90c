"""REST for translations: which there are, and one of them in every form."""

from collections.abc import AsyncIterator

import asyncpg
import httpx
import pytest

from parley import store
from parley.embedded.server import RunningServer
from parley.store.translations import TranslatedSegment, save
from tests.integration.llm_steps import spoken


@pytest.fixture
async def pool(server: RunningServer) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(server.database_url)
    yield pool
    await pool.close()


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        yield client


async def test_a_translation_is_listed_and_read_in_every_form(pool: asyncpg.Pool, client: httpx.AsyncClient) -> None:
    recording_id = await spoken(pool, "Hello there.", "Good bye.", owner="local")
    lines = [TranslatedSegment(0, "Guten Tag.", "one", "m-1"), TranslatedSegment(1, "Tschüss.", "one", "m-1")]
    await save(pool, "local", recording_id, "de", lines)
    where = f"/api/v1/recordings/{recording_id}/translations"
    [listed] = (await client.get(where)).json()["translations"]
    assert (listed["language"], listed["segments"]) == ("de", 2)
    body = (await client.get(f"{where}/de")).json()
    assert (body["recording_id"], body["language"]) == (recording_id, "de")
    assert body["segments"][1] == {
        "segment": 1,
        "start_ms": 10_000,
        "end_ms": 15_000,
        "text": "Tschüss.",
        "provider": "one",
        "model": "m-1",
    }
    subtitles = await client.get(f"{where}/de", params={"format": "srt", "download": True})
    assert "00:00:10,000 --> 00:00:15,000\nTschüss.\n" in subtitles.text
    assert subtitles.headers["content-disposition"].endswith(".de.srt")
    for form in ("txt", "vtt", "md", "docx", "pdf"):
        assert (await client.get(f"{where}/de", params={"format": form})).status_code == 200


async def test_what_there_is_not_is_said(pool: asyncpg.Pool, client: httpx.AsyncClient) -> None:
    recording_id = await spoken(pool, "Hello.", owner="local")
    answer = await client.get(f"/api/v1/recordings/{recording_id}/translations/fr")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_translation")
    theirs = await spoken(pool, "Hello.", owner="somebody else")
    for path in ("", "/fr"):
        answer = await client.get(f"/api/v1/recordings/{theirs}/translations{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_recording")
