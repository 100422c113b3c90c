"""Sees to it that workers hear of what is due, and that steps of workers that are gone come back.

    a step becomes due ─▶ NOTIFY ─▶ any worker's dispatcher ─▶ a message ─▶ some worker ─▶ claim
    every sweep: due but not taken (a message was lost) · waited long enough (a retry) · lease over (its worker died)

Each worker has one; which of them sends a message PostgreSQL decides, row by row. None of them is needed.
"""

import asyncio
from collections.abc import Callable, Collection
from time import monotonic
from typing import Any

import asyncpg

from batch.claims import Claims
from batch.sender import Sender
from parley import metrics
from parley.errors import BackendError
from parley.job_events import JobEvents
from parley.jobs import Kind, Message
from parley.logs import get_logger
from parley.store.failures import backend_errors

DUE, LOST = "parley_steps_due", "parley_steps_lost"
_AT_ONCE = 100
"""Messages of one kind in one sweep: each wakes a worker, who then goes on by himself."""
_GATHER_S = 0.02
"""Seconds to gather notices into one sweep."""
_LISTEN_AGAIN_S = 1.0
_log = get_logger(__name__)


class Dispatcher:
    """`lost` is told the number of a step that was cancelled or deleted while it ran, wherever it runs."""

    def __init__(
        self,
        database_url: str,
        claims: Claims,
        sender: Sender,
        job_events: JobEvents,
        kinds: Collection[Kind],
        *,
        sweep_s: float,
        sent: Callable[[Kind, int], None],
        lost: Callable[[int], None],
    ) -> None:
        self._database_url = database_url
        self._claims = claims
        self._sender = sender
        self._job_events = job_events
        self._kinds = frozenset(kinds)
        self._sweep_s = sweep_s
        self._sent = sent
        self._lost = lost
        self._noticed: set[Kind] = set()
        self._wake = asyncio.Event()
        self._outage = True  # until the first message is taken: an earlier worker may have left jobs delayed
        self.broker_trouble: str | None = None

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._sweep_again_and_again())

    async def _sweep_again_and_again(self) -> None:
        while True:
            await self._sweep()
            await self._pause()

    async def _sweep(self) -> None:
        try:
            await self._reap()
            await self._dispatch(self._kinds)
        except BackendError as error:
            _log.warning("sweep held up", error=error.message)

    async def _pause(self) -> None:
        """Until the next sweep is due; what is noticed meanwhile is dispatched at once."""
        until = monotonic() + self._sweep_s
        while await self._woken(until - monotonic()):
            await asyncio.sleep(_GATHER_S)
            self._wake.clear()
            noticed, self._noticed = self._noticed, set()
            try:
                await self._dispatch(noticed)
            except BackendError as error:
                _log.warning("dispatch held up", error=error.message)

    async def _woken(self, within_s: float) -> bool:
        try:
            async with asyncio.timeout(max(0.0, within_s)):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    async def _reap(self) -> None:
        for reaped in await self._claims.reap():
            metrics.BATCH_REAPED.labels(reaped.name).inc()
            _log.warning("step taken back", step=reaped.name, job=reaped.job_id, state=reaped.decision.state)
            self._job_events.changed(reaped.owner, reaped.job_id)

    async def _dispatch(self, kinds: Collection[Kind]) -> None:
        for kind in kinds:
            if messages := await self._claims.announce(kind, _AT_ONCE):
                await self._send(messages)
        if self._outage:
            await self._look_for_the_end_of_the_outage()

    async def _send(self, messages: list[Message]) -> None:
        taken: list[Message] = []
        try:
            await self._sender.send(messages, taken.append)
        except BackendError as error:
            self._outage, self.broker_trouble = True, error.message
            metrics.BATCH_BROKER_UP.set(0)
            _log.warning("messages not sent", error=error.message, count=len(messages) - len(taken))
            for owner, job_id in await self._claims.unsent(messages[len(taken) :]):
                self._job_events.changed(owner, job_id)
        finally:
            if taken:
                kind = taken[0].kind
                metrics.BATCH_SENT.labels(kind).inc(len(taken))
                self._sent(kind, len(taken))

    async def _look_for_the_end_of_the_outage(self) -> None:
        try:
            await self._sender.check()
        except BackendError as error:
            self.broker_trouble = error.message
            metrics.BATCH_BROKER_UP.set(0)
            return
        self._outage, self.broker_trouble = False, None
        metrics.BATCH_BROKER_UP.set(1)
        for owner, job_id in await self._claims.sendable_again():
            self._job_events.changed(owner, job_id)

    async def _listen(self) -> None:
        """Hears PostgreSQL's notices for ever; while it is away, the sweeps do without."""
        while True:
            try:
                await self._listen_once()
            except BackendError as error:
                _log.warning("not listening", error=error.message)
            await asyncio.sleep(_LISTEN_AGAIN_S)

    async def _listen_once(self) -> None:
        """Returns when the connection is lost."""
        ended = asyncio.Event()
        with backend_errors("PostgreSQL does not answer"):
            connection = await asyncpg.connect(self._database_url, timeout=10)
            try:
                connection.add_termination_listener(lambda _connection: ended.set())
                await connection.add_listener(DUE, self._on_due)
                await connection.add_listener(LOST, self._on_lost)
                self._noticed |= self._kinds  # what happened before
                self._wake.set()
                await ended.wait()
            finally:
                connection.terminate()

    def _on_due(self, _connection: Any, _pid: int, _channel: str, kind: Any) -> None:
        if kind in self._kinds:
            self._noticed.add(kind)
            self._wake.set()

    def _on_lost(self, _connection: Any, _pid: int, _channel: str, step_id: Any) -> None:
        self._lost(int(step_id))
