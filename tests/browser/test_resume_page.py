"""The page in a real browser over a bad network: nothing that was said is lost."""

import base64
import io
import re
import wave
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from parley.audio import SAMPLE_RATE, AudioFormat, Samples, StreamDecoder
from parley.embedded.server import RunningServer
from tests.browser.conftest import CLIP
from tests.browser.network import Network, network

# Writes down what the audio thread hands to the page, and at what rate.
WATCH_MICROPHONE = """window.captured = [];
const Real = AudioWorkletNode;
window.AudioWorkletNode = class extends Real {
  constructor(context, ...rest) {
    super(context, ...rest);
    window.sampleRate = context.sampleRate;
    this.port.addEventListener("message", ({ data }) => data && window.captured.push(data.slice(0)));
  }
};"""
CAPTURED = """async () => {
  const url = await new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.readAsDataURL(new Blob(window.captured));
  });
  return { rate: window.sampleRate, audio: url.slice(url.indexOf(",") + 1) };
}"""
SPOOL = """() => new Promise((resolve) => {
  const opening = indexedDB.open("parley");
  opening.onsuccess = () => {
    const reading = opening.result.transaction("recordings").objectStore("recordings").getAll();
    reading.onsuccess = () => { opening.result.close(); resolve(reading.result); };
  };
})"""
SCRIPT_IS_HERE = "performance.getEntriesByType('resource').some(({ name }) => name.includes('capture.worklet'))"
JOIN_S = 2
"""Silence between what was said before an interruption and after it."""
SETTLING = SAMPLE_RATE // 10
"""Samples near an edge of which a resampler makes something else when the audio goes on in another way."""


@dataclass(frozen=True)
class Captured:
    """What the microphone gave the page, at its own rate."""

    samples: Samples
    rate: int

    def at_16k(self) -> Samples:
        """As the server is to keep it."""
        decoder = StreamDecoder(AudioFormat(self.rate, "pcm_s16le", 1))
        return np.concatenate([decoder.feed(self.samples.tobytes()), decoder.flush()])


@pytest.fixture
def cut(server: RunningServer) -> Iterator[Network]:
    with network(server.base_url) as between:
        yield between


@pytest.fixture
def page(browser: Browser, cut: Network) -> Iterator[Page]:
    """The page, which must have thrown no error by the end of the test; that nothing could be fetched is no such."""
    context = browser.new_context(viewport={"width": 1024, "height": 800}, permissions=["microphone"])
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.add_init_script(WATCH_MICROPHONE)
    page.goto(cut.url)
    yield page
    context.close()
    assert errors == []


def record(page: Page) -> None:
    page.get_by_test_id("record-button").click()
    expect(page.get_by_test_id("live-text")).to_contain_text(CLIP.segments[0], timeout=20_000)


def expect_phase(page: Page, phase: str, timeout_s: float = 20.0) -> None:
    state = page.get_by_test_id("connection-state")
    expect(state).to_have_attribute("data-phase", phase, timeout=timeout_s * 1000)


def expect_held(page: Page) -> None:
    """Over three seconds of audio are on the page only."""
    expect(page.get_by_test_id("held")).to_have_attribute("data-ms", re.compile(r"[3-9]\d{3}|\d{5}"), timeout=15_000)


def captured(page: Page) -> Captured:
    found = page.evaluate(CAPTURED)
    return Captured(np.frombuffer(base64.b64decode(found["audio"]), np.int16), int(found["rate"]))


