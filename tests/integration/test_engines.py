"""A gateway with several engines, all real: sessions are shared out, and an engine that dies or hangs costs no word."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from gateway.failures import http_status
from parley import engine_wire as ew
from parley import wire
from parley.embedded.server import RunningServer, running_server
from parley.errors import AtCapacity
from tests.conftest import CLIPS, MINI_WHISPER
from tests.integration.engine_double import Double
from tests.integration.engine_process import engine_process, wait_until_ready
from tests.integration.live import Heard, speak, speak_while

CLIP = CLIPS[11]


@dataclass(frozen=True, slots=True)
class RunningEngine:
    url: str
    process: subprocess.Popen[bytes]

    def value(self, metric: str) -> float:
        """A metric of this engine, summed over its labels."""
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(metric))


@pytest.fixture
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningEngine]]:
    with contextlib.ExitStack() as stack:
        running = []
        for name in ("one", "two"):
            folder = tmp_path_factory.mktemp(name)
            port, process = stack.enter_context(engine_process(folder, PARLEY_ENGINE__MODEL=str(MINI_WHISPER)))
            running.append(RunningEngine(f"http://127.0.0.1:{port}", process))
        for engine in running:
            wait_until_ready(int(engine.url.rpartition(":")[2]))
        yield running


@contextlib.contextmanager
def gateway_of(*urls: str, **settings: str) -> Iterator[RunningServer]:
    settings = {"ENGINE_URLS": json.dumps(urls), **settings}
    with running_server(env={f"PARLEY_GATEWAY__{name}": value for name, value in settings.items()}) as server:
        yield server


@contextlib.asynccontextmanager
async def gateway_beside(*doubles: Double, **settings: str) -> AsyncIterator[RunningServer]:
    """A gateway of doubles, which live in this event loop, so it must go on while the gateway starts."""
    gateway = gateway_of(*(double.url for double in doubles), **settings)
    server = await asyncio.to_thread(gateway.__enter__)
    try:
        yield server
    finally:
        await asyncio.to_thread(gateway.__exit__, None, None, None)


async def get(url: str) -> Any:
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).json()


async def test_sessions_are_shared_out_and_an_engine_that_hangs_or_dies_costs_no_word(
    engines: list[RunningEngine],
) -> None:
    with gateway_of(*(engine.url for engine in engines), ENGINE_SILENCE_TIMEOUT_S="10") as server:
        states = (await get(f"{server.base_url}/api/v1/status"))["engines"]
        assert [(one["address"], one["state"]) for one in states] == [(engine.url, "ready") for engine in engines]
        heard = await asyncio.gather(*(speak(server.base_url, CLIP) for _ in range(4)))
        assert [one.text for one in heard] == [CLIP.text] * 4
        assert all(engine.value("parley_engine_decodes_total") > 0 for engine in engines)

        hung: list[RunningEngine] = []
        whole(await speak_while(server.base_url, CLIP, stops(engines, hung, signal.SIGSTOP)))
        os.kill(hung[0].process.pid, signal.SIGCONT)
        wait_until_ready(int(hung[0].url.rpartition(":")[2]))

        killed: list[RunningEngine] = []
        whole(await speak_while(server.base_url, CLIP, stops(engines, killed, signal.SIGKILL)))
        ready = await get(f"{server.base_url}/readyz")
        state = {one["address"]: one["state"] for one in ready["engines"]}
        assert state[killed[0].url] == "unavailable"
        assert ready["status"] == "ready"


async def test_where_all_engines_are_full_a_session_is_told_when_to_come_again() -> None:
    def full(retry_after_s: float) -> ew.Error:
        return ew.Error(code="at_capacity", message="Full.", retryable=True, retry_after_s=retry_after_s)

    one, two = Double(refuses=full(8)), Double(refuses=full(3))
    async with one.running(), two.running(), gateway_beside(one, two) as server:
        heard = await speak(server.base_url, CLIP)
    (error,) = heard.of(wire.Error)
    assert (error.code, error.retryable, error.retry_after_s) == ("at_capacity", True, 3.0)
    assert heard.close_code == 1013
    assert http_status(AtCapacity("Full.", retry_after_s=3)) == 503


async def test_a_speaker_of_whom_no_word_is_written_is_told_once() -> None:
    deaf = Double()
    async with deaf.running(), gateway_beside(deaf, NO_WORDS_AFTER_S="1") as server:
        heard = await speak(server.base_url, CLIP)
        async with httpx.AsyncClient(base_url=server.base_url) as client:
            counted = (await client.get("/metrics")).text
    (error,) = heard.of(wire.Error)
    assert (error.code, error.retryable) == ("no_words", False)
    assert "1 s of speech" in error.message
    assert heard.close_code == 1000
    assert 'parley_gateway_errors_total{code="no_words"} 1.0' in counted


def stops(engines: list[RunningEngine], stopped: list[RunningEngine], number: signal.Signals) -> Callable[[], None]:
    """Sends the signal to the one engine that has the session."""

    def stop() -> None:
        (busy,) = (engine for engine in engines if engine.value("parley_engine_sessions_open"))
        stopped.append(busy)
        os.kill(busy.process.pid, number)

    return stop


def whole(heard: Heard) -> None:
    """Nothing is missing and nothing doubled, and the client was told of the trouble."""
    assert heard.text == CLIP.text
    assert [final.segment for final in heard.of(wire.Final)] == list(range(len(heard.of(wire.Final))))
    assert set(heard.error_codes) == {"engine_unavailable"}
    assert heard.close_code == 1000
