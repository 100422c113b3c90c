"""The steps that workers know, in PostgreSQL: so the gateway, which has no step's code, can check a pipeline."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from parley.jobs import PlannedStep
from parley.pipelines import Artefact, StepSpec, planned
from parley.store.failures import database_errors

_KNOWN = "SELECT name, kind, needs, gives FROM step_types"
_SAY = """
INSERT INTO step_types (name, kind, needs, gives) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, needs = excluded.needs, gives = excluded.gives
WHERE (step_types.kind, step_types.needs, step_types.gives) <> (excluded.kind, excluded.needs, excluded.gives)
"""


async def plan(connection: Any, names: Sequence[str], have: Collection[Artefact]) -> list[PlannedStep]:
    """The steps of a job, in order; `connection` is asyncpg's, or a pool. `have`: what its recording has already.

    Raises ClientError: `unknown_step` (with those that are known), or `step_order` for a step that needs what none
    before it gives; BackendError where PostgreSQL does not answer.
    """
    async with database_errors():
        rows = await connection.fetch(_KNOWN)
    known = {
        row["name"]: StepSpec(row["name"], row["kind"], frozenset(row["needs"]), frozenset(row["gives"]))
        for row in rows
    }
    return planned(names, known, have)


async def make_known(connection: Any, steps: Iterable[StepSpec]) -> None:
    """Says which steps a worker knows; what others said of other steps stays."""
    rows = [(step.name, step.kind, sorted(step.needs), sorted(step.gives)) for step in steps]
    async with database_errors():
        await connection.executemany(_SAY, sorted(rows))
