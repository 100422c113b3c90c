"""Runs one claimed step: beside it the heartbeat, above it the time limit, and what becomes of it at its end.

    claimed ─▶ the step's coroutine ─▶ succeed            a lost lease cancels it · a worker that stops releases it
                     └ raises ───────▶ fail (batch/retry)

All of a worker's steps share one event loop: a step that computes for more than a moment does so in a thread, else it
holds up the heartbeats of all, its own too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Literal, TypeVar

from batch.claims import Lease, LeaseLost
from batch.pipeline import StepContext, StepResult, StepType
from batch.retry import classify
from batch.wiring import Tools
from parley import metrics
from parley.errors import BackendError, ParleyError, SetupError
from parley.job_events import JobEvents
from parley.jobs import StepError
from parley.logs import bound, get_logger
from parley.settings import BatchSettings

Ending = Literal["succeeded", "waiting", "failed", "dead", "released", "lease_lost", "cancelled", "deleted"]
_T = TypeVar("_T")
_INSIST_S = 1.0
_CANCEL_S = 10.0
"""Seconds for a step to end that is cancelled; one that does not is left behind: it can write nothing any more."""
_log = get_logger(__name__)


@dataclass
class Run:
    """A step in progress. `look`: set to ask at once whether the lease still holds."""

    lease: Lease
    look: asyncio.Event


class Runner:
    """`stopping` is set when the worker is asked to stop: then every step is given back as it was."""

    def __init__(
        self, tools: Tools, steps: Mapping[str, StepType], job_events: JobEvents, stopping: asyncio.Event
    ) -> None:
        self._tools = tools
        self._settings: BatchSettings = tools.settings.batch
        self._steps = steps
        self._job_events = job_events
        self._stopping = stopping
        self._runs: dict[int, Run] = {}

    def look_after(self, step_id: int) -> None:
        """Somebody took this step away, it is said: if it runs here, ask."""
        if (run := self._runs.get(step_id)) is not None:
            run.look.set()

    async def run(self, lease: Lease) -> Ending:
        """Runs the step to its end, whatever that is. Raises BackendError where PostgreSQL was away for so long that
        it could not be written down; the reaper takes the step back then."""
        step, began = lease.step, monotonic()
        run = Run(lease, asyncio.Event())
        self._runs[step.step_id] = run
        lease.on_progress = lambda: self._job_events.progressed(step.owner, step.job_id)
        with bound(job=step.job_id, step=step.name, step_id=step.step_id, attempt=step.attempt):
            self._job_events.changed(step.owner, step.job_id)
            try:
                ending = await self._attempt(run)
            except LeaseLost as lost:
                ending = self._lost(lost)
            finally:
                del self._runs[step.step_id]
                self._job_events.changed(step.owner, step.job_id)
            metrics.BATCH_STEPS.labels(step.name, ending).inc()
            metrics.BATCH_STEP_S.labels(step.name).observe(monotonic() - began)
            _log.info("step ended", ending=ending, seconds=round(monotonic() - began, 3))
        return ending

    def _lost(self, lost: LeaseLost) -> Ending:
        _log.warning("lease lost", code=lost.code, error=lost.message)
        return "cancelled" if lost.code == "cancelled" else "deleted" if lost.code == "deleted" else "lease_lost"

    async def _attempt(self, run: Run) -> Ending:
        lease, limit_s = run.lease, self._settings.longest_step_s
        work = asyncio.create_task(self._work(lease))
        alive = asyncio.create_task(self._stay_alive(run))
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((work, alive, stop), timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return await self._settle(lease, work)
            await self._cancel(work)
            if alive.done():
                alive.result()  # raises why the lease is gone
            if stop.done():
                await self._insist(lease.release)
                return "released"
            return await self._fail(
                lease, StepError("retryable", "step_timeout", f"It took longer than {limit_s:g} s.")
            )
        finally:
            for task in (work, alive, stop):
                task.cancel()
            await asyncio.gather(alive, stop, return_exceptions=True)

    async def _work(self, lease: Lease) -> StepResult:
        step_type = self._steps.get(lease.step.name)
        if step_type is None:
            raise SetupError(f"This worker knows no step {lease.step.name!r}; it is older than the one that does.")
        return await step_type.run(StepContext(lease, self._tools))

    async def _stay_alive(self, run: Run) -> None:
        """A heartbeat now and then, or when asked for; it ends with the lease. With PostgreSQL away, it goes on."""
        while True:
            try:
                async with asyncio.timeout(self._settings.heartbeat_s):
                    await run.look.wait()
            except TimeoutError:
                pass
            run.look.clear()
            try:
                await run.lease.heartbeat()
            except BackendError as error:
                _log.warning("heartbeat held up", error=error.message)

    async def _cancel(self, work: asyncio.Task[StepResult]) -> None:
        work.cancel()
        _, left = await asyncio.wait((work,), timeout=_CANCEL_S)
        if left:
            _log.error("the step does not end; it is left behind")

    async def _settle(self, lease: Lease, work: asyncio.Task[StepResult]) -> Ending:
        """Writes down how the step's coroutine ended."""
        if work.cancelled():
            return await self._fail(lease, StepError("retryable", "internal", "The step cancelled itself."))
        try:
            result = work.result()
            await self._insist(lambda: _succeed(lease, result))
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 - the outer edge of a step: whatever it raised is written down
            if not isinstance(error, ParleyError):
                _log.error("the step failed unforeseen", exc_info=error)
            return await self._fail(lease, classify(error))
        return "succeeded"

    async def _fail(self, lease: Lease, error: StepError) -> Ending:
        decision = await self._insist(lambda: lease.fail(error))
        _log.warning("step failed", error_class=error.error_class, code=error.code, error=error.message)
        return decision.state

    async def _insist(self, write: Callable[[], Awaitable[_T]]) -> _T:
        """Tries again while PostgreSQL is away, for as long as the lease could be good: what was worked out is kept."""
        until = monotonic() + self._settings.lease_s
        while True:
            try:
                return await write()
            except BackendError as error:
                if error.code != "database_unavailable" or monotonic() > until:
                    raise
                _log.warning("not written yet", error=error.message)
                await asyncio.sleep(_INSIST_S)


async def _succeed(lease: Lease, result: StepResult) -> None:
    async with lease.transaction() as connection:
        await result.write(connection)
        await lease.succeed(result.value, usage=result.usage, connection=connection)
