"""The page in a browser, for tests: it must have logged no error by the end of each."""

import contextlib
from collections.abc import Iterator, Sequence

from playwright.sync_api import Browser, ConsoleMessage, Page

ABSENT = "/notes"
"""A recording without notes answers 404 for them, and the browser reports that of its own accord."""


@contextlib.contextmanager
def open_page(browser: Browser, url: str, *, refused: Sequence[str] = ()) -> Iterator[Page]:
    """A new page at `url`. `refused`: parts of the addresses that the test expects to be answered with an error."""
    context = browser.new_context(viewport={"width": 1024, "height": 800}, permissions=["microphone"])
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if is_error(message, (ABSENT, *refused)) else None)
    page.goto(url)
    yield page
    context.close()
    assert errors == []


def is_error(message: ConsoleMessage, refused: Sequence[str]) -> bool:
    if message.type != "error":
        return False
    expected = any(part in message.location["url"] for part in refused)
    return not (expected and message.text.startswith("Failed to load resource"))


def place_ms(page: Page) -> float:
    """Where the player is."""
    place: float = page.evaluate("document.querySelector('audio').currentTime * 1000")
    return place
