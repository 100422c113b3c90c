"""The pool over real sockets: names that mean several engines, and engines that are busy, full, away or hang.

The engines here are doubles.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from random import Random

import pytest
from prometheus_client import REGISTRY

from parley import engine_wire as ew
from parley.engine_pool import EnginePool, survey
from parley.errors import AtCapacity, EngineError
from parley.tasks import background
from tests.integration.engine_double import RECOGNIZER, Double

OPEN = ew.Open(session="s")
NAME = "http://engines.test"


@contextlib.asynccontextmanager
async def pool_of(*urls: str, **names: list[str]) -> AsyncIterator[EnginePool]:
    """A running pool; `names` are the addresses of `NAME`'s host, which the test may change."""

    async def resolve(host: str) -> list[str]:
        return list(names["engines"]) if host == "engines.test" else [host]

    pool = EnginePool(urls, resolve=resolve, random=Random(1))
    async with background(pool.run()):
        yield pool


async def opened(pool: EnginePool, times: int) -> Counter[str]:
    """Opens so many sessions, one after the other; how many each engine has."""
    streams = [await pool.open(OPEN) for _ in range(times)]
    for stream in streams:
        await stream.connection.close()
    return Counter(str(stream.engine.address) for stream in streams)


async def until(true: Callable[[], bool], limit_s: float = 5.0) -> None:
    async with asyncio.timeout(limit_s):
        while not true():  # noqa: ASYNC110 - there is nothing to wait on
            await asyncio.sleep(0.02)


async def test_a_name_with_two_addresses_is_two_engines_that_share_the_sessions() -> None:
    one, two = Double(), Double()
    async with (
        one.running(),
        two.running("127.0.0.2", one.port),
        pool_of(f"{NAME}:{one.port}", engines=["127.0.0.1", "127.0.0.2"]) as pool,
    ):
        await until(lambda: all(state.report for state in pool.states()) and len(pool.states()) == 2)
        assert set((await opened(pool, 8)).values()) == {4}
    assert (one.asked, two.asked) == (4, 4)


async def test_sessions_that_are_opened_at_the_same_moment_are_shared_too() -> None:
    one, two = Double(), Double()
    async with one.running(), two.running(), pool_of(one.url, two.url) as pool:
        await until(lambda: all(state.report for state in pool.states()))
        streams = await asyncio.gather(*(pool.open(OPEN) for _ in range(8)))
        await asyncio.gather(*(stream.connection.close() for stream in streams))
    assert (one.asked, two.asked) == (4, 4)


async def test_a_new_session_goes_to_the_less_loaded() -> None:
    busy, idle = Double(load=0.9), Double(load=0.1)
    async with busy.running(), idle.running(), pool_of(busy.url, idle.url) as pool:
        await until(lambda: all(state.report for state in pool.states()))
        assert await opened(pool, 5) == {idle.url: 5}


async def test_when_all_are_full_the_smallest_retry_time_is_told_and_a_crowd_does_not_reach_them() -> None:
    def full(retry_after_s: float) -> ew.Error:
        return ew.Error(code="at_capacity", message="Full.", retryable=True, retry_after_s=retry_after_s)

    one, two = Double(refuses=full(8)), Double(refuses=full(3))
    async with one.running(), two.running(), pool_of(one.url, two.url) as pool:
        await until(lambda: all(state.report for state in pool.states()))
        for _ in range(20):
            with pytest.raises(AtCapacity) as refused:
                await pool.open(OPEN)
            assert refused.value.retry_after_s == 3
        assert (one.asked, two.asked) == (1, 1)
        two.refuses = None
        await asyncio.sleep(1.1)
        assert await opened(pool, 1) == {two.url: 1}


async def test_a_full_engine_is_passed_over_for_one_with_room() -> None:
    full = Double(refuses=ew.Error(code="at_capacity", message="Full.", retryable=True, retry_after_s=3))
    other = Double(load=0.5)
    async with full.running(), other.running(), pool_of(full.url, other.url) as pool:
        await until(lambda: all(state.report for state in pool.states()))
        assert await opened(pool, 5) == {other.url: 5}
    assert full.asked == 1


