"""The engine's HTTP face while it loads, once it is ready, and when it cannot start."""

import asyncio
import json
import threading
from collections.abc import MutableMapping, Sequence
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from parley.engine_wire import Alive, Final, Open
from parley.errors import EngineError, SetupError
from parley.settings import EngineSettings
from parley.tasks import background
from parley.transcript import Hypothesis, Recognizer
from stream_engine import server
from stream_engine.engine import Engine
from stream_engine.outbox import Outbox
from stream_engine.recognizers.base import Window
from stream_engine.server import create_app

INFO = Recognizer("scripted", "none", "cpu", "int16", "a test", fallback=True, remedy="Get a better one.")


class Scripted:
    info = INFO
    replicas = 1
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
        assert ready.json()["load"] == 0


async def test_a_recogniser_that_cannot_be_had_stops_the_engine_and_says_why() -> None:
    def load() -> Scripted:
        raise SetupError("No model: do this.")

    stopped = asyncio.Event()
    engine = Engine(EngineSettings(), load)
    engine.stop_at_failure(stopped.set)
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


async def answers(engine: Engine, *messages: str) -> list[dict[str, Any]]:
    """What a connection that sends `messages` and goes is sent: the JSON of texts, and the close with its code."""
    events: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    events += [{"type": "websocket.receive", "text": message} for message in messages]
    events.append({"type": "websocket.disconnect", "code": 1005})
    sent: list[dict[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return events.pop(0)

    async def send(event: MutableMapping[str, Any]) -> None:
        if event["type"] != "websocket.accept":
            sent.append(json.loads(event["text"]) if "text" in event else dict(event))

    scope = {"type": "websocket", "path": "/v1/stream", "headers": [], "query_string": b"", "subprotocols": []}
    await create_app(engine)(scope, receive, send)
    return sent


async def test_a_session_that_comes_too_early_is_told_when_to_come_again() -> None:
    error, close = await answers(Engine(EngineSettings(), Scripted), Open(session="s").to_json())
    assert (error["code"], error["retryable"]) == ("not_ready", True)
    assert error["retry_after_s"] > 0
    assert close["code"] == 1013


async def test_a_full_engine_refuses_live_sessions_and_takes_batch_sessions() -> None:
    engine = Engine(EngineSettings(), Scripted)
    async with engine.running():
        await settled(engine)
        headroom = engine.scheduler.headroom
        with engine.live_session():
            assert engine.load() > 0
            headroom.decoded(finals=1, partials=0, device_s=1000.0)
            error, close = await answers(engine, Open(session="s").to_json())
            assert error["message"] == "All places are taken, 1 speak; try again in 5 seconds."
            assert (error["code"], error["retry_after_s"], close["code"]) == ("at_capacity", 5.0, 1013)
            (opened,) = await answers(engine, Open(session="s", lane="batch").to_json())
            assert opened["type"] == "opened"
        assert headroom.sessions == 0


async def test_an_engine_takes_so_many_sessions_of_the_batch_lane_and_no_more() -> None:
    engine = Engine(EngineSettings(max_batch_sessions=1), Scripted)
    async with engine.running():
        await settled(engine)
        with engine.batch_session():
            error, close = await answers(engine, Open(session="s", lane="batch").to_json())
            assert error["message"] == "All 1 places for files are taken; try again in 5 seconds."
            assert (error["code"], error["retry_after_s"], close["code"]) == ("at_capacity", 5.0, 1013)
            (opened,) = await answers(engine, Open(session="s").to_json())
            assert opened["type"] == "opened"
        (opened,) = await answers(engine, Open(session="s", lane="batch").to_json())
        assert opened["type"] == "opened"


async def test_a_device_that_is_too_slow_for_anybody_still_takes_one_session() -> None:
    engine = Engine(EngineSettings(), Scripted)
    async with engine.running():
        await settled(engine)
        engine.scheduler.headroom.decoded(finals=1, partials=0, device_s=1000.0)
        (opened,) = await answers(engine, Open(session="s").to_json())
        assert opened["type"] == "opened"


async def test_an_engine_with_nothing_to_say_says_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "ALIVE_AFTER_S", 0.01)
    sent: asyncio.Queue[str] = asyncio.Queue()
    connection = SimpleNamespace(send_text=sent.put)
    outbox = Outbox()
    async with asyncio.timeout(5), background(server._send(connection, outbox)):  # type: ignore[arg-type]
        assert [await sent.get(), await sent.get()] == [Alive().to_json()] * 2
        outbox.put(Final.nothing(0))
        while (said := await sent.get()) == Alive().to_json():
            pass
    assert said == Final.nothing(0).to_json()


async def test_a_failure_inside_is_an_error_message_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_now: float, more: int) -> float:
        raise ZeroDivisionError

    engine = Engine(EngineSettings(), Scripted)
    async with engine.running():
        await settled(engine)
        monkeypatch.setattr(engine.scheduler.headroom, "load", broken)
        error, close = await answers(engine, Open(session="s").to_json())
    assert error["message"] == "The engine failed; see its log."
    assert close["code"] == 1011
