"""REST for recordings: what was recorded is listed, heard, read, renamed and deleted; what is wrong is said."""

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from parley import wire
from parley.embedded.server import RunningServer
from tests.conftest import CLIPS
from tests.integration.live import chunked, samples_of, speak

WEB = Path(__file__).parents[2] / "web" / "dist"
UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        yield client


@pytest.fixture(scope="module")
def recording_id(server: RunningServer) -> str:
    return asyncio.run(speak(server.base_url, CLIPS[6], title="Errands & <things>")).recording_id


async def test_a_recording_is_listed_with_what_is_known_of_it(client: httpx.AsyncClient, recording_id: str) -> None:
    listed = (await client.get("/api/v1/recordings")).json()["recordings"]
    one = next(recording for recording in listed if recording["id"] == recording_id)
    assert one == (await client.get(f"/api/v1/recordings/{recording_id}")).json()
    assert one["title"] == "Errands & <things>"
    assert one["state"] == "finished"
    assert one["language"] == "en"
    assert one["duration_ms"] == len(samples_of(CLIPS[6])) // 16
    assert one["preview"] == CLIPS[6].text


async def test_pages_hold_every_recording_once_newest_first(server: RunningServer, client: httpx.AsyncClient) -> None:
    await asyncio.gather(*(speak(server.base_url, CLIPS[0]) for _ in range(3)))
    seen, cursor = [], None
    while True:
        page = (
            await client.get("/api/v1/recordings", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        seen += page["recordings"]
        if (cursor := page["next_cursor"]) is None:
            break
    everything = (await client.get("/api/v1/recordings", params={"limit": 200})).json()["recordings"]
    assert [one["id"] for one in seen] == [one["id"] for one in everything]
    assert sorted((one["created_at"] for one in seen), reverse=True) == [one["created_at"] for one in seen]


async def test_the_audio_is_a_wav_and_ranges_are_its_parts(client: httpx.AsyncClient, recording_id: str) -> None:
    path = f"/api/v1/recordings/{recording_id}/audio"
    whole = await client.get(path)
    with wave.open(io.BytesIO(whole.content)) as file:
        assert file.readframes(10**9) == samples_of(CLIPS[6]).tobytes()
    part = await client.get(path, headers={"Range": "bytes=1000-70000"})
    assert part.status_code == 206
    assert part.headers["content-disposition"].startswith("inline; filename")
    assert part.headers["content-range"] == f"bytes 1000-70000/{len(whole.content)}"
    assert part.content == whole.content[1000:70001]
    beyond = await client.get(path, headers={"Range": "bytes=99999999-"})
    assert beyond.status_code == 416
    assert beyond.json()["error"]["code"] == "range_not_satisfiable"


async def test_the_audio_can_be_heard_while_it_is_recorded(server: RunningServer, client: httpx.AsyncClient) -> None:
    async with connect(server.base_url.replace("http", "ws", 1) + "/ws/s2t", compression=None) as connection:
        await connection.send('{"type": "start", "sample_rate": 16000}')
        ready = wire.parse_server_message(str(await connection.recv()))
        assert isinstance(ready, wire.Ready)
        for chunk in chunked(samples_of(CLIPS[6])):
            await connection.send(chunk)
        while not isinstance(message := wire.parse_server_message(str(await connection.recv())), wire.Ack):
            pass
        audio = await client.get(f"/api/v1/recordings/{ready.recording_id}/audio")
        assert (len(audio.content) - 44) // 2 >= message.samples
        refused = await client.delete(f"/api/v1/recordings/{ready.recording_id}")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "still_recording")
        await connection.send('{"type": "stop"}')
        async for _ in connection:
            pass
    assert (await client.delete(f"/api/v1/recordings/{ready.recording_id}")).status_code == 204


_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("form", "media_type", "begins"),
    [
        ("txt", "text/plain; charset=utf-8", b"Turn off"),
        ("srt", "application/x-subrip; charset=utf-8", b"1\n00:00:00"),
        ("vtt", "text/vtt; charset=utf-8", b"WEBVTT"),
        ("md", "text/markdown; charset=utf-8", b"# Errands \\& \\<things\\>"),
        ("docx", _WORD, b"PK"),
        ("pdf", "application/pdf", b"%PDF-"),
    ],
)
async def test_the_transcript_comes_in_the_forms_people_use(
    client: httpx.AsyncClient, recording_id: str, form: str, media_type: str, begins: bytes
) -> None:
    answer = await client.get(f"/api/v1/recordings/{recording_id}/transcript?format={form}&download=1")
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''Errands%20%26%20%3Cthings%3E.{form}"
    assert answer.content.startswith(begins)
    if media_type.startswith("text"):
        said = " ".join(answer.text.split())
        assert all(sentence in said for sentence in CLIPS[6].segments)


async def test_a_title_can_be_given_and_taken_away(client: httpx.AsyncClient, recording_id: str) -> None:
    path = f"/api/v1/recordings/{recording_id}"
    assert (await client.patch(path, json={"title": "Größe 日本"})).json()["title"] == "Größe 日本"
    assert (await client.patch(path, json={"title": None})).json()["title"] is None
    charset = {"Content-Type": "application/json; charset=utf-8"}
    renamed = await client.patch(path, content='{"title": "Errands & <things>"}', headers=charset)
    assert renamed.status_code == 200


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ("", "JSON"),
        ("{", "JSON"),
        ("[]", "object"),
        ("{}", "title"),
        ('{"title": ""}', "title"),
        ('{"name": "x"}', "name"),
        ('{"title": "a\\u0000b"}', "title"),
    ],
)
async def test_a_bad_title_is_refused_with_what_was_wrong(
    client: httpx.AsyncClient, recording_id: str, body: str, named: str
) -> None:
    answer = await client.patch(f"/api/v1/recordings/{recording_id}", content=body)
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]


