"""Jobs of scripted steps while workers and the broker die: none is lost, none is done twice."""

import asyncio

from benchmarks.jobs.chaos import Plan, run
from benchmarks.jobs.steps import Script
from tests.integration.batch_server import batch_server

PLAN = Plan(
    jobs=30,
    faults=12,
    every_s=2.5,
    workers=2,
    seed=4,
    work={"stt": Script(seconds=1.5), "llm": Script(seconds=0.5), "notify": Script(seconds=0.1)},
)


def test_jobs_survive_whatever_dies() -> None:
    with batch_server(workers=PLAN.workers) as server:
        result = asyncio.run(run(PLAN, server))
    assert (result["lost"], result["doubled"]) == (0, 0)
    assert result["runs_done"] == 3 * PLAN.jobs
    assert result["faults"] > 7
