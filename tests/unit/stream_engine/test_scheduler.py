"""One device for everybody: what it decodes, in which order, and what becomes of failures."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import numpy as np
import pytest
from prometheus_client import REGISTRY

from parley.audio import SAMPLE_RATE, Samples
from parley.errors import EngineError
from parley.settings import EngineSettings
from parley.transcript import Hypothesis, Recognizer, Word
from stream_engine.headroom import Headroom
from stream_engine.recognizers.base import Window
from stream_engine.scheduler import Outcome, Request, Scheduler, recognise
from stream_engine.windows import Lane


class ScriptedRecognizer:
    """Says how many samples it heard; breaks at windows that begin with -1. `hold` keeps it busy until `let_go`."""

    info = Recognizer("scripted", "none", "cpu", "int16", "a test")
    replicas = 1

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.entered = threading.Event()
        self.free = threading.Event()
        self.free.set()

    def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
        self.entered.set()
        assert self.free.wait(10)
        self.threads.add(threading.get_ident())
        self.batches.append([len(window.samples) for window in windows])
        if any(window.samples[0] == -1 for window in windows):
            raise RuntimeError("out of memory")
        return [Hypothesis((Word(str(len(window.samples)), 0, 1, 0.9),), "en", 0.9) for window in windows]

    def close(self) -> None: ...


class Clip:
    """Audio of `seconds` that may grow; `broken` makes the recogniser fail."""

    def __init__(self, seconds: float, *, broken: bool = False) -> None:
        self.samples: Samples = np.full(round(seconds * SAMPLE_RATE), -1 if broken else 1, np.int16)

    attempt = 0
    timed = True

    def __len__(self) -> int:
        return len(self.samples)

    def snapshot(self) -> Samples:
        return self.samples


def idle() -> Headroom:
    return Headroom(replicas=1, slowest_partial_s=1.0, partial_s=0.1, final_s=0.1, now=0.0)


class Desk:
    """A running scheduler and what it delivered, by the name each request was given."""

    def __init__(self, recognizer: ScriptedRecognizer, scheduler: Scheduler) -> None:
        self.recognizer = recognizer
        self.scheduler = scheduler
        self.outcomes: dict[str, Outcome] = {}
        self.order: list[str] = []
        self._changed = asyncio.Event()

    def ask(self, name: str, session: int, lane: Lane, clip: Clip) -> None:
        self.scheduler.ask(Request(session, lane, clip, self._deliver(name)))

    def _deliver(self, name: str) -> Callable[[Outcome, int], None]:
        def deliver(outcome: Outcome, _samples: int) -> None:
            self.outcomes[name] = outcome
            self.order.append(name)
            self._changed.set()

        return deliver

    async def delivered(self, *names: str) -> None:
        async with asyncio.timeout(10):
            while not set(names) <= set(self.order):
                self._changed.clear()
                await self._changed.wait()

    async def occupy(self) -> None:
        """Keeps the device busy with session 99 until `let_go`."""
        self.recognizer.free.clear()
        self.recognizer.entered.clear()
        self.ask("first", 99, Lane.FINAL, Clip(1))
        assert await asyncio.to_thread(self.recognizer.entered.wait, 10)

    def let_go(self) -> None:
        self.recognizer.free.set()


@asynccontextmanager
async def running(**settings: int) -> AsyncIterator[Desk]:
    recognizer = ScriptedRecognizer()
    with ThreadPoolExecutor(1) as device:
        scheduler = Scheduler(
            recognizer, device, EngineSettings.model_validate({"max_batch_s": 1000} | settings), idle()
        )
        work = asyncio.create_task(scheduler.run())
        try:
            yield Desk(recognizer, scheduler)
        finally:
            recognizer.free.set()
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


def replaced() -> float:
    return REGISTRY.get_sample_value("parley_engine_partials_replaced_total") or 0.0


async def test_what_waits_while_the_device_is_busy_becomes_one_batch() -> None:
    async with running() as desk:
        await desk.occupy()
        for session in range(4):
            desk.ask(str(session), session, Lane.FINAL, Clip(1))
        desk.let_go()
        await desk.delivered("0", "1", "2", "3")
        assert [len(batch) for batch in desk.recognizer.batches] == [1, 4]


async def test_finals_overtake_partials_and_live_overtakes_batch() -> None:
    async with running() as desk:
        await desk.occupy()
        desk.ask("batch", 1, Lane.BATCH, Clip(1))
        desk.ask("partial", 2, Lane.PARTIAL, Clip(1))
        desk.ask("final", 3, Lane.FINAL, Clip(1))
        desk.let_go()
        await desk.delivered("batch")
        assert desk.order == ["first", "final", "partial", "batch"]


async def test_a_newer_partial_replaces_the_one_that_waits_and_keeps_its_place() -> None:
    async with running() as desk:
        await desk.occupy()
        before = replaced()
        desk.ask("old", 1, Lane.PARTIAL, Clip(1))
        desk.ask("long", 2, Lane.PARTIAL, Clip(9))
        desk.ask("new", 1, Lane.PARTIAL, Clip(1))
        desk.let_go()
        await desk.delivered("new", "long")
        assert desk.order == ["first", "new", "long"]
        assert replaced() == before + 1


async def test_a_final_makes_the_waiting_partial_of_its_session_pointless() -> None:
    async with running() as desk:
        await desk.occupy()
        desk.ask("partial", 1, Lane.PARTIAL, Clip(1))
        desk.ask("final", 1, Lane.FINAL, Clip(1))
        desk.ask("other", 2, Lane.BATCH, Clip(1))
        desk.let_go()
        await desk.delivered("final", "other")
        assert "partial" not in desk.order


async def test_a_partial_of_speech_that_went_on_makes_the_waiting_draft_pointless() -> None:
    async with running() as desk:
        await desk.occupy()
        desk.ask("draft", 1, Lane.DRAFT, Clip(1))
        desk.ask("partial", 1, Lane.PARTIAL, Clip(1))
        desk.let_go()
        await desk.delivered("partial")
        assert "draft" not in desk.order


async def test_a_decode_hears_the_audio_that_came_while_it_waited() -> None:
    async with running() as desk:
        await desk.occupy()
        clip = Clip(1)
        desk.ask("partial", 1, Lane.PARTIAL, clip)
        clip.samples = np.ones(24_000, np.int16)
        desk.let_go()
        await desk.delivered("partial")
        assert isinstance(outcome := desk.outcomes["partial"], Hypothesis)
        assert outcome.text == "24000"


async def test_finals_of_a_session_come_one_after_the_other_in_order() -> None:
    async with running() as desk:
        await desk.occupy()
        for name in ("a", "b", "c"):
            desk.ask(name, 1, Lane.FINAL, Clip(1))
        desk.let_go()
        await desk.delivered("a", "b", "c")
        assert desk.order == ["first", "a", "b", "c"]
        assert [len(batch) for batch in desk.recognizer.batches] == [1, 1, 1, 1]


async def test_a_window_that_breaks_the_device_spoils_no_other() -> None:
    async with running() as desk:
        await desk.occupy()
        desk.ask("good", 1, Lane.FINAL, Clip(1))
        desk.ask("bad", 2, Lane.FINAL, Clip(1, broken=True))
        desk.ask("fine", 3, Lane.FINAL, Clip(1))
        desk.let_go()
        await desk.delivered("good", "bad", "fine")
        assert isinstance(desk.outcomes["good"], Hypothesis)
        assert isinstance(desk.outcomes["fine"], Hypothesis)
        assert isinstance(error := desk.outcomes["bad"], EngineError)
        assert error.message == "The segment could not be decoded: out of memory."


async def test_a_dropped_session_is_not_decoded() -> None:
    async with running() as desk:
        await desk.occupy()
        desk.ask("gone", 1, Lane.PARTIAL, Clip(2))
        desk.ask("gone", 1, Lane.FINAL, Clip(2))
        desk.ask("here", 2, Lane.FINAL, Clip(1))
        desk.scheduler.drop(1)
        desk.let_go()
        await desk.delivered("here")
        assert desk.recognizer.batches == [[16_000], [16_000]]


async def test_a_session_dropped_in_flight_hears_nothing_more() -> None:
    async with running() as desk:
        await desk.occupy()
        desk.scheduler.drop(99)
        desk.ask("next", 1, Lane.FINAL, Clip(1))
        desk.let_go()
        await desk.delivered("next")
        assert desk.order == ["next"]


async def test_the_event_loop_runs_while_the_device_computes() -> None:
    async with running() as desk:
        await desk.occupy()
        await asyncio.sleep(0)  # the device is busy, and here we are
        desk.let_go()
        await desk.delivered("first")
        assert threading.get_ident() not in desk.recognizer.threads


async def test_a_session_that_fails_to_take_its_outcome_stops_nobody() -> None:
    def refuse(_outcome: Outcome, _samples: int) -> None:
        raise RuntimeError("no")

    async with running() as desk:
        desk.scheduler.ask(Request(1, Lane.FINAL, Clip(1), refuse))
        desk.ask("other", 2, Lane.FINAL, Clip(1))
        await desk.delivered("other")


async def test_the_headroom_learns_what_a_batch_took() -> None:
    class Noting(Headroom):
        def decoded(self, *, finals: int, partials: int, device_s: float) -> None:
            noted.append((finals, partials, device_s > 0))

    noted: list[tuple[int, int, bool]] = []
    async with running() as desk:
        desk.scheduler.headroom = Noting(replicas=1, slowest_partial_s=1, partial_s=1, final_s=1, now=0)
        await desk.occupy()
        for session, lane in enumerate((Lane.FINAL, Lane.DRAFT, Lane.PARTIAL)):
            desk.ask(lane.name, session, lane, Clip(29))
        desk.ask("batch", 4, Lane.BATCH, Clip(1))
        desk.let_go()
        await desk.delivered("PARTIAL", "batch")
    assert noted == [(1, 0, True), (2, 1, True)]


async def test_the_gauge_of_what_waits_returns_to_zero() -> None:
    def waiting() -> float:
        lanes = ("final", "partial", "batch")
        return sum(REGISTRY.get_sample_value("parley_engine_waiting", {"lane": lane}) or 0 for lane in lanes)

    before = waiting()
    async with running() as desk:
        await desk.occupy()
        desk.ask("a", 1, Lane.PARTIAL, Clip(1))
        desk.ask("b", 1, Lane.PARTIAL, Clip(1))
        desk.ask("c", 1, Lane.FINAL, Clip(1))
        desk.ask("d", 2, Lane.BATCH, Clip(1))
        assert waiting() == before + 2
        desk.scheduler.drop(1)
        desk.let_go()
        await desk.delivered("d")
    assert waiting() == before


def test_an_engine_error_of_one_window_keeps_its_code() -> None:
    class Polyglot(ScriptedRecognizer):
        def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
            if any(window.language == "tlh" for window in windows):
                raise EngineError("No Klingon.", code="unsupported_language", retryable=False)
            return super().decode(windows)

    samples = np.ones(16_000, np.int16)
    known, unknown = Window(samples, 32_000, language="en"), Window(samples, 32_000, language="tlh")
    fine, wrong = recognise(Polyglot(), [known, unknown])
    assert isinstance(fine, Hypothesis)
    assert isinstance(wrong, EngineError)
    assert wrong.code == "unsupported_language"


async def test_each_replica_takes_a_batch_and_no_session_is_in_two() -> None:
    class Pair(ScriptedRecognizer):
        replicas = 2

        def __init__(self) -> None:
            super().__init__()
            self.both = threading.Barrier(2, timeout=10)
            self.sizes: list[int] = []

        def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
            self.both.wait()
            return super().decode(windows)

    recognizer = Pair()
    with ThreadPoolExecutor(2) as device:
        scheduler = Scheduler(recognizer, device, EngineSettings(max_batch=1), idle())
        desk = Desk(recognizer, scheduler)
        work = asyncio.create_task(scheduler.run())
        desk.ask("a1", 1, Lane.FINAL, Clip(1))
        desk.ask("a2", 1, Lane.FINAL, Clip(2))
        desk.ask("b1", 2, Lane.FINAL, Clip(3))
        desk.ask("b2", 2, Lane.FINAL, Clip(4))
        await desk.delivered("a1", "a2", "b1", "b2")
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert {tuple(sorted(each)) for each in (desk.order[:2], desk.order[2:])} == {("a1", "b1"), ("a2", "b2")}
    assert len(recognizer.threads) == 2


async def failure(recognizer: ScriptedRecognizer, clip: Clip, asked: int, **settings: float) -> str:
    """What ends the scheduler when so many decodes of `clip` are asked for, one batch each."""
    with ThreadPoolExecutor(1) as device:
        engine = EngineSettings.model_validate({"max_batch": 1} | settings)
        scheduler = Scheduler(recognizer, device, engine, idle())
        for session in range(asked):
            scheduler.ask(Request(session, Lane.FINAL, clip, lambda _outcome, _samples: None))
        with pytest.raises(EngineError) as ended:
            await asyncio.wait_for(scheduler.run(), 10)
        recognizer.free.set()
    return ended.value.message


async def test_a_device_that_fails_at_everything_ends_the_engine() -> None:
    message = await failure(ScriptedRecognizer(), Clip(1, broken=True), asked=5)
    assert message == "The device failed 5 times in a row. The segment could not be decoded: out of memory."


async def test_a_device_that_hangs_ends_the_engine() -> None:
    recognizer = ScriptedRecognizer()
    recognizer.free.clear()
    message = await failure(recognizer, Clip(1), asked=1, decode_timeout_s=0.05)
    assert message == "A decode took over 0.05 s; the device hangs."


async def test_another_attempt_leaves_the_draft_of_the_next_segment_alone() -> None:
    async with running() as desk:
        await desk.occupy()
        desk.ask("draft", 1, Lane.DRAFT, Clip(1))
        again = Clip(1)
        again.attempt = 1
        desk.ask("again", 1, Lane.FINAL, again)
        desk.let_go()
        await desk.delivered("again", "draft")


async def test_a_session_of_the_batch_lane_has_many_decodes_in_flight_and_each_is_delivered() -> None:
    async with running() as desk:
        await desk.occupy()
        for number in range(4):
            desk.ask(str(number), 1, Lane.BATCH, Clip(1))
        desk.let_go()
        await desk.delivered("0", "1", "2", "3")
        assert [len(batch) for batch in desk.recognizer.batches] == [1, 4]


async def test_nothing_of_a_batch_session_that_left_is_delivered() -> None:
    async with running() as desk:
        desk.recognizer.free.clear()
        for number in range(2):
            desk.ask(str(number), 1, Lane.BATCH, Clip(1))
        assert await asyncio.to_thread(desk.recognizer.entered.wait, 10)
        desk.ask("later", 1, Lane.BATCH, Clip(1))
        desk.scheduler.drop(1)
        desk.let_go()
        desk.ask("other", 2, Lane.BATCH, Clip(1))
        await desk.delivered("other")
        assert desk.order == ["other"]


async def test_live_gets_the_device_back_after_a_small_batch_of_files() -> None:
    async with running(max_batch=8) as desk:
        await desk.occupy()
        desk.scheduler.headroom.opened(0.0)
        for number in range(4):
            desk.ask(str(number), 1, Lane.BATCH, Clip(1))
        desk.let_go()
        await desk.delivered("0", "1", "2", "3")
        assert [len(batch) for batch in desk.recognizer.batches] == [1, 2, 2]
