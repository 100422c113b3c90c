"""One worker: it answers messages with claims, runs what it claimed, and says how it is. All in one event loop."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from time import monotonic
from typing import Any

from batch.claims import Claims, Lease
from batch.deliveries import Deliveries
from batch.dispatcher import Dispatcher
from batch.hearing import Hearing
from batch.pipeline import step_types
from batch.runner import Runner
from batch.sender import Sender
from batch.slots import Slots
from batch.wiring import Tools, open_tools
from parley import metrics
from parley.errors import BackendError, ParleyError
from parley.job_events import JobEvents
from parley.jobs import Kind
from parley.logs import get_logger
from parley.settings import Settings
from parley.store.pipelines import make_known

_log = get_logger(__name__)


class Deaf(ParleyError):
    """The consumer is connected and receives nothing, though there is something to receive."""

    code = "deaf"


class Worker:
    """`name` tells workers apart in the history of steps; `kinds` are those of the queues that it hears."""

    def __init__(self, tools: Tools, sender: Sender, name: str, kinds: Collection[Kind]) -> None:
        self._settings = settings = tools.settings.batch
        self._webhooks = tools.settings.webhooks
        self._pool = tools.pool
        self._name = name
        self.kinds = tuple(kinds)
        self._claims = Claims(tools.pool, announce_after_s=settings.announce_after_s)
        self._stopping = asyncio.Event()
        self._job_events = JobEvents(tools.pool, tools.events)
        self._steps = step_types(settings.step_modules)
        self._runner = Runner(tools, self._steps, self._job_events, self._stopping)
        self._slots = Slots(kinds, settings.concurrency)
        self._going_on: set[asyncio.Task[None]] = set()
        self._hearing = Hearing(settings.deaf_after_s, monotonic())
        self._dispatcher = Dispatcher(
            tools.settings.database_url,
            self._claims,
            sender,
            self._job_events,
            kinds,
            sweep_s=settings.sweep_s,
            sent=self._hearing.was_sent,
            lost=self._runner.look_after,
        )
        self.consuming = False

    async def introduce(self) -> None:
        """Says which steps it knows, to those who make jobs."""
        await make_known(self._pool, self._steps.values())

    def duties(self) -> tuple[Coroutine[Any, Any, None], ...]:
        """What it does all the time, beside answering. None of them ends by itself; Deaf is raised by one."""
        duties = (self._dispatcher.run(), self._job_events.run(), self._listen_for_silence())
        return (*duties, Deliveries(self._pool, self._webhooks).run()) if "notify" in self.kinds else duties

    async def give_back(self) -> None:
        """No further step begins, and those that run are given back, in their time."""
        self._stopping.set()
        if self._going_on:
            await asyncio.wait(self._going_on, timeout=self._settings.stop_s)

    async def answer(self, kind: Kind) -> None:
        """A message came. Returns when a step is claimed, or nothing is to be done; the step runs on after that.

        So the lease, which PostgreSQL keeps, takes over from the message at once.
        """
        self._hearing.heard(monotonic())
        metrics.BATCH_HEARD.labels(kind).inc()
        if self._stopping.is_set() or not self._slots.take(kind):
            return
        claimed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._serve(kind, claimed))
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)
        await claimed

    async def _serve(self, kind: Kind, claimed: asyncio.Future[None]) -> None:
        """Has a slot: one step after the other, until none is due."""
        metrics.BATCH_RUNNING.labels(kind).inc()
        try:
            while (lease := await self._next(kind)) is not None:
                if not claimed.done():
                    claimed.set_result(None)
                await self._runner.run(lease)
        except BackendError as error:  # the dispatcher names again what was not taken
            _log.warning("claim held up", error=error.message)
        except Exception as error:  # noqa: BLE001 - the outer edge of a slot: the reaper takes back what it had
            _log.error("a step was left behind", exc_info=error)
        finally:
            self._slots.leave(kind)
            metrics.BATCH_RUNNING.labels(kind).dec()
            if not claimed.done():
                claimed.set_result(None)

    async def _next(self, kind: Kind) -> Lease | None:
        while not self._stopping.is_set():
            self._slots.look_again(kind)
            lease = await self._claims.claim(kind, self._name, self._settings.lease_s)
            if lease is not None or not self._slots.look_again(kind):
                return lease
        return None

    async def _listen_for_silence(self) -> None:
        """Raises Deaf when the broker is not heard any more."""
        while True:
            await asyncio.sleep(min(self._settings.sweep_s, self._settings.deaf_after_s / 4))
            with contextlib.suppress(BackendError):
                starving = [kind for kind in self.kinds if self._slots.has_room(kind) and await self._starves(kind)]
                if self._hearing.is_deaf(monotonic(), starving):
                    raise Deaf(
                        f"Steps of {' and '.join(starving)} are due, the broker takes messages about them, and for"
                        f" {self._settings.deaf_after_s:g} s none came here."
                    )

    async def _starves(self, kind: Kind) -> bool:
        return await self._claims.starving(kind, self._settings.deaf_after_s)

    @property
    def running_steps(self) -> dict[Kind, int]:
        return self._slots.taken

    async def troubles(self) -> dict[str, str]:
        """What is wrong with each part that it needs; empty where all is well."""
        found = {}
        try:
            await self._claims.starving(self.kinds[0], 0)
        except BackendError as error:
            found["database"] = error.message
        if self._dispatcher.broker_trouble:
            found["broker"] = self._dispatcher.broker_trouble
        if not self.consuming:
            found["consumer"] = "It does not consume yet."
        return found


@contextlib.asynccontextmanager
async def open_worker(
    settings: Settings, sender: Callable[[], Sender], name: str, kinds: Collection[Kind]
) -> AsyncIterator[Worker]:
    """Raises SetupError or BackendError where it cannot be opened."""
    async with open_tools(settings) as tools:
        messages = sender()
        try:
            worker = Worker(tools, messages, name, kinds)
            await worker.introduce()
            try:
                yield worker
            finally:
                await worker.give_back()
        finally:
            await messages.close()
