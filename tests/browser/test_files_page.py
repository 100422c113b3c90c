"""Files that become recordings, in a real browser: words, notes, and every note playing what it rests on."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from parley.embedded.server import RunningServer
from tests.browser.pages import open_page, place_ms
from tests.conftest import CLIPS

FILE = CLIPS[6]
PATIENCE_MS = 150_000
"""A file of some seconds, on a machine that does other things as well, and whose search is still starting."""

# A file that is dropped, as a browser hands it on.
DROP = """async ({ name, bytes }) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], name));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }
}"""


@pytest.fixture
def page(browser: Browser, server: RunningServer) -> Iterator[Page]:
    with open_page(browser, server.base_url, refused=("/recordings/import", "/uploads/")) as page:
        yield page


def pick(page: Page, *files: Path | dict[str, object]) -> None:
    page.get_by_test_id("add-files").click()
    page.get_by_test_id("file-picker").set_input_files(list(files))  # type: ignore[arg-type]


def test_a_file_becomes_a_recording_whose_notes_play_what_they_rest_on(page: Page) -> None:
    pick(page, FILE.path)
    row = page.get_by_test_id("recording-item").first
    expect(row).to_contain_text(re.compile(f"{re.escape(FILE.path.name)}|{re.escape(FILE.segments[0])}"))
    expect(row).to_contain_text(FILE.segments[0], timeout=PATIENCE_MS)
    expect(row).to_have_attribute("data-state", "finished", timeout=PATIENCE_MS)
    row.get_by_role("link").click()
    transcript = page.get_by_test_id("transcript")
    for sentence in FILE.segments:
        expect(transcript).to_contain_text(sentence)

    expect(page.get_by_test_id("notes")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_test_id("notes-by")).to_have_attribute("data-method", "extractive")
    expect(page.get_by_test_id("notes-by")).to_contain_text("no language model")
    chip = page.get_by_test_id("notes").get_by_test_id("chip").last
    start_ms, end_ms = int(chip.get_attribute("data-start") or -1), int(chip.get_attribute("data-end") or -1)
    assert 0 <= start_ms < end_ms
    chip.click()
    expect(page.get_by_test_id("play-button")).to_have_attribute("data-playing", "true")
    lit = page.get_by_test_id("quote").locator(".word.spoken")
    expect(lit).to_have_count(1)
    assert start_ms <= int(lit.get_attribute("data-start") or -1) < end_ms
    assert place_ms(page) >= start_ms
    # By itself, at the end of what the item rests on.
    expect(page.get_by_test_id("play-button")).to_have_attribute("data-playing", "false", timeout=PATIENCE_MS)
    assert end_ms <= place_ms(page) < end_ms + 1_000


def test_a_file_that_is_no_sound_says_what_it_is(page: Page) -> None:
    picture = b"\x89PNG\r\n\x1a\n" + bytes(4_000)
    page.evaluate(DROP, {"name": "holiday.mp3", "bytes": list(picture)})
    row = page.get_by_test_id("recording-item").filter(has_text="holiday.mp3").first
    note = row.get_by_test_id("job-note")
    expect(note).to_have_attribute("data-state", "failed", timeout=PATIENCE_MS)
    expect(note).to_contain_text("PNG")
    row.get_by_role("link").click()
    expect(page.get_by_test_id("job-state")).to_contain_text("PNG")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_an_empty_file_is_refused_before_it_is_sent(page: Page) -> None:
    pick(page, {"name": "nothing.mp3", "mimeType": "audio/mpeg", "buffer": b""})
    item = page.get_by_test_id("upload-item")
    expect(item).to_have_attribute("data-phase", "refused")
    expect(item.get_by_test_id("upload-state")).to_have_text("This file is empty.")
    item.get_by_role("button", name="Close the message").click()
    expect(item).to_have_count(0)


def test_an_address_inside_the_house_is_refused_in_plain_words(page: Page) -> None:
    page.get_by_test_id("add-files").click()
    page.get_by_test_id("import-url").fill("not an address")
    page.get_by_role("button", name="Fetch it").click()
    expect(page.get_by_test_id("import-problem")).to_contain_text("no address of the web")
    page.get_by_test_id("import-url").fill("http://127.0.0.1/talk.mp3")
    with page.expect_response("**/recordings/import"):
        page.get_by_role("button", name="Fetch it").click()
    expect(page.get_by_test_id("import-problem")).to_contain_text("127.0.0.1")


def test_an_upload_goes_on_after_a_reload_when_the_file_is_given_again(page: Page) -> None:
    page.route("**/uploads/*", lambda route: route.abort() if route.request.method == "PATCH" else route.continue_())
    pick(page, FILE.path)
    expect(page.get_by_test_id("upload-item")).to_have_attribute("data-phase", "away")
    page.unroute("**/uploads/*")
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    expect(page.get_by_test_id("unfinished")).to_contain_text(FILE.path.name)
    begun: list[str] = []
    page.on("request", lambda request: begun.append(request.url) if request.method == "POST" else None)
    pick(page, FILE.path)
    expect(page.get_by_test_id("upload-list")).to_have_count(0)
    expect(page.get_by_test_id("recording-item").first).to_contain_text(FILE.segments[0], timeout=PATIENCE_MS)
    assert begun == []
