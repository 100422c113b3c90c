"""A real browser whose microphone is a WAV file."""

import os
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, sync_playwright

from parley.media import decode_file
from tests.conftest import CLIPS

ROOT = Path(__file__).parents[2]
CLIP = CLIPS[6]
"""What is said into the microphone."""
ARGUMENTS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]


def find_chromium() -> str | None:
    found = subprocess.run(
        [ROOT / "scripts" / "find-browser", "--only-find", Path(sys.executable).parent], capture_output=True, text=True
    )
    return found.stdout.strip() or None


@pytest.fixture(scope="session")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clip after half a second of silence and with much behind it: Chromium plays the file in a loop."""
    samples = np.concatenate([np.zeros(8_000, np.int16), *decode_file(CLIP.path), np.zeros(30 * 16_000, np.int16)])
    path = tmp_path_factory.mktemp("microphone") / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


@pytest.fixture(scope="module")
def browser(microphone: Path) -> Iterator[Browser]:
    if not (ROOT / "web" / "dist" / "index.html").is_file():
        pytest.skip("needs the built page (make web)")
    chromium = find_chromium()
    if chromium is None:
        assert not os.environ.get("CI"), "there is no Chromium, and CI must not pass without the browser test"
        pytest.skip("needs Chromium, which is not on this machine and could not be installed (make browser)")
    arguments = [*ARGUMENTS, f"--use-file-for-fake-audio-capture={microphone}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()
