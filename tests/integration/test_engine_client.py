"""The gateway's way to an engine: whatever happens to engines, each segment gets one final, and what was shown stays.

The engine here is a double: a script behind a real WebSocket that speaks `parley/engine_wire.py`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np
import pytest

from parley import engine_wire as ew
from parley.audio import Samples
from parley.engine_client import EngineAway, EngineBack, EngineEvent, EngineStream, PartialText, extend_committed
from parley.engine_pool import EnginePool
from parley.errors import EngineError
from parley.tasks import background
from parley.transcript import Segment, Word
from tests.integration.scripted_engine import RECOGNIZER, Conversation, final, scripted_engine

AUDIO = np.arange(20_000, dtype=np.int16)


def partial(segment: int, committed: str, tentative: str = "", samples: int = 100) -> ew.Partial:
    return ew.Partial(segment=segment, revision=0, committed=committed, tentative=tentative, samples=samples)


def audio(start: int, end: int) -> Samples:
    return AUDIO[start:end]


@contextlib.asynccontextmanager
async def stream(*urls: str, silence_timeout_s: float = 20.0) -> AsyncIterator[EngineStream]:
    pool = EnginePool(urls)
    async with background(pool.run()):
        yield EngineStream(pool, ew.Open(session="s"), audio, silence_timeout_s=silence_timeout_s)


async def all_events(engine_stream: EngineStream) -> list[EngineEvent]:
    async with asyncio.timeout(20):
        return [event async for event in engine_stream.events()]


async def test_a_segment_is_sent_whole_and_its_final_is_on_the_recordings_clock() -> None:
    async def script(engine: Conversation) -> None:
        assert await engine.next() == ew.Begin(segment=0)
        assert await engine.next() == ew.End(segment=0, samples=4_000)
        assert engine.audio == AUDIO[1_000:5_000].tobytes()
        await engine.say(partial(0, "a", "b", samples=3_000), final(0, "a", "b"))

    async with scripted_engine(script) as url, stream(url) as it:
        assert await it.connect() == RECOGNIZER
        it.begin(0, 1_000)
        it.end(0, 5_000)
        it.close()
        async with background(it.run()):
            events = await all_events(it)
    assert events == [
        PartialText(0, 0, 1_000, "a", "b", covered_until=4_000),
        Segment(0, 1_000, 5_000, (Word("a", 1_010, 1_020, 0.5), Word("b", 1_010, 1_020, 0.5)), "en", 0.5),
    ]


async def test_a_pause_is_told_before_the_end_and_no_sample_beyond_the_end_belongs_to_the_segment() -> None:
    async def script(engine: Conversation) -> None:
        assert await engine.next() == ew.Begin(segment=0)
        await engine.hear(20_000)
        assert await engine.next() == ew.Pause(segment=0, samples=6_000)
        paused.set()
        assert await engine.next() == ew.End(segment=0, samples=6_000)
        await engine.say(final(0, "x"))

    paused = asyncio.Event()
    async with scripted_engine(script) as url, stream(url) as it:
        await it.connect()
        it.begin(0, 0)
        it.pause(0, 6_000)
        async with background(it.run()):
            await paused.wait()
            it.end(0, 6_000)
            it.close()
            assert [event.end for event in await all_events(it) if isinstance(event, Segment)] == [6_000]


async def test_when_an_engine_is_lost_the_next_gets_every_segment_without_a_final_from_its_beginning() -> None:
    async def dies(engine: Conversation) -> None:
        while not isinstance(await engine.next(), ew.End):
            pass
        await engine.say(partial(0, "one", samples=500), final(0, "one"), partial(1, "two", samples=500))
        assert await engine.next() == ew.Begin(segment=1)
        await engine.hear(4_000)
        await engine.lose()

    async def takes_over(engine: Conversation) -> None:
        assert await engine.next() == ew.Begin(segment=1)
        assert await engine.next() == ew.End(segment=1, samples=9_000)
        assert engine.audio == AUDIO[3_000:12_000].tobytes()
        await engine.say(partial(1, "", "two three"), final(1, "two", "three"))

    async with scripted_engine(dies, takes_over) as url, stream(url) as it:
        await it.connect()
        it.begin(0, 0)
        it.end(0, 2_000)
        it.begin(1, 3_000)
        async with background(it.run()):
            events: list[EngineEvent] = []
            async with asyncio.timeout(20):
                async for event in it.events():
                    events.append(event)
                    if isinstance(event, EngineAway):
                        it.end(1, 12_000)
                        it.close()
    finals = [event for event in events if isinstance(event, Segment)]
    assert [(one.number, one.text) for one in finals] == [(0, "one"), (1, "two three")]
    changes = [event for event in events if isinstance(event, EngineAway | EngineBack)]
    assert changes == [EngineAway("The connection to the engine was lost."), EngineBack(RECOGNIZER)]
    partials = [event for event in events if isinstance(event, PartialText) and event.segment == 1]
    assert [(one.revision, one.committed, one.tentative) for one in partials] == [(0, "two", ""), (1, "two", "three")]


async def test_a_segment_that_breaks_every_engine_ends_empty_and_suspect() -> None:
    async def dies(engine: Conversation) -> None:
        while not isinstance(await engine.next(), ew.End):
            pass
        await engine.lose()

    async def lives(engine: Conversation) -> None:
        while not isinstance(message := await engine.next(), ew.End):
            pass
        assert message.segment == 1
        await engine.say(final(1, "fine"))

    async with scripted_engine(*[dies] * 5, lives) as url, stream(url) as it:
        await it.connect()
        it.begin(0, 0)
        it.end(0, 2_000)
        async with background(it.run()):
            finals = []
            async with asyncio.timeout(30):
                async for event in it.events():
                    if isinstance(event, Segment):
                        finals.append(event)
                    if isinstance(event, Segment) and event.number == 0:
                        it.begin(1, 3_000)
                        it.end(1, 4_000)
                        it.close()
    assert [(one.number, one.text, one.suspect) for one in finals] == [(0, "", True), (1, "fine", False)]


async def test_of_many_segments_only_the_one_that_breaks_every_engine_ends_empty() -> None:
    async def breaks_at_2(engine: Conversation) -> None:
        """Takes all that is sent, decodes in order, as an engine does, and dies of segment 2."""
        ended = asyncio.Queue[int]()

        async def decode() -> None:
            while (number := await ended.get()) != 2:
                await engine.say(final(number, f"said {number}"))
            await engine.lose()

        async with background(decode()):
            while True:
                if isinstance(message := await engine.next(), ew.End):
                    ended.put_nowait(message.segment)

    async with scripted_engine(*[breaks_at_2] * 8) as url, stream(url) as it:
        await it.connect()
        for number in range(6):
            it.begin(number, 1_000 * number)
            it.end(number, 1_000 * number + 900)
        it.close()
        async with background(it.run()), asyncio.timeout(60):
            finals = [event async for event in it.events() if isinstance(event, Segment)]
    assert [(one.number, one.text) for one in finals] == [
        (number, "" if number == 2 else f"said {number}") for number in range(6)
    ]
    assert [one.number for one in finals if one.suspect] == [2]


async def test_a_segment_that_could_not_be_decoded_ends_empty_and_suspect() -> None:
    async def script(engine: Conversation) -> None:
        while not isinstance(await engine.next(), ew.End):
            pass
        await engine.say(ew.Error(code="engine_error", message="No memory.", retryable=True, segment=0))

    async with scripted_engine(script) as url, stream(url) as it:
        await it.connect()
        it.begin(0, 0)
        it.end(0, 2_000)
        it.close()
        async with background(it.run()):
            assert await all_events(it) == [Segment(0, 0, 2_000, suspect=True)]


async def test_an_engine_that_no_longer_knows_the_language_ends_the_stream_with_its_words() -> None:
    async def dies(engine: Conversation) -> None:
        await engine.lose()

    async def refuses(engine: Conversation) -> None:
        await engine.say(ew.Error(code="unsupported_language", message="Not de.", retryable=False))

    async with scripted_engine(dies, refuses) as url, stream(url) as it:
        await it.connect()
        it.begin(0, 0)
        with pytest.raises(EngineError, match="Not de") as refused:
            await it.run()
        assert not refused.value.retryable
        assert isinstance((await all_events(it))[0], EngineAway)


async def test_no_engine_at_the_address_is_said_with_the_address() -> None:
    async with stream("http://127.0.0.1:1") as it:
        with pytest.raises(EngineError, match=r"No engine answers at http://127\.0\.0\.1:1"):
            await it.connect()


async def test_an_engine_that_hangs_is_lost_and_the_segment_goes_to_another() -> None:
    async def hangs(engine: Conversation) -> None:
        assert await engine.next() == ew.Begin(segment=0)
        await engine.closed()

    async def takes_over(engine: Conversation) -> None:
        while not isinstance(await engine.next(), ew.End):
            pass
        await engine.say(final(0, "late"))

    async with scripted_engine(hangs, takes_over) as url, stream(url, silence_timeout_s=0.4) as it:
        await it.connect()
        it.begin(0, 0)
        it.end(0, 2_000)
        it.close()
        async with background(it.run()):
            events = await all_events(it)
    assert [type(event) for event in events] == [EngineAway, EngineBack, Segment]
    assert isinstance(events[0], EngineAway)
    assert "said nothing" in events[0].reason


async def test_an_engine_that_takes_its_time_but_says_that_it_lives_is_waited_for() -> None:
    async def slow(engine: Conversation) -> None:
        for _ in range(10):
            await engine.say(ew.Alive())
            await asyncio.sleep(0.1)
        await engine.say(final(0, "slow"))

    async with scripted_engine(slow) as url, stream(url, silence_timeout_s=0.4) as it:
        await it.connect()
        it.begin(0, 0)
        it.end(0, 2_000)
        it.close()
        async with background(it.run()):
            assert [type(event) for event in await all_events(it)] == [Segment]


@pytest.mark.parametrize(
    ("before", "committed", "tentative", "shown"),
    [
        ("", "a", "b", ("a", "b")),
        ("a b", "a b c", "d", ("a b c", "d")),
        ("a b", "", "a b c", ("a b", "c")),
        ("a b", "a", "b c", ("a b", "c")),
        ("a b", "x", "y", ("a b", "")),
        ("a b", "", "", ("a b", "")),
    ],
)
def test_what_was_committed_stays_whatever_engine_goes_on(
    before: str, committed: str, tentative: str, shown: tuple[str, str]
) -> None:
    assert extend_committed(before, committed, tentative) == shown
