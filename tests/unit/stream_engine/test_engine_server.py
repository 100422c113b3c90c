"""The engine's HTTP face while it loads, once it is ready, and when it cannot start."""

import asyncio
import threading
from collections.abc import Sequence

import httpx
import pytest

from parley.errors import EngineError, SetupError
from parley.settings import EngineSettings
from parley.transcript import Hypothesis, Recognizer
from stream_engine.engine import Engine
from stream_engine.recognizers.base import Window
from stream_engine.server import create_app

INFO = Recognizer("scripted", "none", "cpu", "int16", "a test", fallback=True, remedy="Get a better one.")


class Scripted:
    info = INFO
    closed = False

    def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
        return [Hypothesis((), "en", 0.0) for _ in windows]

    def close(self) -> None:
        self.closed = True


def client(engine: Engine) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(engine)), base_url="http://engine")


async def settled(engine: Engine) -> None:
    async with asyncio.timeout(10):
        while engine.recognizer is None and engine.failure is None:  # noqa: ASYNC110 - there is nothing to wait on
            await asyncio.sleep(0.001)


async def test_it_is_alive_while_it_loads_and_ready_only_afterwards() -> None:
    gate = threading.Event()

    def load() -> Scripted:
        assert gate.wait(10)
        return Scripted()

    engine = Engine(EngineSettings(), load)
    async with engine.running(), client(engine) as http:
        assert (await http.get("/healthz")).status_code == 200
        loading = await http.get("/readyz")
        assert loading.status_code == 503
        assert "loading" in loading.json()["reason"]
        with pytest.raises(EngineError, match="loading") as raised:
            _ = engine.scheduler
        assert (raised.value.code, raised.value.retryable) == ("not_ready", True)
        gate.set()
        await settled(engine)
        ready = await http.get("/readyz")
        assert ready.status_code == 200
        assert ready.json()["recognizer"]["remedy"] == "Get a better one."


async def test_a_recogniser_that_cannot_be_had_stops_the_engine_and_says_why() -> None:
    def load() -> Scripted:
        raise SetupError("No model: do this.")

    stopped = asyncio.Event()
    engine = Engine(EngineSettings(), load)
    engine.on_failure = stopped.set
    async with engine.running(), client(engine) as http:
        await asyncio.wait_for(stopped.wait(), 10)
        assert (await http.get("/readyz")).json()["reason"] == "No model: do this."


async def test_a_recogniser_that_breaks_in_its_warm_up_stops_the_engine_too() -> None:
    class Broken(Scripted):
        def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
            raise RuntimeError("no such instruction")

    engine = Engine(EngineSettings(), Broken)
    async with engine.running():
        await settled(engine)
    assert engine.failure is not None
    assert "no such instruction" in engine.failure.message


async def test_the_recogniser_is_closed_with_the_engine() -> None:
    recognizer = Scripted()
    engine = Engine(EngineSettings(), lambda: recognizer)
    async with engine.running():
        await settled(engine)
        assert not recognizer.closed
    assert recognizer.closed


async def test_metrics_are_in_the_form_of_prometheus() -> None:
    async with client(Engine(EngineSettings(), Scripted)) as http:
        answer = await http.get("/metrics")
    assert "parley_engine_batch_windows_bucket" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")
