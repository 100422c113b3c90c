"""Pipelines: what steps are, what they work with, and how one more plugs in.

A step is a function in a file of `batch/steps/`, registered by its name:

    @step("translate", kind="llm", needs={"transcript"}, gives={"translation"})
    async def translate(context: StepContext) -> StepResult: ...

That file is all it takes. A pipeline is a list of such names; `parley.pipelines` says whether each finds what it needs.
"""

import importlib
import pkgutil
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from parley.errors import ClientError, SetupError
from parley.jobs import JobOptions, Kind
from parley.pipelines import Artefact, StepSpec
from parley.store import Recordings

if TYPE_CHECKING:
    from batch.claims import ClaimedStep, Lease
    from batch.wiring import Tools

Write = Callable[[Any], Awaitable[None]]
"""Writes what a step found, on an asyncpg connection."""


async def nothing(_connection: Any) -> None:
    """The write of a step that leaves nothing in PostgreSQL, or has written it already."""


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a step's run came to.

    `value` is small and fits in JSON: later steps and the job's owner see it. `usage`: what it cost. `write` is run in
    the transaction in which the step succeeds: it is written exactly if the step is done.
    """

    value: Any = None
    usage: Mapping[str, Any] | None = None
    write: Write = nothing


@dataclass(frozen=True, slots=True)
class StepContext:
    """What one run of a step has: its lease and the worker's tools."""

    lease: "Lease"
    tools: "Tools"

    @property
    def step(self) -> "ClaimedStep":
        return self.lease.step

    @property
    def owner(self) -> str:
        return self.step.owner

    @property
    def options(self) -> JobOptions:
        return JobOptions.model_validate(self.step.options)

    @property
    def recording_id(self) -> str:
        """Raises ClientError for a job without a recording."""
        if self.step.recording_id is None:
            raise ClientError(f"The step {self.step.name} needs a recording, and the job has none.")
        return self.step.recording_id

    @property
    def recordings(self) -> Recordings:
        """Those of the job's owner."""
        return Recordings(self.tools.pool, self.owner)


Run = Callable[[StepContext], Awaitable[StepResult]]


@dataclass(frozen=True, slots=True)
class StepType(StepSpec):
    """A step as it is registered."""

    run: Run = field(kw_only=True)


_registered: dict[str, StepType] = {}


def step(
    name: str, *, kind: Kind, needs: Collection[Artefact] = (), gives: Collection[Artefact] = ()
) -> Callable[[Run], Run]:
    """Registers the function below it as a step. Raises ValueError for a name that is taken."""

    def register(run: Run) -> Run:
        if name in _registered:
            raise ValueError(f"the step {name} is registered twice")
        _registered[name] = StepType(name, kind, frozenset(needs), frozenset(gives), run=run)
        return run

    return register


def step_types(modules: Iterable[str] = ()) -> Mapping[str, StepType]:
    """All steps by name: every file of `batch/steps/` is imported, and these further modules.

    Raises SetupError for a module that cannot be imported.
    """
    from batch import steps

    for module in pkgutil.iter_modules(steps.__path__, f"{steps.__name__}."):
        importlib.import_module(module.name)
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise SetupError(f"The steps of {name!r} (PARLEY_BATCH__STEP_MODULES) cannot be had: {error}.") from None
    return _registered
