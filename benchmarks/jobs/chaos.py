"""Jobs while workers, the broker and the engine die: what is lost, what is done twice, how long until all goes on."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from benchmarks import report
from benchmarks.chaos.striker import Parts
from benchmarks.jobs.faults import Fault, schedule, strike
from benchmarks.jobs.recovery import Recoveries
from benchmarks.jobs.stage import damage, jobs_server, make_job, open_pool, until_all_ended
from benchmarks.jobs.steps import Script
from parley.embedded.process import last_lines
from parley.embedded.server import RunningServer

_OWNERS = 5
_LOOK_S = 0.25


@dataclass(frozen=True, slots=True)
class Plan:
    """`every_s`: seconds between two faults. The jobs are made evenly over the time of the faults; `work` says what
    their steps do."""

    jobs: int
    faults: int
    every_s: float
    workers: int
    seed: int
    work: dict[str, Script]

    @property
    def seconds(self) -> float:
        return self.faults * self.every_s


async def run(plan: Plan, server: RunningServer) -> dict[str, Any]:
    """One run on a server with `plan.workers`. The result, keys with their units."""
    faults = schedule(plan.seed, plan.faults, plan.every_s, plan.workers)
    began = time.monotonic()
    async with open_pool(server) as pool:
        recoveries = Recoveries(pool)
        looking = asyncio.create_task(_look(recoveries))
        making = asyncio.create_task(_make(pool, plan, began))
        missed = await _strike(server, faults, recoveries, began)
        await making
        await until_all_ended(pool, patience_s=180)
        await asyncio.sleep(2 * _LOOK_S)
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        await _tell_of_the_lost(pool)
        back = [each.back_s for each in recoveries.all]
        return {
            "jobs": plan.jobs,
            "workers": plan.workers,
            "seed": plan.seed,
            "faults": len(faults) - missed,
            "faults_that_struck_nothing": missed,
            **await damage(pool),
            **{f"recovery_{name}_s": value for name, value in report.percentiles(back, 50, 95).items()},
            "recovery_max_s": round(recoveries.worst_s, 1),
            "steps_interrupted": sum(each.interrupted for each in recoveries.all),
            "runs_begun": await pool.fetchval("SELECT count(*) FROM scripted_begun"),
            "runs_done": await pool.fetchval("SELECT count(*) FROM scripted_done"),
            "faults_by_kind": _by_kind(faults),
            "seconds": round(time.monotonic() - began),
        }


async def _make(pool: asyncpg.Pool, plan: Plan, began: float) -> None:
    for number in range(plan.jobs):
        await asyncio.sleep(max(0.0, began + number * plan.seconds / plan.jobs - time.monotonic()))
        await make_job(pool, f"owner-{number % _OWNERS}", **plan.work)


async def _strike(server: RunningServer, faults: Sequence[Fault], recoveries: Recoveries, began: float) -> int:
    """Strikes each in its time; how many struck nothing."""
    parts, missed = Parts(server), 0
    for fault in faults:
        await asyncio.sleep(max(0.0, began + fault.at_s - time.monotonic()))
        process = parts.find(fault.target)
        interrupted = await recoveries.before(fault, process.pid if process else None)
        if await asyncio.to_thread(strike, parts, fault):
            recoveries.struck(interrupted)
        else:
            missed += 1
        report.progress(f"{fault}{'' if process else ' (it was down)'}")
    return missed


async def _look(recoveries: Recoveries) -> None:
    while True:
        await recoveries.look()
        await asyncio.sleep(_LOOK_S)


async def _tell_of_the_lost(pool: asyncpg.Pool) -> None:
    for row in await pool.fetch(
        "SELECT j.id, j.state, s.name, s.state AS step, s.attempt, s.failures"
        " FROM jobs j JOIN job_steps s ON s.job_id = j.id"
        " WHERE j.state <> 'succeeded' ORDER BY j.id, s.position"
    ):
        report.progress(f"lost: {dict(row)}")


def _by_kind(faults: Sequence[Fault]) -> list[dict[str, Any]]:
    struck = Counter((fault.kind, fault.target.partition("-")[0]) for fault in faults)
    return [{"kind": kind, "target": target, "count": count} for (kind, target), count in sorted(struck.items())]


def measure(plan: Plan) -> dict[str, Any]:
    with jobs_server(plan.workers) as server:
        try:
            return asyncio.run(run(plan, server))
        except Exception:
            report.progress(last_lines(server.data / "up.log", 40))
            raise