async def test_a_recording_goes_by_one_name_only(server: RunningServer, client: httpx.AsyncClient) -> None:
    made = (await speak(server.base_url, CLIPS[0])).recording_id
    for other in (made.upper(), made.replace("-", ""), f"{{{made}}}"):
        assert (await client.delete(f"/api/v1/recordings/{other}")).status_code == 404
    assert (await client.delete(f"/api/v1/recordings/{made}")).status_code == 204


async def test_deleting_takes_the_audio_and_the_words_along(server: RunningServer, client: httpx.AsyncClient) -> None:
    made = (await speak(server.base_url, CLIPS[0])).recording_id
    assert list((server.data / "blobs").rglob(f"*{made}*/audio/*.pcm"))
    assert (await client.delete(f"/api/v1/recordings/{made}")).status_code == 204
    for path in ("", "/audio", "/transcript"):
        assert (await client.get(f"/api/v1/recordings/{made}{path}")).status_code == 404
    assert not list((server.data / "blobs").rglob(f"*{made}*/audio/*.pcm"))
    assert (await client.delete(f"/api/v1/recordings/{made}")).status_code == 404


@pytest.mark.parametrize("recording", [UNKNOWN, "nonsense", "%00", "a" * 500])
async def test_an_unknown_recording_is_not_found_everywhere(client: httpx.AsyncClient, recording: str) -> None:
    for path in ("", "/audio", "/transcript"):
        answer = await client.get(f"/api/v1/recordings/{recording}{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_such_recording")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=many", "limit=201", "cursor=nonsense", "cursor=AAAA", "colour=red", "cursor=%00"]
)
async def test_a_bad_query_is_refused_with_what_was_wrong(client: httpx.AsyncClient, query: str) -> None:
    answer = await client.get(f"/api/v1/recordings?{query}")
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["error"]["message"]
    assert answer.json()["error"]["request_id"] == answer.headers["x-request-id"]


async def test_a_browser_that_asks_for_an_unknown_page_gets_the_app(client: httpx.AsyncClient) -> None:
    if not (WEB / "index.html").is_file():
        pytest.skip("needs the built page (make web)")
    page = await client.get("/foo/bar", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert page.text == (WEB / "index.html").read_text()
    assert (await client.get("/foo/bar")).json()["error"]["code"] == "http_404"
    assert (await client.get("/../../etc/passwd", headers={"Accept": "text/html"})).text == page.text


async def test_a_wrong_path_or_method_answers_in_the_same_shape(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/v1/nothing")).json()["error"]["code"] == "http_404"
    assert (await client.put("/api/v1/recordings")).json()["error"]["code"] == "http_405"


async def test_a_name_that_is_not_this_machines_is_refused(client: httpx.AsyncClient) -> None:
    for host, status in (("evil.example", 400), ("evil.example:8000", 400), ("localhost:1", 200), ("[::1]:8000", 200)):
        assert (await client.get("/api/v1/recordings", headers={"Host": host})).status_code == status


async def test_the_api_is_described(client: httpx.AsyncClient) -> None:
    described = (await client.get("/api/docs/openapi.json")).json()
    assert set(described["paths"]["/api/v1/recordings/{id}"]) == {"get", "patch", "delete"}
    assert "ErrorBody" in str(described["paths"]["/api/v1/recordings"]["get"]["responses"]["400"])


async def test_changes_are_told_as_events_and_caught_up_with(server: RunningServer, client: httpx.AsyncClient) -> None:
    async def changes_of(recording_id: str, count: int) -> list[str]:
        """The first changes of a recording, from the beginning of all events on."""
        changes: list[str] = []
        stream = client.stream("GET", "/api/v1/events", headers={"Last-Event-ID": "0-0"}, timeout=30)
        async with stream as answer:
            async for line in answer.aiter_lines():
                event = json.loads(line[6:]) if line.startswith("data: ") else {}
                if event.get("recording_id") == recording_id and "change" in event:  # else of its job
                    changes.append(event["change"])
                if len(changes) == count:
                    break
        return changes

    made = (await speak(server.base_url, CLIPS[0])).recording_id
    assert await changes_of(made, 2) == ["created", "updated"]
    waiting = asyncio.create_task(changes_of(made, 3))
    await client.delete(f"/api/v1/recordings/{made}")
    assert await waiting == ["created", "updated", "deleted"]


async def test_health_readiness_status_and_metrics_answer(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    ready = (await client.get("/readyz")).json()
    assert ready["status"] == "ready"
    assert ready["parts"] == {"database": "ok", "storage": "ok", "engine": "ok", "events": "ok"}
    (engine,) = ready["engines"]
    assert (engine["state"], engine["reason"]) == ("ready", "")
    assert 0 <= engine["load"] <= 1
    status = (await client.get("/api/v1/status")).json()
    assert [one["address"] for one in status["engines"]] == [engine["address"]]
    assert status["engine"] == "ready"
    assert status["recognizer"]["name"] == "faster-whisper"
    assert "parley_gateway_sessions_open" in (await client.get("/metrics")).text