async def test_a_language_that_one_engine_does_not_know_does_not_put_it_behind() -> None:
    unknown = ew.Error(code="unsupported_language", message="Not de.", retryable=False)
    narrow = Double(refuses=unknown)
    async with narrow.running(), pool_of(narrow.url) as pool:
        for _ in range(2):
            with pytest.raises(EngineError, match="Not de") as refused:
                await pool.open(OPEN)
            assert not refused.value.retryable
        narrow.refuses = None
        assert await opened(pool, 1) == {narrow.url: 1}


async def test_an_engine_that_is_gone_costs_a_session_nothing_but_the_next_try() -> None:
    dies, lives = Double(), Double(load=0.9)
    async with lives.running(), contextlib.AsyncExitStack() as life:
        await life.enter_async_context(dies.running())
        async with pool_of(dies.url, lives.url) as pool:
            await until(lambda: all(state.report for state in pool.states()))
            await life.aclose()
            assert await opened(pool, 3) == {lives.url: 3}
            await until(lambda: pool.states()[0].report is None)
            assert f"No engine answers at {dies.url}" in pool.states()[0].reason
            assert REGISTRY.get_sample_value("parley_gateway_engine_ready", {"engine": dies.url}) == 0
            assert REGISTRY.get_sample_value("parley_gateway_engine_load", {"engine": lives.url}) == 0.9


async def test_an_engine_that_hangs_delays_nobody_and_is_told_of() -> None:
    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hung.append(writer)

    hung: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    lives = Double()
    async with lives.running(), pool_of(address, lives.url) as pool:
        async with asyncio.timeout(1):
            assert await opened(pool, 3) == {lives.url: 3}
        await until(lambda: "said nothing for 2 s" in pool.states()[0].reason)
        await asyncio.sleep(1.5)
        assert len(hung) <= 2, "a poll waits for the one before"
    for writer in hung:
        writer.close()
    server.close()


async def test_a_lost_engine_is_looked_up_anew_and_one_that_left_the_name_is_forgotten() -> None:
    one, two = Double(), Double()
    addresses = ["127.0.0.1"]
    async with (
        one.running(),
        two.running("127.0.0.2", one.port),
        pool_of(f"{NAME}:{one.port}", engines=addresses) as pool,
    ):
        stream = await pool.open(OPEN)
        addresses[:] = ["127.0.0.2"]
        pool.doubt(stream.engine)
        await until(lambda: [state.address for state in pool.states()] == [f"http://127.0.0.2:{one.port}"])
        await stream.connection.close()
        gone = {"engine": f"http://127.0.0.1:{one.port}"}
        assert REGISTRY.get_sample_value("parley_gateway_engine_ready", gone) is None


async def test_where_no_name_is_known_a_session_is_told_at_once() -> None:
    async def fails(host: str) -> list[str]:
        raise OSError(-2, "Name or service not known")

    pool = EnginePool([f"{NAME}:8001"], resolve=fails)
    async with background(pool.run()), asyncio.timeout(1):
        with pytest.raises(EngineError, match=r"engines\.test:8001 is not known") as refused:
            await pool.open(OPEN)
    assert refused.value.retryable
    assert [(state.address, state.report) for state in pool.states()] == [(f"{NAME}:8001", None)]


async def test_an_engine_that_answers_nonsense_is_not_ready() -> None:
    async def nonsense(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]")
        writer.close()

    async with await asyncio.start_server(nonsense, "127.0.0.1", 0) as server:
        (state,) = await survey([f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"])
    assert state.report is None
    assert state.reason.endswith("what answers there is no engine.")


async def test_a_survey_tells_of_every_engine() -> None:
    lives = Double(load=0.25)
    async with lives.running():
        ready, away = await survey([lives.url, "http://127.0.0.1:1"])
    assert ready.report is not None
    assert (ready.report.recognizer, ready.report.load) == (RECOGNIZER, 0.25)
    assert away.report is None
    assert "No engine answers at http://127.0.0.1:1" in away.reason
