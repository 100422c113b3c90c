"""The life of an engine: it loads its recogniser in the background, warms it up, and decodes until it is stopped."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from parley.audio import SAMPLE_RATE
from parley.errors import EngineError, ParleyError
from parley.logs import get_logger
from parley.settings import EngineSettings
from stream_engine.recognizers.base import Recognizer, Window
from stream_engine.scheduler import Scheduler
from stream_engine.windows import Lane, padded_samples

log = get_logger(__name__)


_MOST_REPLICAS = 64


class Engine:
    """One device with one recogniser. `load` makes the recogniser; it runs in a thread of the device."""

    def __init__(self, settings: EngineSettings, load: Callable[[], Recognizer]) -> None:
        self.settings = settings
        self.recognizer: Recognizer | None = None
        self.failure: ParleyError | None = None
        self._stop: Callable[[], None] = lambda: None
        self.session_numbers = itertools.count()
        self._load = load
        self._scheduler: Scheduler | None = None

    @property
    def scheduler(self) -> Scheduler:
        """Raises EngineError while the recogniser is still loading."""
        if self._scheduler is None:
            raise EngineError("The engine is still loading its model.", code="not_ready")
        return self._scheduler

    def load(self) -> float:
        """How full the engine is: 0 idle, 1 full."""
        return min(1.0, self.scheduler.wait_s() / self.settings.max_wait_s)

    def stop_at_failure(self, stop: Callable[[], None]) -> None:
        """`stop` is called when the recogniser fails: the process cannot go on."""
        self._stop = stop

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
        await asyncio.gather(*warming)
        self.recognizer = recognizer
        self._scheduler = Scheduler(recognizer, device, self.settings)
        info = recognizer.info
        log.info("engine_ready", recognizer=info.name, model=info.model, device=info.device, reason=info.reason)
        return self._scheduler

    def _fail(self, error: ParleyError) -> None:
        self.failure = error
        self._stop()


def warm_up(recognizer: Recognizer, settings: EngineSettings) -> None:
    """Decodes a second of faint noise as partial and as final, so that the first speaker does not wait for it."""
    noise = np.random.default_rng(0).integers(-100, 100, SAMPLE_RATE).astype(np.int16)
    for lane in (Lane.PARTIAL, Lane.FINAL):
        padded = padded_samples(len(noise), lane, settings.final_window)
        recognizer.decode([Window(noise, padded, final=lane is Lane.FINAL)])
