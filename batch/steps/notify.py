"""Tells whoever asked that the job is done. What is delivered, and again, and when, is `batch.deliveries`' part."""

from pathlib import Path
from typing import Any
from uuid import UUID

from batch.pipeline import StepContext, StepResult, step
from parley.store import queries

_queries: Any = queries.load(Path(__file__).parents[1] / "deliveries.sql")


@step("notify", kind="notify")
async def notify(context: StepContext) -> StepResult:
    """Writes the deliveries to the owner's webhooks, and to the address that the job names, as the step succeeds.

    So they are there exactly if the step is done, and once; and no receiver, however slow, holds up the job.
    """

    async def write(connection: Any) -> None:
        await _queries.tell(connection, job_id=UUID(context.step.job_id), step=context.step.name)

    return StepResult(write=write)
