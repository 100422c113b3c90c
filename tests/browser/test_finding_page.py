"""Searching and asking, in a real browser: what is found plays the second at which it was said."""

import json
import time
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from parley.embedded.server import RunningServer, running_server
from tests.browser.pages import open_page, place_ms
from tests.conftest import CLIPS, MINI_WHISPER

FILE = CLIPS[6]
PATIENCE_MS = 150_000


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A whole Parley, with its search."""
    with running_server(env={"PARLEY_ENGINE__MODEL": str(MINI_WHISPER)}, rag=True) as running:
        yield running


@pytest.fixture(scope="module")
def recording_id(server: RunningServer) -> str:
    """A recording that was made of a file, written down and searchable."""
    with httpx.Client(base_url=server.base_url, timeout=30) as client:
        with FILE.path.open("rb") as file:
            made = client.post("/api/v1/recordings", files={"file": (FILE.path.name, file)}, data={"title": "Errands"})
        assert made.status_code == 202, made.text
        job_id, recording_id = made.json()["job"]["id"], made.json()["recording"]["id"]
        while (job := client.get(f"/api/v1/jobs/{job_id}").json())["state"] in ("queued", "running", "waiting"):
            time.sleep(0.2)
        assert job["state"] == "succeeded", job
    return str(recording_id)


@pytest.fixture
def page(browser: Browser, server: RunningServer, recording_id: str) -> Iterator[Page]:
    with open_page(browser, server.base_url, refused=("/api/v1/search",)) as page:
        yield page


def test_what_was_said_is_found_and_plays_from_there(page: Page, recording_id: str) -> None:
    page.keyboard.press("/")
    page.get_by_test_id("search-box").fill("cheese")
    page.keyboard.press("Enter")
    found = page.get_by_test_id("found-recording").filter(has_text="Errands")
    expect(found.locator("mark").first).to_have_text("cheese", timeout=PATIENCE_MS)
    play = found.get_by_test_id("play-from").first
    start_ms = int(play.get_attribute("data-start") or -1)
    play.click()
    player = page.get_by_test_id("mini-player")
    expect(player).to_have_attribute("data-recording", recording_id)
    expect(player.get_by_role("button", name="Pause")).to_be_visible()
    assert start_ms <= place_ms(page) < start_ms + 5_000


def test_nothing_found_and_search_away_are_said_plainly(page: Page) -> None:
    page.route("**/api/v1/search?*", lambda route: route.fulfill(json={"hits": [], "next_offset": None}))
    page.goto(page.url.rstrip("/") + "/search?q=zeppelin")
    expect(page.get_by_test_id("nothing-found")).to_contain_text("zeppelin")
    error = {"code": "rag_unavailable", "message": "The search service does not answer.", "retryable": True}
    page.unroute("**/api/v1/search?*")

    def away(route: Route) -> None:
        route.fulfill(status=503, json={"error": error})

    page.route("**/api/v1/search?*", away)
    page.reload()
    expect(page.get_by_test_id("search-failed")).to_contain_text("The search service does not answer.")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


ERRAND = {
    "title": "Errands",
    "created_at": "2026-11-20T08:00:00Z",
    "segments": [1],
    "start_ms": 2_804,
    "end_ms": 5_408,
    "quote": "My list has cheese and soup.",
}


def stream(*events: tuple[str, object]) -> str:
    """An answer as the server sends it."""
    return "".join(f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events)


def answered(route: Route, *claims: dict[str, object], text: str) -> None:
    """Answers a question for the server: what an answer looks like, whatever would be found."""
    answer = {"answered": bool(claims), "method": "extract", "text": text, "claims": claims, "confidence": 0.9}
    events = [("status", {"stage": "searching", "question": None}), *(("claim", claim) for claim in claims)]
    body = stream(*events, ("answer", {**answer, "provider": None, "model": None, "notice": None}), ("done", {}))
    route.fulfill(body=body, content_type="text/event-stream")


def ask(page: Page, question: str) -> None:
    page.get_by_test_id("ask").click()
    page.get_by_test_id("ask-field").fill(question)
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("exchange").last).to_have_attribute("data-over", "true", timeout=PATIENCE_MS)


def test_an_answer_is_marked_as_word_for_word_and_its_citation_plays_there(page: Page, recording_id: str) -> None:
    claim = {"text": ERRAND["quote"], "citations": [{**ERRAND, "recording_id": recording_id}]}
    page.route("**/api/v1/ask", lambda route: answered(route, claim, text=str(claim["text"])))
    page.goto(f"{page.url.rstrip('/')}/recordings/{recording_id}")
    expect(page.get_by_test_id("transcript")).to_be_visible()
    ask(page, "What is on the list?")
    expect(page.get_by_test_id("extract-note")).to_contain_text("no language model")
    expect(page.get_by_test_id("claim")).to_contain_text("My list has cheese and soup.")
    page.get_by_test_id("citation").click()
    expect(page.get_by_test_id("play-button")).to_have_attribute("data-playing", "true")
    lit = page.get_by_test_id("transcript").locator(".word.spoken")
    expect(lit).to_have_count(1)
    assert 2_804 <= place_ms(page) < 6_000


def test_what_nobody_said_is_not_answered(page: Page) -> None:
    nothing = "Nothing in your recordings answers this."
    page.route("**/api/v1/ask", lambda route: answered(route, text=nothing))
    ask(page, "Who won the chess championship in Reykjavik?")
    expect(page.get_by_test_id("refusal")).to_contain_text(nothing)
    expect(page.get_by_role("link", name="Search for its words")).to_be_visible()
