"""The Python client and real gateways: whatever is cut or killed, the recording is as if nothing had happened."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import httpx
import numpy as np
import pytest
import soxr

from benchmarks.chaos.proxy import Proxy
from parley import wire
from parley.audio import SAMPLE_RATE
from parley.client import PATIENT, LiveClient, Patience, Reconnecting, Resumed, SessionEvent, open_session
from parley.embedded.server import RunningServer, running_server
from tests.conftest import CLIPS, MINI_WHISPER
from tests.integration.live import samples_of
from tests.integration.test_cli import objects, parley

CLIP = CLIPS[11]
SPEECH = samples_of(CLIP)
PACE = 4.0
"""Times as fast as life."""

Disturb = Callable[[], Awaitable[None]]


@pytest.fixture(scope="module")
def pair() -> Iterator[RunningServer]:
    """Two gateways of this module's own, which may be killed."""
    with running_server(env={"PARLEY_ENGINE__MODEL": str(MINI_WHISPER)}, gateways=2) as running:
        yield running


@dataclass
class Told:
    """What a session gave."""

    recording_id: str = ""
    events: list[SessionEvent] = field(default_factory=list)

    @property
    def finals(self) -> list[wire.Final]:
        return [event for event in self.events if isinstance(event, wire.Final)]

    @property
    def resumed(self) -> list[Resumed]:
        return [event for event in self.events if isinstance(event, Resumed)]


