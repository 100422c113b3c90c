"""Steps that do nothing but take their time: for tests and benchmarks of what runs them, in real workers.

A worker has them by `PARLEY_BATCH__STEP_MODULES='["benchmarks.jobs.steps"]'`. What each does stands in its job's
options, under its name (`Script`). Each run that begins leaves a row in `scripted_begun`, each that succeeds one in
`scripted_done`, in the transaction in which it succeeds.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncpg
from pydantic import BaseModel, ConfigDict

from batch.pipeline import StepContext, StepResult, step
from parley.errors import BackendError, ClientError, EngineError
from parley.jobs import PlannedStep

MODULE = __name__
PIPELINE = (
    PlannedStep("script-stt", "stt"),
    PlannedStep("script-llm", "llm"),
    PlannedStep("script-notify", "notify"),
)
TABLES = """
CREATE TABLE IF NOT EXISTS scripted_begun (step_id bigint, fence bigint, at timestamptz DEFAULT now());
CREATE TABLE IF NOT EXISTS scripted_done (step_id bigint, fence bigint, at timestamptz DEFAULT now());
"""
_TICK_S = 0.1
_ERRORS: Mapping[str, type[Exception]] = {
    "retryable": EngineError,
    "permanent": ClientError,
    "delayed": BackendError,
    "unforeseen": ZeroDivisionError,
}


class Script(BaseModel):
    """`seconds` to take; then, in the first `fails` runs, an error of the class `how`. `blind`: it never says how
    far it is, so that it learns by nothing but its heartbeat that it lost its lease."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float = 0.0
    fails: int = 0
    how: str = "retryable"
    blind: bool = False


async def prepare(pool: asyncpg.Pool) -> None:
    """Makes the tables that the steps write to."""
    await pool.execute(TABLES)


def scripts(**each: Script) -> dict[str, Any]:
    """The options of a job whose steps follow these scripts: `stt=Script(seconds=2)`."""
    return {f"script-{kind}": script.model_dump() for kind, script in each.items()}


async def follow(context: StepContext) -> StepResult:
    claimed = context.step
    script = Script.model_validate(claimed.options.get(claimed.name, {}))
    await context.tools.pool.execute(
        "INSERT INTO scripted_begun (step_id, fence) VALUES ($1, $2)", claimed.step_id, claimed.fence
    )
    ticks = max(1, round(script.seconds / _TICK_S))
    for tick in range(ticks):
        await asyncio.sleep(script.seconds / ticks)
        if not script.blind:
            await context.lease.progress((tick + 1) / ticks, "following its script")
    if claimed.fence <= script.fails:
        raise _ERRORS[script.how](f"The script says that run {claimed.fence} fails.")

    async def done(connection: Any) -> None:
        await connection.execute(
            "INSERT INTO scripted_done (step_id, fence) VALUES ($1, $2)", claimed.step_id, claimed.fence
        )

    return StepResult({"attempt": claimed.attempt}, usage={"seconds": script.seconds}, write=done)


for _planned in PIPELINE:
    step(_planned.name, kind=_planned.kind)(follow)
