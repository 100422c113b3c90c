"""How long it took after each fault until all that it had interrupted went on.

A worker that ends interrupts the steps that it ran: each is back when it is claimed again, or its job has ended. A
broker that forgets or ends interrupts whatever was due at that moment: each is back when it is claimed. An engine that
ends interrupts no scripted step.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from benchmarks.jobs.faults import Fault

_RUNNING = """
SELECT id, fence FROM job_steps WHERE state = 'running' AND split_part(worker, '/', 2) = $1
"""
_DUE = """
SELECT id, fence FROM job_steps WHERE state IN ('queued', 'waiting') AND not_before <= now()
"""
_BACK = """
SELECT s.id FROM job_steps s JOIN unnest($1::bigint[], $2::bigint[]) AS was (id, fence) ON was.id = s.id
WHERE s.fence > was.fence OR s.state IN ('succeeded', 'failed', 'dead', 'cancelled')
"""


@dataclass
class Interrupted:
    """What a fault interrupted: steps by id, with the fence they had. `back_s`: seconds until the last was back."""

    fault: Fault
    began: float
    open: dict[int, int] = field(default_factory=dict)
    back_s: float = 0.0
    interrupted: int = 0


class Recoveries:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.all: list[Interrupted] = []

    async def before(self, fault: Fault, pid: int | None) -> Interrupted:
        """What the fault, which strikes the part with this process in a moment, will interrupt."""
        rows: list[Any] = []
        if fault.target.startswith("worker") and pid is not None:
            rows = await self._pool.fetch(_RUNNING, str(pid))
        elif fault.target == "redis":
            rows = await self._pool.fetch(_DUE)
        steps = {row["id"]: row["fence"] for row in rows}
        return Interrupted(fault, time.monotonic(), steps, interrupted=len(steps))

    def struck(self, interrupted: Interrupted) -> None:
        self.all.append(interrupted)

    async def look(self) -> None:
        """Notes what is back."""
        for each in self.all:
            if not each.open:
                continue
            rows = await self._pool.fetch(_BACK, list(each.open), list(each.open.values()))
            for row in rows:
                del each.open[row["id"]]
            each.back_s = time.monotonic() - each.began

    @property
    def worst_s(self) -> float:
        return max((each.back_s for each in self.all), default=0.0)