def kept(page: Page, server: RunningServer) -> Samples:
    """The audio of the recording that is just finished, from the server."""
    page.get_by_test_id("open-recording").click()
    expect(page).to_have_url(re.compile(r"/recordings/[0-9a-f-]{36}$"))
    recording = page.url.rpartition("/")[2]
    answer = httpx.get(f"{server.base_url}/api/v1/recordings/{recording}/audio").raise_for_status()
    with wave.open(io.BytesIO(answer.content)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (SAMPLE_RATE, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def assert_same(audio: Samples, expected: Samples) -> None:
    """Sample for sample, up to the rounding of a resampler that began elsewhere."""
    assert len(audio) == len(expected)
    assert np.abs(audio.astype(np.int32) - expected).max() <= 1


def test_a_cut_network_is_ridden_out_and_nothing_is_lost(page: Page, cut: Network, server: RunningServer) -> None:
    record(page)
    cut.cut()
    expect_phase(page, "reconnecting", 3)
    expect(page.get_by_test_id("connection-state")).to_have_text("Reconnecting, nothing is lost")
    expect_held(page)
    cut.mend()
    expect_phase(page, "live")
    for sentence in CLIP.segments:
        expect(page.get_by_test_id("live-text")).to_contain_text(sentence, timeout=20_000)
    page.get_by_test_id("record-button").click()
    expect_phase(page, "closed")
    expected = captured(page).at_16k()
    assert_same(kept(page, server), expected)
    transcript = page.get_by_test_id("transcript")
    for sentence in CLIP.segments:
        expect(transcript.get_by_text(sentence)).to_have_count(1)
    assert page.evaluate(SPOOL) == []


def test_a_connection_that_is_dead_without_a_word_is_noticed(page: Page, cut: Network, server: RunningServer) -> None:
    record(page)
    cut.half_open()
    expect_phase(page, "reconnecting", 15)
    cut.mend()
    expect_phase(page, "live")
    page.get_by_test_id("record-button").click()
    expect_phase(page, "closed")
    expected = captured(page).at_16k()
    assert_same(kept(page, server), expected)


def test_a_recording_whose_page_was_reloaded_is_finished(page: Page, cut: Network, server: RunningServer) -> None:
    record(page)
    cut.cut()
    expect_held(page)
    before = captured(page)
    cut.mend()
    page.reload()
    offer = page.get_by_test_id("offer")
    expect(offer).to_have_text(re.compile(r"^A recording was interrupted \(0:\d\d, \d+ s not yet sent\)\.$"))
    held_to = page.evaluate(SPOOL)[0]["to"]
    assert held_to >= len(before.samples) - before.rate
    page.get_by_role("button", name="Finish it").click()
    expect_phase(page, "closed")
    expect(page.get_by_test_id("live-text")).to_contain_text(CLIP.segments[0])
    expect(offer).to_have_count(0)
    audio = kept(page, server)
    shared = Captured(before.samples[:held_to], before.rate).at_16k()
    size = min(len(audio), len(shared)) - SETTLING
    assert len(audio) >= len(shared)
    assert_same(audio[:size], shared[:size])


def test_a_recording_whose_page_was_reloaded_goes_on(page: Page, cut: Network, server: RunningServer) -> None:
    record(page)
    cut.cut()
    expect_held(page)
    before = captured(page)
    cut.mend()
    page.reload()
    held_to = page.evaluate(SPOOL)[0]["to"]
    page.get_by_role("button", name="Keep recording").click()
    expect_phase(page, "live")
    expect(page.get_by_test_id("live-text").get_by_text(CLIP.segments[0])).to_have_count(2, timeout=20_000)
    page.get_by_test_id("record-button").click()
    expect_phase(page, "closed")
    after = captured(page)
    # What was captured between the look at it and the reload is held as well, but only the page knew it.
    seen = before.samples[:held_to]
    unseen = np.zeros(held_to - len(seen) + JOIN_S * before.rate, np.int16)
    expected = Captured(np.concatenate([seen, unseen, after.samples]), before.rate).at_16k()
    audio = kept(page, server)
    assert len(audio) == len(expected)
    begin = len(seen) * SAMPLE_RATE // before.rate - SETTLING
    end = len(audio) - len(after.at_16k()) + SETTLING
    assert_same(audio[:begin], expected[:begin])
    assert_same(audio[end:], expected[end:])
    assert not audio[end - SAMPLE_RATE : end - 2 * SETTLING].any()


def test_what_was_interrupted_can_be_discarded(page: Page, cut: Network) -> None:
    record(page)
    page.reload()
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("button", name="Discard for good").click()
    expect(page.get_by_test_id("offer")).to_have_count(0)
    page.reload()
    expect(page.get_by_test_id("recording-item").first).to_be_visible()
    expect(page.get_by_test_id("offer")).to_have_count(0)
    assert page.evaluate(SPOOL) == []


def test_another_window_is_offered_a_recording_only_when_its_page_is_gone(page: Page, cut: Network) -> None:
    record(page)
    other = page.context.new_page()
    other.goto(cut.url)
    expect(other.get_by_test_id("recording-item").first).to_contain_text("Recording now")
    expect(other.get_by_test_id("offer")).to_have_count(0)
    page.close()
    expect(other.get_by_test_id("offer")).to_be_visible()
    other.get_by_role("button", name="Finish it").click()
    expect_phase(other, "closed")


def test_what_another_window_took_up_is_offered_again_only_when_that_is_gone_and_as_that_left_it(
    page: Page, cut: Network
) -> None:
    record(page)
    page.reload()
    other = page.context.new_page()
    other.goto(cut.url)
    expect(other.get_by_test_id("offer")).to_be_visible()
    offered = page.evaluate(SPOOL)[0]
    page.get_by_role("button", name="Keep recording").click()
    expect_phase(page, "live")
    other.evaluate("window.dispatchEvent(new Event('focus'))")  # as when a person turns to it
    expect(other.get_by_test_id("offer")).to_have_count(0)
    page.close()
    expect(other.get_by_test_id("offer")).to_be_visible()
    assert other.evaluate(SPOOL)[0]["to"] > offered["to"]
    other.get_by_role("button", name="Finish it").click()
    expect_phase(other, "closed")


def test_a_recording_begun_without_a_server_becomes_one(page: Page, cut: Network, server: RunningServer) -> None:
    page.wait_for_function(SCRIPT_IS_HERE)
    cut.cut()
    page.get_by_test_id("record-button").click()
    expect(page.get_by_test_id("connection-state")).to_have_text("Connecting, nothing is lost", timeout=10_000)
    expect_held(page)
    page.get_by_test_id("record-button").click()
    expect(page.get_by_test_id("connection-state")).to_have_text("Waiting to finish")
    cut.mend()
    expect_phase(page, "closed", 40)
    expected = captured(page).at_16k()
    assert_same(kept(page, server), expected)