async def talk(
    urls: list[str],
    rate: int = SAMPLE_RATE,
    disturbances: dict[int, Disturb] | None = None,
    patience: Patience = PATIENT,
) -> Told:
    """SPEECH at a sample rate; at each 100 ms that `disturbances` names something happens."""
    told = Told()
    audio = SPEECH if rate == SAMPLE_RATE else soxr.resample(SPEECH, SAMPLE_RATE, rate)
    start = wire.Start(sample_rate=rate, language="en")
    async with (
        asyncio.timeout(90),
        open_session(urls, start, patience) as session,
        asyncio.TaskGroup() as tasks,
    ):
        told.recording_id = session.ready.recording_id
        tasks.create_task(_send(session, told, audio, rate // 10, disturbances or {}))
        async for event in session:
            told.events.append(event)
    assert isinstance(told.events[-1], wire.Closed)
    return told


async def _send(
    session: LiveClient, told: Told, audio: np.ndarray, chunk: int, disturbances: dict[int, Disturb]
) -> None:
    """Nothing happens to the session before it has recovered from what happened last."""
    disturbed = 0
    for number, start in enumerate(range(0, len(audio), chunk)):
        if number in disturbances:
            while len(told.resumed) < disturbed:  # noqa: ASYNC110 - there is nothing to wait on
                await asyncio.sleep(0.01)
            await disturbances[number]()
            disturbed += 1
        await session.send_audio(audio[start : start + chunk].astype("<i2").tobytes())
        await asyncio.sleep(0.1 / PACE)
    await session.send(wire.Stop())


async def stored_audio(url: str, told: Told) -> np.ndarray:
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.get(f"/api/v1/recordings/{told.recording_id}/audio")
    assert answer.status_code == 200
    return np.frombuffer(answer.content[44:], "<i2")


class Undisturbed:
    """What a session gives that nothing happens to, by sample rate; made once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._told: dict[int, Told] = {}

    async def at(self, rate: int = SAMPLE_RATE) -> Told:
        if rate not in self._told:
            self._told[rate] = await talk([self._url], rate)
        return self._told[rate]


@pytest.fixture(scope="module")
def undisturbed(pair: RunningServer) -> Undisturbed:
    return Undisturbed(pair.base_url)


async def assert_alike(url: str, disturbed: Told, undisturbed: Told) -> None:
    assert disturbed.finals == undisturbed.finals
    assert [final.segment for final in disturbed.finals] == list(range(len(undisturbed.finals)))
    assert len(undisturbed.finals) > 2
    assert not [event for event in disturbed.events if isinstance(event, wire.Error)]
    assert np.array_equal(await stored_audio(url, disturbed), await stored_audio(url, undisturbed))


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
async def test_a_connection_that_is_cut_again_and_again_costs_nothing(
    pair: RunningServer, undisturbed: Undisturbed, rate: int
) -> None:
    async with Proxy(pair.base_url) as proxy:

        async def cut() -> None:
            proxy.cut()

        moments = range(7, len(SPEECH) * 10 // SAMPLE_RATE, 23)
        disturbed = await talk([proxy.url], rate, dict.fromkeys(moments, cut))
    assert len(disturbed.resumed) == len(moments)
    await assert_alike(pair.base_url, disturbed, await undisturbed.at(rate))


async def test_a_connection_that_says_nothing_any_more_is_left(pair: RunningServer, undisturbed: Undisturbed) -> None:
    async with Proxy(pair.base_url) as proxy:

        async def half_open() -> None:
            proxy.half_open()

        disturbed = await talk([proxy.url], disturbances={40: half_open}, patience=Patience(silence_s=3))
    assert len(disturbed.resumed) == 1
    await assert_alike(pair.base_url, disturbed, await undisturbed.at())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
async def test_a_gateway_that_is_killed_or_stopped_is_replaced_by_the_other(
    pair: RunningServer, undisturbed: Undisturbed, number: signal.Signals
) -> None:
    async def end() -> None:
        os.kill(pair.pid("gateway"), number)

    urls = [pair.places["gateway"], pair.places["gateway-2"]]
    await _serves(urls[0])
    disturbed = await talk(urls, disturbances={45: end})
    assert len(disturbed.resumed) >= 1
    await assert_alike(urls[1], disturbed, await undisturbed.at())


async def _serves(url: str) -> None:
    """It may have been killed just now."""
    async with httpx.AsyncClient(base_url=url) as client, asyncio.timeout(30):
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get("/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.1)


async def test_without_any_gateway_the_client_holds_on_until_one_is_back(
    pair: RunningServer, undisturbed: Undisturbed
) -> None:
    gateways = ("gateway", "gateway-2")

    async def end() -> None:
        for gateway in gateways:
            os.kill(pair.pid(gateway), signal.SIGKILL)

    disturbed = await talk([pair.places[gateway] for gateway in gateways], disturbances={30: end})
    assert max(event.held_s for event in disturbed.events if isinstance(event, Reconnecting | Resumed)) > 1.0
    await assert_alike(pair.base_url, disturbed, await undisturbed.at())


async def test_the_newer_of_two_connections_has_the_recording(pair: RunningServer) -> None:
    urls = [pair.places["gateway"], pair.places["gateway-2"]]
    start = wire.Start(sample_rate=SAMPLE_RATE, language="en")
    async with asyncio.timeout(30), open_session(urls[0], start) as older:
        await older.send_audio(SPEECH[: 4 * SAMPLE_RATE].tobytes())
        acked = await _first_ack(older)
        resumption = start.model_copy(update={"resume": older.ready.resume_token})
        async with open_session(urls[1], resumption) as newer:
            await older.send_audio(SPEECH[: 4 * SAMPLE_RATE].tobytes())  # of no use: it is told that it was replaced
            rest = [event async for event in older]
            assert isinstance(rest[-1], wire.Error)
            assert rest[-1].code == "superseded"
            assert newer.ready.recording_id == older.ready.recording_id
            assert newer.ready.next_sample >= acked
            await newer.send(wire.Stop())
            assert [event.type async for event in newer if isinstance(event, wire.Closed)]


async def _first_ack(session: LiveClient) -> int:
    async for event in session:
        if isinstance(event, wire.Ack):
            return event.samples
    pytest.fail("The session ended.")


def test_a_file_is_transcribed_by_whichever_gateway_is_there(pair: RunningServer) -> None:
    result = parley(
        "transcribe", "--json", CLIP.path, "--language", "en", "--url", "http://127.0.0.1:9", "--url", pair.base_url
    )
    assert result.returncode == 0, result.stderr
    summary = objects(result)[-2]
    assert summary["text"] == CLIP.text
    assert summary["url"].startswith(pair.base_url)
