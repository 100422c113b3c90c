"""One device, shared by every session: whatever waits when a replica of it falls free becomes the next batch.

The decision is `windows.plan`; here it is carried out. Decodes run in the device's own threads, so the event loop
never waits for a computation. What waits is bounded: one partial a session, and the finals that a session may have.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Protocol

from parley.audio import SAMPLE_RATE, Samples
from parley.errors import EngineError
from parley.logs import get_logger
from parley.metrics import (
    ENGINE_AUDIO_SECONDS,
    ENGINE_BATCH,
    ENGINE_BATCH_S,
    ENGINE_DECODES,
    ENGINE_REPLACED,
    ENGINE_WAIT_S,
    ENGINE_WAITING,
)
from parley.settings import EngineSettings
from parley.transcript import Hypothesis
from stream_engine.headroom import Headroom
from stream_engine.recognizers.base import Recognizer, Task, Window
from stream_engine.windows import Lane, Waiting, padded_samples, plan

log = get_logger(__name__)

Outcome = Hypothesis | EngineError

_CPU_BATCH, _GPU_BATCH = (16, 32.0), (64, float("inf"))
"""Windows of a batch, and seconds of them. On a CPU a batch gains little beyond eight windows of 4 s, and everybody
else waits for its end."""

_MOST_FAILURES = 5
"""Batches in a row of which not one window was decoded: the device is broken, and another engine may do better."""

_BATCH_SHARE = 0.25
"""Part of a batch that the batch lane may fill while live sessions are open: four windows of 8 s take a CPU some 0.1 s
with a small model, and speech that begins meanwhile waits no longer than that."""

_REPLACEABLE = (Lane.DRAFT, Lane.PARTIAL)
"""Lanes in which any newer live decode of a session makes the one that waits pointless."""


class DecodeFailed(EngineError):
    """The device failed at a window; another attempt may do better."""


class Audio(Protocol):
    """The audio of a segment, which may still grow while its decode waits, and how to hear it; see `Window`."""

    @property
    def attempt(self) -> int: ...

    @property
    def timed(self) -> bool: ...

    def __len__(self) -> int: ...

    def snapshot(self) -> Samples:
        """What there is now, int16, shape (n,). Called once, when the decode begins."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """A decode that is asked for. `deliver` gets its outcome and the samples it covers, on the event loop.

    `stale`: samples that came since the session's reader saw something new.
    """

    session: int
    lane: Lane
    audio: Audio
    deliver: Callable[[Outcome, int], None]
    language: str | None = None
    likely: str | None = None
    task: Task = "transcribe"
    vocabulary: tuple[str, ...] = ()
    stale: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Ticket:
    request: Request
    asked: int
    asked_at: float
    since: float


class Scheduler:
    """Hands the decodes that wait to a recogniser, batch after batch. All methods belong to the event loop."""

    def __init__(
        self,
        recognizer: Recognizer,
        device: Executor,
        settings: EngineSettings,
        headroom: Headroom,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.headroom = headroom
        self._recognizer = recognizer
        self._device = device
        self._settings = settings
        self._clock = clock
        windows, seconds = _CPU_BATCH if recognizer.info.device == "cpu" else _GPU_BATCH
        self._max_batch = settings.max_batch or windows
        self._max_samples = (settings.max_batch_s or seconds) * SAMPLE_RATE
        self._numbers = itertools.count()
        self._waiting: dict[int, _Ticket] = {}
        self._replaceable: dict[tuple[int, Lane], int] = {}  # a session's partial and draft → number in _waiting
        self._in_flight: set[_Ticket] = set()
        self._failures = 0
        self._wake = asyncio.Event()

    def ask(self, request: Request) -> None:
        """Queues a decode, in the place of the session's partial or draft that waits: speech went on, or it ended."""
        # Another attempt at a final says nothing of the segment after it.
        lanes = () if request.audio.attempt else _REPLACEABLE
        forgotten = {lane: self._forget(request.session, lane) for lane in lanes}
        replaced = forgotten.get(request.lane)
        ENGINE_REPLACED.inc(sum(ticket is not None for ticket in forgotten.values()))
        number = replaced.asked if replaced else next(self._numbers)
        now = self._clock()
        asked_at, since = (replaced.asked_at, replaced.since) if replaced else (now, now - request.stale / SAMPLE_RATE)
        self._waiting[number] = _Ticket(request, number, asked_at, since)
        if request.lane in _REPLACEABLE:
            self._replaceable[request.session, request.lane] = number
        ENGINE_WAITING.labels(request.lane.name.lower()).inc()
        self._wake.set()

    def drop(self, session: int) -> None:
        """Forgets a session: what waits is not decoded, what is in flight is not delivered."""
        for number in [number for number, ticket in self._waiting.items() if ticket.request.session == session]:
            self._take(number)
        self._in_flight = {ticket for ticket in self._in_flight if ticket.request.session != session}

    async def run(self) -> None:
        """Decodes until it is cancelled: as many batches at once as the recogniser has replicas.

        Raises EngineError where the device hangs, or fails at everything.
        """
        try:
            async with asyncio.TaskGroup() as replicas:
                for _ in range(self._recognizer.replicas):
                    replicas.create_task(self._serve())
        except* EngineError as errors:
            raise errors.exceptions[0] from None

    async def _serve(self) -> None:
        while True:
            batch = plan(
                (_waiting(ticket) for ticket in self._waiting.values()),
                busy={each.request.session for each in self._in_flight if each.request.lane is not Lane.BATCH},
                max_batch=self._max_batch,
                max_samples=self._max_samples,
                final_window=self._settings.final_window,
                batch_share=_BATCH_SHARE if self.headroom.sessions else 1.0,
            )
            if batch:
                await self._decode([self._take(chosen.asked) for chosen in batch])
                self._wake.set()  # its sessions are free again, which another replica may be waiting for
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _decode(self, tickets: Sequence[_Ticket]) -> None:
        started = self._clock()
        windows = [self._window(ticket.request) for ticket in tickets]
        self._in_flight.update(tickets)
        for ticket in tickets:
            ENGINE_WAIT_S.labels(ticket.request.lane.name.lower()).observe(started - ticket.asked_at)
        outcomes = await self._recognised(windows)
        self._measured(tickets, self._clock() - started)
        for ticket, window, outcome in zip(tickets, windows, outcomes, strict=True):
            self._deliver(ticket, window, outcome)

    async def _recognised(self, windows: Sequence[Window]) -> list[Outcome]:
        """The outcomes of a batch. Raises EngineError where the device does not answer, or never without failing."""
        decoding = asyncio.get_running_loop().run_in_executor(self._device, recognise, self._recognizer, windows)
        try:
            async with asyncio.timeout(self._settings.decode_timeout_s):
                outcomes = await decoding
        except TimeoutError:
            raise EngineError(f"A decode took over {self._settings.decode_timeout_s:g} s; the device hangs.") from None
        failures = [outcome for outcome in outcomes if isinstance(outcome, DecodeFailed)]
        self._failures = self._failures + 1 if len(failures) == len(outcomes) else 0
        if self._failures >= _MOST_FAILURES:
            raise EngineError(f"The device failed {self._failures} times in a row. {failures[0].message}")
        return outcomes

    def _measured(self, tickets: Sequence[_Ticket], device_s: float) -> None:
        """Notes what a batch took."""
        ENGINE_BATCH_S.observe(device_s)
        ENGINE_BATCH.observe(len(tickets))
        if tickets[0].request.lane is not Lane.BATCH:
            partials = sum(ticket.request.lane is Lane.PARTIAL for ticket in tickets)
            self.headroom.decoded(finals=len(tickets) - partials, partials=partials, device_s=device_s)

    def _window(self, request: Request) -> Window:
        audio = request.audio
        samples = audio.snapshot()
        return Window(
            samples,
            padded_samples(len(samples), request.lane, self._settings.final_window, audio.attempt),
            attempt=audio.attempt,
            timed=audio.timed,
            language=request.language,
            likely=request.likely,
            task=request.task,
            vocabulary=request.vocabulary,
        )

    def _deliver(self, ticket: _Ticket, window: Window, outcome: Outcome) -> None:
        lane = ticket.request.lane.name.lower()
        ENGINE_DECODES.labels(lane).inc()
        ENGINE_AUDIO_SECONDS.labels(lane).inc(len(window.samples) / SAMPLE_RATE)
        if ticket in self._in_flight:
            self._in_flight.remove(ticket)
            try:
                ticket.request.deliver(outcome, len(window.samples))
            except Exception:  # one session's trouble must not stop the device for all
                log.exception("delivery_failed")

    def _forget(self, session: int, lane: Lane) -> _Ticket | None:
        number = self._replaceable.get((session, lane))
        return None if number is None else self._take(number)

    def _take(self, number: int) -> _Ticket:
        ticket = self._waiting.pop(number)
        self._replaceable.pop((ticket.request.session, ticket.request.lane), None)
        ENGINE_WAITING.labels(ticket.request.lane.name.lower()).dec()
        return ticket


def _waiting(ticket: _Ticket) -> Waiting:
    request = ticket.request
    return Waiting(request.session, request.lane, ticket.asked, len(request.audio), ticket.since, request.audio.attempt)


def recognise(recognizer: Recognizer, windows: Sequence[Window]) -> list[Outcome]:
    """Decodes a batch, in a thread of the device. Where it fails, its halves are tried, so one spoils no other."""
    try:
        return list(recognizer.decode(windows))
    except EngineError as error:
        if len(windows) == 1:
            return [error]
    except Exception as error:
        log.warning("decode_failed", windows=len(windows), exc_info=True)
        if len(windows) == 1:
            return [DecodeFailed(f"The segment could not be decoded: {str(error).strip() or type(error).__name__}.")]
    half = len(windows) // 2
    return recognise(recognizer, windows[:half]) + recognise(recognizer, windows[half:])
