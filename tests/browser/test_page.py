"""The page in a real browser: a WAV file as its microphone, a real server behind it."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from parley.embedded.server import RunningServer
from tests.browser.conftest import CLIP
from tests.browser.pages import open_page

# Writes down every word that ever was lit, and where the player then was: a short word may be lit between two looks.
WATCH_SPOKEN = """window.spoken = [];
new MutationObserver((changes) => {
  for (const { target } of changes) {
    if (!target.classList.contains("spoken")) continue;
    window.spoken.push({
      startMs: Number(target.dataset.start),
      placeMs: document.querySelector("audio").currentTime * 1000,
    });
  }
}).observe(document.querySelector("[data-testid=transcript]"), { attributeFilter: ["class"], subtree: true });"""


@pytest.fixture
def page(browser: Browser, server: RunningServer) -> Iterator[Page]:
    """The page, which must have logged no error by the end of the test."""
    with open_page(browser, server.base_url) as page:
        yield page


def test_speech_is_read_along_listed_and_played_at_the_word(page: Page) -> None:
    page.get_by_test_id("record-button").click()
    state = page.get_by_test_id("connection-state")
    expect(state).to_have_attribute("data-phase", "live", timeout=15_000)
    expect(page.get_by_test_id("live-text")).to_contain_text(CLIP.segments[0], timeout=20_000)
    expect(page.get_by_test_id("live-text")).to_contain_text(CLIP.segments[2], timeout=20_000)
    expect(page.get_by_test_id("kept-safe")).not_to_have_attribute("data-ms", "0")
    page.get_by_test_id("record-button").click()
    expect(state).to_have_attribute("data-phase", "closed", timeout=15_000)

    page.get_by_test_id("open-recording").click()
    expect(page).to_have_url(re.compile(r"/recordings/[0-9a-f-]{36}$"))
    transcript = page.get_by_test_id("transcript")
    for sentence in CLIP.segments:
        expect(transcript).to_contain_text(sentence)
    word = page.get_by_test_id("word").filter(has_text="cheese").first
    start_ms = int(word.get_attribute("data-start") or 0)
    assert start_ms > 2_000
    page.evaluate(WATCH_SPOKEN)
    word.click()
    page.wait_for_function("window.spoken.length > 0")
    page.keyboard.press("Space")
    page.wait_for_function("window.spoken.length > 2")
    page.keyboard.press("Space")
    spoken = page.evaluate("window.spoken")
    assert spoken[0]["startMs"] == start_ms
    assert abs(spoken[0]["placeMs"] - start_ms) < 50
    places = [one["startMs"] for one in spoken]
    assert places == sorted(places)
    assert all(one["placeMs"] - one["startMs"] > -50 for one in spoken)

    page.goto(page.url.rsplit("/recordings/")[0])
    expect(page.get_by_test_id("recording-item").first).to_contain_text(CLIP.segments[0])


def test_a_recording_can_be_renamed_and_deleted_with_an_undo(page: Page) -> None:
    page.get_by_test_id("recording-item").first.click()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("transcript")).to_be_visible()
    recording = page.url
    page.get_by_role("button", name="Rename").click()
    page.get_by_test_id("title-field").fill("Errands")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Errands")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_test_id("toast")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    page.goto(recording)
    expect(page.get_by_role("heading", name="Errands")).to_be_visible()


def test_a_refused_microphone_is_said_plainly(browser: Browser, server: RunningServer) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'))"
    )
    page.goto(server.base_url)
    page.get_by_test_id("record-button").click()
    expect(page.get_by_test_id("notice")).to_contain_text("The microphone is blocked.")
    context.close()


def test_a_session_that_the_server_ends_is_said_plainly_with_what_was_kept(page: Page) -> None:
    page.add_init_script(
        """const Real = WebSocket; window.WebSocket = class extends Real {
             constructor(...of) { super(...of); window.theSocket = this } }"""
    )
    page.reload()
    page.get_by_test_id("record-button").click()
    expect(page.get_by_test_id("kept-safe")).to_have_attribute("data-ms", re.compile(r"[1-9]\d{3,}"), timeout=15_000)
    page.evaluate("window.theSocket.send(new Uint8Array(3))")  # one sample and a half
    expect(page.get_by_test_id("connection-state")).to_have_attribute("data-phase", "lost", timeout=10_000)
    expect(page.get_by_test_id("notice").first).to_contain_text("is kept")
    lost = page.get_by_test_id("recording-item").first
    expect(lost).to_have_attribute("data-state", "interrupted", timeout=2_000)
    expect(lost).to_contain_text("Interrupted, kept up to 0:0")
    page.get_by_test_id("open-recording").click()
    expect(page.get_by_text("This recording was interrupted.")).to_be_visible()


def test_no_sheet_is_empty_while_it_loads(page: Page) -> None:
    held: list[Route] = []
    page.route("**/api/v1/recordings?*", lambda route: held.append(route))
    page.reload()
    expect(page.get_by_role("heading", name="Recordings")).to_be_visible()
    expect(page.get_by_role("status", name="Loading the recordings")).to_be_visible()
    held.pop().continue_()
    first = page.get_by_test_id("recording-item").first
    expect(first).to_be_visible()

    page.route("**/transcript?*", lambda route: held.append(route))
    first.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_role("status", name="Loading the recording")).to_be_visible()
    held.pop().continue_()
    expect(page.get_by_role("status", name="Loading the recording")).to_be_hidden()


def test_an_address_that_leads_nowhere_says_so(page: Page) -> None:
    page.evaluate("history.pushState(null, '', '/foo/bar')")
    expect(page.get_by_role("heading", name="This page does not exist.")).to_be_visible()
    page.get_by_role("link", name="Go to the recordings").click()
    expect(page.get_by_role("heading", name="Recordings")).to_be_visible()


def test_commands_of_the_server_are_set_as_code(page: Page) -> None:
    recognizer = {
        "name": "pocketsphinx",
        "model": "en-us",
        "device": "cpu",
        "fallback": True,
        "reason": "No Whisper model.",
        "remedy": "Run `parley models get base`.",
    }
    status = {"version": "1", "recognizer": recognizer, "engine": "ready"}
    page.route("**/api/v1/status", lambda route: route.fulfill(json=status))
    page.reload()
    notice = page.get_by_test_id("notice")
    expect(notice).to_contain_text("Run parley models get base.")
    notice.get_by_text("parley models get base", exact=True).click()
    assert page.evaluate("String(window.getSelection())") == "parley models get base"


def test_the_api_has_a_page_of_its_own(page: Page, server: RunningServer) -> None:
    page.goto(f"{server.base_url}/api/docs")
    expect(page.get_by_text("/api/v1/recordings/{id}/audio")).to_be_visible(timeout=10_000)
