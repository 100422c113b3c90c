"""The event loop of a worker, in a thread beside Celery's: Celery hears the broker, the loop does the work.

Celery knows threads, the steps are coroutines that share one pool of connections: so one loop for the whole life of the
process, never one for a message (docs/adr/0017).
"""

import asyncio
import os
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TookTooLong

from batch.health import serve_health
from batch.sender import Sender
from batch.worker import Worker, open_worker
from parley.errors import ParleyError
from parley.jobs import Kind
from parley.logs import get_logger
from parley.settings import Settings

_ANSWER_S = 30.0
"""Seconds that a message may wait for its claim: a query ends by itself before that."""
_EXIT_S = 20.0
"""Seconds for the process to end by itself once its loop has ended; then it is ended."""
_log = get_logger(__name__)


class Host:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fd: int | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._stop: asyncio.Event | None = None
        self.failure: ParleyError | None = None

    def listen_on(self, fd: int | None) -> None:
        """The inherited socket for health; None: the configured address. Before `start`."""
        self._fd = fd

    def start(
        self, sender: Callable[[], Sender], name: str, kinds: Collection[Kind], on_failure: Callable[[], None]
    ) -> None:
        """Returns when the worker is open. Raises SetupError or BackendError where that fails.

        `on_failure` is called, in another thread, when it fails later: `failure` says why.
        """
        opened: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run, args=(sender, name, kinds, opened, on_failure), name="steps", daemon=True
        )
        self._thread.start()
        opened.result()

    def _run(
        self,
        sender: Callable[[], Sender],
        name: str,
        kinds: Collection[Kind],
        opened: "Future[None]",
        on_failure: Callable[[], None],
    ) -> None:
        try:
            asyncio.run(self._live(sender, name, kinds, opened))
        except Exception as error:  # noqa: BLE001 - the outer edge of the thread
            self.failure = error if isinstance(error, ParleyError) else ParleyError(f"{type(error).__name__}: {error}")
            unforeseen = None if isinstance(error, ParleyError) else error
            _log.error("the worker ends", code=self.failure.code, error=self.failure.message, exc_info=unforeseen)
            if opened.done():
                on_failure()
                threading.Timer(_EXIT_S, os._exit, (1,)).start()
            else:
                opened.set_exception(error)

    async def _live(
        self, sender: Callable[[], Sender], name: str, kinds: Collection[Kind], opened: "Future[None]"
    ) -> None:
        batch = self._settings.batch
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with open_worker(self._settings, sender, name, kinds) as worker:
            self._worker = worker
            opened.set_result(None)
            health = serve_health(worker, batch.host, batch.port, self._fd)
            tasks = [asyncio.create_task(each) for each in (health, self._wait_for_stop(), *worker.duties())]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait_for_stop(self) -> None:
        assert self._stop is not None
        await self._stop.wait()

    def consuming(self) -> None:
        """Celery hears the broker now."""
        if self._worker is not None:
            self._worker.consuming = True

    def answer(self, kind: Kind) -> None:
        """A message about this kind came, in a thread of Celery's. Returns when a step is claimed, or none is due."""
        if self._loop is None or self._worker is None or self._loop.is_closed():
            return
        answer = asyncio.run_coroutine_threadsafe(self._worker.answer(kind), self._loop)
        try:
            answer.result(_ANSWER_S)
        except TookTooLong:  # the dispatcher names the step again
            _log.warning("message not answered in time", kind=kind)

    def begin_to_stop(self) -> None:
        """Gives all steps back. May be called in a signal handler."""
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    def stop(self) -> None:
        """Returns when all steps are given back."""
        self.begin_to_stop()
        if self._thread is not None:
            self._thread.join(self._settings.batch.stop_s + 5)
