"""Tells a job's owner how it is: at once when its state changes, at most once a second while it runs.

Whoever changes a job says so here and goes on: what is told is what PostgreSQL says at that moment, so several changes
may be told as one. Nothing that goes wrong here fails anything.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

import asyncpg

from parley.errors import BackendError
from parley.events import Events
from parley.jobs import Job, Rate, outlook
from parley.logs import get_logger
from parley.store.jobs import Jobs, StepRates

_PROGRESS_S = 1.0
_log = get_logger(__name__)


def job_event(job: Job, rates: Mapping[str, Rate]) -> dict[str, Any]:
    """What an event says of a job; `remaining_s` is None where that is not known."""
    ahead = outlook(job, rates)
    return {
        "job_id": job.id,
        "recording_id": job.recording_id,
        "state": job.state,
        "delayed": job.delayed,
        "step": ahead.step,
        "stage": ahead.stage,
        "percent": ahead.percent,
        "remaining_s": None if ahead.remaining_s is None else round(ahead.remaining_s, 1),
    }


class JobEvents:
    """`run` tells what was said by `changed` and `progressed`, for as long as it runs."""

    def __init__(self, pool: asyncpg.Pool, events: Events, clock: Callable[[], float] = monotonic) -> None:
        self._pool = pool
        self._events = events
        self._clock = clock
        self._due: dict[tuple[str, str], float] = {}
        self._told: dict[tuple[str, str], float] = {}
        self._wake = asyncio.Event()
        self.rates = StepRates(pool, clock)

    def changed(self, owner: str, job_id: str) -> None:
        """The job is in another state."""
        self._tell_at(owner, job_id, self._clock())

    def progressed(self, owner: str, job_id: str) -> None:
        """The job got further."""
        self._tell_at(owner, job_id, self._told.get((owner, job_id), float("-inf")) + _PROGRESS_S)

    def _tell_at(self, owner: str, job_id: str, at: float) -> None:
        self._due[owner, job_id] = min(at, self._due.get((owner, job_id), at))
        self._wake.set()

    async def run(self) -> None:
        while True:
            self._wake.clear()
            now = self._clock()
            for owner, job_ids in self._take_due(now).items():
                await self.tell(owner, *job_ids)
            self._told = {key: at for key, at in self._told.items() if at > now - _PROGRESS_S}
            await self._sleep()

    def _take_due(self, now: float) -> dict[str, list[str]]:
        """The jobs of each owner of which something is to be told now."""
        due = defaultdict[str, list[str]](list)
        for owner, job_id in [key for key, at in self._due.items() if at <= now]:
            del self._due[owner, job_id]
            self._told[owner, job_id] = now
            due[owner].append(job_id)
        return due

    async def _sleep(self) -> None:
        """Until something is due or something new is said."""
        wait_s = max(0.0, min(self._due.values()) - self._clock()) if self._due else None
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def tell(self, owner: str, *job_ids: str) -> None:
        """How the jobs are, now. One that is gone is told of by whoever deleted it."""
        try:
            await self.tell_of(owner, await Jobs(self._pool, owner).several(job_ids))
        except BackendError as error:
            _log.warning("event dropped", jobs=job_ids, error=error.message)

    async def tell_of(self, owner: str, jobs: Sequence[Job]) -> None:
        """The same of jobs as they were just read. Raises BackendError where PostgreSQL does not answer."""
        rates = await self.rates.of(name for job in jobs for name in job.pipeline)
        await self._events.publish_jobs(owner, [job_event(job, rates) for job in jobs])
