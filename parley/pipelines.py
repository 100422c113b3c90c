"""Pipelines: which steps there are, what each needs and gives, and whether a list of them can be run. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from parley.errors import ClientError
from parley.jobs import Kind, PlannedStep

Artefact = Literal["source", "audio", "transcript", "translation", "notes", "passages"]
"""What steps leave behind, and what later ones build on. A recording that is finished has audio and a transcript."""


@dataclass(frozen=True, slots=True)
class StepSpec:
    """What is known of a step without its code. `kind` is the queue whose workers run it."""

    name: str
    kind: Kind
    needs: frozenset[Artefact] = field(default=frozenset())
    gives: frozenset[Artefact] = field(default=frozenset())


def planned(names: Iterable[str], known: Mapping[str, StepSpec], have: Collection[Artefact]) -> list[PlannedStep]:
    """The steps of a job, in order. `have`: what its recording has already.

    Raises ClientError for an unknown step, or for one that needs what no step before it gives.
    """
    there, steps = set(have), []
    for name in names:
        if (found := known.get(name)) is None:
            raise ClientError(f"There is no step {name!r}; known are {', '.join(sorted(known))}.", code="unknown_step")
        if missing := found.needs - there:
            raise ClientError(f"The step {name!r} needs the {' and the '.join(sorted(missing))}.", code="step_order")
        there |= found.gives
        steps.append(PlannedStep(name, found.kind))
    return steps
