"""A job's way to an engine: many segments in flight, one final each, whatever happens to engines.

The engine here is a double: a script behind a real WebSocket that speaks `parley/engine_wire.py`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import numpy as np
import pytest

from parley import engine_wire as ew
from parley.audio import Samples
from parley.engine_batch import IN_FLIGHT, BatchLane, batch_lane
from parley.engine_pool import EnginePool
from parley.errors import AtCapacity, EngineError
from parley.tasks import background
from tests.integration.engine_double import Double
from tests.integration.scripted_engine import Conversation, final, scripted_engine


@contextlib.asynccontextmanager
async def lane(*urls: str, silence_timeout_s: float = 20.0, patience_s: float = 20.0) -> AsyncIterator[BatchLane]:
    pool = EnginePool(urls)
    opening = ew.Open(session="s", lane="batch")
    async with (
        asyncio.timeout(30),
        background(pool.run()),
        batch_lane(pool, opening, silence_timeout_s=silence_timeout_s, patience_s=patience_s) as opened,
    ):
        yield opened


def audio(number: int) -> Samples:
    return np.full(100 + number, number, np.int16)


async def take(engine: Conversation) -> int:
    """The next whole segment; its number. Its audio is what belongs to it."""
    begin = await engine.next()
    assert isinstance(begin, ew.Begin)
    engine.audio = b""
    end = await engine.next()
    assert end == ew.End(segment=begin.segment, samples=100 + begin.segment)
    assert engine.audio == audio(begin.segment).tobytes()
    return begin.segment


async def answers(engine: Conversation) -> None:
    """Serves to the end."""
    while True:
        number = await take(engine)
        await engine.say(final(number, f"word{number}"))


def texts(finals: Sequence[ew.Final]) -> list[str]:
    return [" ".join(word.text for word in each.words) for each in finals]


def asked(opened: BatchLane, count: int) -> asyncio.Future[list[ew.Final]]:
    return asyncio.gather(*(opened.ask(number, audio(number)) for number in range(count)))


async def test_many_segments_are_in_flight_and_finals_come_in_any_order() -> None:
    async def script(engine: Conversation) -> None:
        taken = [await take(engine) for _ in range(8)]
        await engine.say(*(final(number, f"word{number}") for number in reversed(taken)))
        await engine.closed()

    async with scripted_engine(script) as url, lane(url) as opened:
        assert texts(await asked(opened, 8)) == [f"word{number}" for number in range(8)]
        assert opened.recognizer is not None
        assert opened.recognizer.name == "double"


async def test_no_more_are_sent_than_an_engine_takes() -> None:
    async def script(engine: Conversation) -> None:
        for _ in range(IN_FLIGHT):
            await take(engine)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await take(engine)
        await engine.say(*(final(number, "word") for number in range(IN_FLIGHT)))
        assert await take(engine) == IN_FLIGHT
        await engine.say(final(IN_FLIGHT, "last"))
        await engine.closed()

    async with scripted_engine(script) as url, lane(url) as opened:
        assert texts(await asked(opened, IN_FLIGHT + 1))[-1] == "last"


async def test_when_an_engine_is_lost_the_next_gets_what_has_no_final() -> None:
    async def dies(engine: Conversation) -> None:
        for _ in range(4):
            await take(engine)
        await engine.say(final(1, "word1"))
        await asyncio.sleep(0.1)  # let it arrive
        await engine.lose()

    taken: list[int] = []

    async def takes_over(engine: Conversation) -> None:
        while True:
            taken.append(number := await take(engine))
            await engine.say(final(number, f"word{number}"))

    async with scripted_engine(dies, takes_over) as url, lane(url) as opened:
        assert texts(await asked(opened, 4)) == [f"word{number}" for number in range(4)]
    assert taken == [0, 2, 3]


async def test_only_a_segment_that_loses_engines_all_by_itself_ends_empty_and_suspect() -> None:
    async def dies_at_two(engine: Conversation) -> None:
        while (number := await take(engine)) != 2:
            await engine.say(final(number, f"word{number}"))
        await engine.lose()

    async with scripted_engine(*[dies_at_two] * 4, answers) as url, lane(url) as opened:
        finals = await asked(opened, 5)
    assert texts(finals) == ["word0", "word1", "", "word3", "word4"]
    assert [each.suspect for each in finals] == [False, False, True, False, False]


async def test_engines_that_are_killed_at_random_cost_no_segment_its_words() -> None:
    def dies_after(count: int) -> object:
        async def script(engine: Conversation) -> None:
            for _ in range(count):
                await engine.say(final(number := await take(engine), f"word{number}"))
            await take(engine)
            await engine.lose()

        return script

    scripts = [dies_after(count) for count in (3, 1, 2, 0, 4, 1)]
    async with scripted_engine(*scripts, answers) as url, lane(url) as opened:  # type: ignore[arg-type]
        assert texts(await asked(opened, 30)) == [f"word{number}" for number in range(30)]


async def test_a_segment_that_could_not_be_decoded_ends_empty_and_suspect() -> None:
    async def script(engine: Conversation) -> None:
        await take(engine)
        await engine.say(ew.Error(code="engine_error", message="No memory.", retryable=True, segment=0))
        await engine.closed()

    async with scripted_engine(script) as url, lane(url) as opened:
        assert await opened.ask(0, audio(0)) == ew.Final.nothing(0)


async def test_where_no_engine_comes_back_in_time_whoever_waits_is_told() -> None:
    async def hears(engine: Conversation) -> None:
        await take(engine)
        await engine.closed()

    async with contextlib.AsyncExitStack() as engines:
        url = await engines.enter_async_context(scripted_engine(hears))
        async with lane(url, patience_s=0.3) as opened:
            waiting = opened.ask(0, audio(0))
            await engines.aclose()
            with pytest.raises(EngineError):
                await waiting
            with pytest.raises(EngineError):
                await opened.ask(1, audio(1))


async def test_an_engine_that_takes_sessions_and_drops_them_is_given_up() -> None:
    async def drops(engine: Conversation) -> None:
        await engine.lose()

    async with scripted_engine(*[drops] * 20) as url, lane(url) as opened:
        waiting = asked(opened, 3)
        with pytest.raises(EngineError, match="was lost"):
            await waiting


async def test_where_nothing_else_shows_whose_fault_it_is_no_segment_is_given_up() -> None:
    async def drops(engine: Conversation) -> None:
        await engine.lose()

    async with scripted_engine(*[drops] * 20) as url, lane(url) as opened:
        with pytest.raises(EngineError, match="lost at segment 7"):
            await opened.ask(7, audio(7))


async def test_an_engine_that_hangs_is_lost() -> None:
    async def hangs(engine: Conversation) -> None:
        await take(engine)
        await engine.closed()

    async with scripted_engine(hangs, answers) as url, lane(url, silence_timeout_s=0.3) as opened:
        assert texts([await opened.ask(0, audio(0))]) == ["word0"]


async def test_a_full_engine_refuses_the_session_with_its_own_words() -> None:
    full = Double(refuses=ew.Error(code="at_capacity", message="All places.", retryable=True, retry_after_s=5.0))
    async with full.running():
        with pytest.raises(AtCapacity, match="All places"):
            async with lane(full.url):
                raise AssertionError


async def test_the_likely_language_is_told() -> None:
    async def script(engine: Conversation) -> None:
        assert await engine.next() == ew.Begin(segment=0, likely="de")
        assert await engine.next() == ew.End(segment=0, samples=0)
        await engine.say(final(0, "ja"))
        await engine.closed()

    async with scripted_engine(script) as url, lane(url) as opened:
        assert texts([await opened.ask(0, np.empty(0, np.int16), "de")]) == ["ja"]
