"""What the device decodes next: a pure decision over the decodes that wait.

There is no timer: whatever waits when a device falls free is the choice. Finals go before drafts (finals decoded in
advance), these before partials, and live before batch; within a lane goes first what is waited for the longest, and
takes those of its own padded length along. A live session has one decode in flight at most, one of the batch lane as
many as it has segments.
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
    """A decode that waits; `asked` tells it from the others and is its age. `samples` is the audio it would cover now.

    `since`: when whoever reads along began to wait for it, in seconds of any clock: a partial that was asked for a
    moment ago may be long due.
    """

    session: int
    lane: Lane
    asked: int
    samples: int
    since: float = 0.0
    attempt: int = 0


def padded_samples(samples: int, lane: Lane, final_window: FinalWindow, attempt: int = 0) -> int:
    """Samples to pad a window of `samples` to: partials fit, finals as `final_window` says (a floor in seconds).

    A final that is heard again, because it was in doubt, is heard as the model was trained.
    """
    if attempt or (final_window == "full" and lane is not Lane.PARTIAL):
        floor = FULL_WINDOW
    elif lane is Lane.PARTIAL or isinstance(final_window, str):
        floor = 0
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
    batch_share: float = 1.0,
) -> tuple[Waiting, ...]:
    """The next batch: at most `max_batch` decodes of one padded length, one of each live session.

    The first in order leads; others of its kind go along, also of later lanes, for a window more costs less in a batch
    than in one of its own. Together they are at most `max_samples` long when padded, half of it where a final or draft
    leads, or there is only one. A batch of the batch lane takes `batch_share` of either limit: while someone speaks,
    the device must not be gone for long. Sessions in `busy` have a live decode in flight and are passed over. Empty
    where nothing can run.
    """
    batch: list[Waiting] = []
    taken = set(busy)
    for decode in sorted(waiting, key=lambda each: (each.lane, each.since, each.asked)):
        if decode.session in taken and decode.lane is not Lane.BATCH:
            continue
        leader = batch[0] if batch else decode
        padded = _padded(leader, final_window)
        share = {Lane.FINAL: 0.5, Lane.DRAFT: 0.5, Lane.BATCH: batch_share}.get(leader.lane, 1.0)
        most = max_batch * batch_share if leader.lane is Lane.BATCH else max_batch
        full = batch and (len(batch) + 1 > most or (len(batch) + 1) * padded > max_samples * share)
        if full or (decode.lane is Lane.BATCH) != (leader.lane is Lane.BATCH):
            break
        if _padded(decode, final_window) == padded and decode.attempt == leader.attempt:
            batch.append(decode)
        if decode.lane is not Lane.BATCH:
            taken.add(decode.session)
    return tuple(batch)


def _padded(decode: Waiting, final_window: FinalWindow) -> int:
    return padded_samples(decode.samples, decode.lane, final_window, decode.attempt)
