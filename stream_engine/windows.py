"""What the device decodes next: a pure decision over the decodes that wait.

There is no timer: whatever waits when a device falls free is the choice. Finals go before drafts (finals decoded in
advance), these before partials, and live before batch; within a lane the oldest goes first and takes those of its own
padded length along.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from parley.audio import SAMPLE_RATE

FULL_WINDOW = 30 * SAMPLE_RATE
"""What Whisper's encoder was trained on, https://arxiv.org/abs/2212.04356, section 2.2."""

_STEPS = tuple(seconds * SAMPLE_RATE for seconds in (2, 4, 6, 8, 12, 16, 20, 24, 30))
"""Lengths that windows are padded to. Few, so that windows of like length meet in a batch; and a length depends on its
window alone, so that a batch gives each window what it would get alone."""

FinalWindow = Literal["full", "fit"] | float


class Lane(IntEnum):
    """Who goes first: the smaller."""

    FINAL = 0
    DRAFT = 1
    PARTIAL = 2
    BATCH = 3


@dataclass(frozen=True, slots=True)
class Waiting:
    """A decode that waits. `asked` orders by age; `samples` is the audio that it would cover now."""

    session: int
    lane: Lane
    asked: int
    samples: int


def padded_samples(samples: int, lane: Lane, final_window: FinalWindow) -> int:
    """Samples to pad a window of `samples` to: partials fit, finals as `final_window` says (a floor in seconds)."""
    if lane is Lane.PARTIAL or final_window == "fit":
        floor = 0
    elif final_window == "full":
        floor = FULL_WINDOW
    else:
        floor = round(final_window * SAMPLE_RATE)
    wanted = max(samples, floor)
    return next((step for step in _STEPS if step >= wanted), max(samples, FULL_WINDOW))


def plan(
    waiting: Iterable[Waiting],
    *,
    busy: Collection[int],
    max_batch: int,
    max_samples: float,
    final_window: FinalWindow,
) -> tuple[Waiting, ...]:
    """The next batch: at most `max_batch` decodes of one lane and one padded length, one of each session.

    Together they are at most `max_samples` long when padded, or there is only one. Sessions in `busy` have a decode in
    flight and are passed over. Empty where nothing can run.
    """
    batch: list[Waiting] = []
    taken = set(busy)
    group: tuple[Lane, int] | None = None
    for decode in sorted(waiting, key=lambda each: (each.lane, each.asked)):
        if decode.session in taken:
            continue
        own = (decode.lane, padded_samples(decode.samples, decode.lane, final_window))
        group = group or own
        full = len(batch) == max_batch or (batch and (len(batch) + 1) * group[1] > max_samples)
        if decode.lane > group[0] or full:
            break
        if own == group:
            batch.append(decode)
        taken.add(decode.session)
    return tuple(batch)
