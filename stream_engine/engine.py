"""The life of an engine: it loads its recogniser in the background, warms it up, and decodes until it is stopped."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from parley.audio import SAMPLE_RATE
from parley.errors import AtCapacity, EngineError, ParleyError
from parley.logs import get_logger
from parley.settings import EngineSettings
from stream_engine.headroom import Headroom
from stream_engine.recognizers.base import Recognizer, Window
from stream_engine.scheduler import Scheduler
from stream_engine.windows import Lane, padded_samples

log = get_logger(__name__)


_MOST_REPLICAS = 512
_RETRY_AFTER_S = 5.0
_QUICK_S = 0.5
"""A device that decodes in less is worth measuring again, and with a batch."""
_TRIALS = 4
_WARM_UP_BATCH = 4


class Engine:
    """One device with one recogniser. `load` makes the recogniser; it runs in a thread of the device."""

    def __init__(self, settings: EngineSettings, load: Callable[[], Recognizer]) -> None:
        self.settings = settings
        self.recognizer: Recognizer | None = None
        self.failure: ParleyError | None = None
        self._stop: Callable[[], None] = lambda: None
        self.session_numbers = itertools.count()
        self._load = load
        self._batch_sessions = 0
        self._scheduler: Scheduler | None = None

    @property
    def scheduler(self) -> Scheduler:
        """Raises EngineError while the recogniser is still loading."""
        if self._scheduler is None:
            raise EngineError("The engine is still loading its model.", code="not_ready")
        return self._scheduler

    def stop_at_failure(self, stop: Callable[[], None]) -> None:
        """`stop` is called when the recogniser fails: the process cannot go on."""
        self._stop = stop

    def load(self) -> float:
        """What the live sessions need, of the device's time that may be promised; 0 while there is no device yet."""
        return self._scheduler.headroom.load(time.monotonic()) if self._scheduler else 0.0

    @contextlib.contextmanager
    def live_session(self) -> Iterator[None]:
        """Room for a live session while the block runs. Raises AtCapacity where its finals would come late."""
        headroom = self.scheduler.headroom
        load = headroom.load(time.monotonic(), more=1)
        if headroom.sessions and load > 1:
            raise AtCapacity(
                f"All places are taken, {headroom.sessions} speak; try again in {_RETRY_AFTER_S:g} seconds.",
                retry_after_s=_RETRY_AFTER_S,
            )
        headroom.opened(time.monotonic())
        try:
            yield
        finally:
            headroom.closed(time.monotonic())

    @contextlib.contextmanager
    def batch_session(self) -> Iterator[None]:
        """Room for a session of the batch lane while the block runs. Raises AtCapacity where there are enough."""
        if self._batch_sessions >= self.settings.max_batch_sessions:
            raise AtCapacity(
                f"All {self._batch_sessions} places for files are taken; try again in {_RETRY_AFTER_S:g} seconds.",
                retry_after_s=_RETRY_AFTER_S,
            )
        self._batch_sessions += 1
        try:
            yield
        finally:
            self._batch_sessions -= 1

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Loads and decodes in the background while the block runs."""
        device = ThreadPoolExecutor(max_workers=_MOST_REPLICAS, thread_name_prefix="device")
        work = asyncio.create_task(self._run(device), name="engine")
        try:
            yield
        finally:
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await work
            device.shutdown(wait=False, cancel_futures=True)
            if self.recognizer is not None:
                self.recognizer.close()

    async def _run(self, device: ThreadPoolExecutor) -> None:
        try:
            scheduler = await self._start(device)
            await scheduler.run()
        except ParleyError as error:
            self._fail(error)
        except Exception as error:  # the task's outer edge: the process cannot go on
            log.exception("engine_failed")
            self._fail(EngineError(f"The recogniser failed: {error}"))

    async def _start(self, device: ThreadPoolExecutor) -> Scheduler:
        loop = asyncio.get_running_loop()
        recognizer = await loop.run_in_executor(device, self._load)
        warming = (loop.run_in_executor(device, warm_up, recognizer, self.settings) for _ in range(recognizer.replicas))
        costs = await asyncio.gather(*warming)
        self.recognizer = recognizer
        headroom = Headroom(
            replicas=recognizer.replicas,
            slowest_partial_s=self.settings.slowest_partial_s,
            partial_s=max(cost.partial_s for cost in costs),
            final_s=max(cost.final_s for cost in costs),
            now=time.monotonic(),
        )
        self._scheduler = Scheduler(recognizer, device, self.settings, headroom)
        info = recognizer.info
        log.info("engine_ready", recognizer=info.name, model=info.model, device=info.device, reason=info.reason)
        return self._scheduler

    def _fail(self, error: ParleyError) -> None:
        self.failure = error
        self._stop()


class Costs(NamedTuple):
    """Device time in seconds of a partial in a batch, and of a final."""

    final_s: float
    partial_s: float


def warm_up(recognizer: Recognizer, settings: EngineSettings) -> Costs:
    """Decodes faint noise as partials and as final, so that the first speaker does not wait for it; and how long it
    took, as a first guess at what speech costs."""
    _timed(recognizer, _window(Lane.PARTIAL, 1, settings))
    final_s = _timed(recognizer, _window(Lane.FINAL, 4, settings))
    partial = _window(Lane.PARTIAL, 3, settings)
    partial_s = _timed(recognizer, partial)
    if partial_s < _QUICK_S:
        partial_s = _timed(recognizer, *[partial] * _WARM_UP_BATCH) / _WARM_UP_BATCH
    return Costs(final_s, partial_s)


def _window(lane: Lane, seconds: int, settings: EngineSettings) -> Window:
    noise = np.random.default_rng(0).integers(-100, 100, seconds * SAMPLE_RATE).astype(np.int16)
    return Window(noise, padded_samples(len(noise), lane, settings.final_window), timed=lane is Lane.FINAL)


def _timed(recognizer: Recognizer, *windows: Window) -> float:
    """Seconds of a decode; where it is quick, of the quickest: the machine may be busy with starting other services."""
    quickest_s = float("inf")
    for _ in range(_TRIALS):
        began = time.monotonic()
        recognizer.decode(windows)
        quickest_s = min(quickest_s, time.monotonic() - began)
        if quickest_s > _QUICK_S:
            break
    return quickest_s
