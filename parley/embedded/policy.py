"""When a part that exited starts again, and when to give it up. No clock, no process: exits in, decision out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

SETUP_STATUSES = frozenset({2, 3})
"""Exit statuses of a service that its command line, its settings or this machine do not fit (2 is argparse's): starting
it again changes nothing."""


class State(Enum):
    """What a part is doing. `STEPS` says what may follow."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    PAUSING = "pausing"
    FAILED = "failed"
    STOPPED = "stopped"


STEPS: dict[State, frozenset[State]] = {
    State.WAITING: frozenset({State.STARTING, State.FAILED, State.STOPPED}),
    State.STARTING: frozenset({State.READY, State.PAUSING, State.FAILED, State.STOPPED}),
    State.READY: frozenset({State.PAUSING, State.FAILED, State.STOPPED}),
    State.PAUSING: frozenset({State.STARTING, State.STOPPED}),
    State.FAILED: frozenset({State.STOPPED}),
    State.STOPPED: frozenset(),
}


def step(state: State, following: State) -> State:
    """`following`, if it may follow `state`. Raises ValueError otherwise."""
    if following not in STEPS[state]:
        raise ValueError(f"A part cannot go from {state.value} to {following.value}.")
    return following


@dataclass(frozen=True, slots=True)
class Exit:
    """One exit: when (seconds of any clock), with which status (negative: the signal), whether it had been ready and
    for how many seconds it then served.

    `note` continues a sentence that begins with the part's name. It is there where we know more than the status: a
    start that took too long, a migration that failed.
    """

    at_s: float
    status: int
    was_ready: bool
    note: str = ""
    served_s: float = 0.0

    def __str__(self) -> str:
        if self.note:
            return self.note
        return f"was ended by signal {-self.status}" if self.status < 0 else f"ended with status {self.status}"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Pauses of `first_pause_s`, doubled for each exit in the window, `longest_pause_s` at most.

    The `exits`-th exit within `window_s` seconds is the last. What served for `settled_s` before it died is no loop: it
    is not counted, and starts again at once.
    """

    exits: int = 5
    window_s: float = 120.0
    first_pause_s: float = 0.25
    longest_pause_s: float = 15.0
    settled_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Restart:
    after_s: float


@dataclass(frozen=True, slots=True)
class GiveUp:
    """`reason` continues a sentence that begins with the part's name."""

    reason: str


def decide(policy: RestartPolicy, exits: Sequence[Exit], *, others_serve: bool = False) -> Restart | GiveUp:
    """What follows the last of `exits` (oldest first, at least one).

    A part beside which others of its kind serve is never given up: that would stop them too.
    """
    decision = _alone(policy, exits)
    return Restart(policy.longest_pause_s) if others_serve and isinstance(decision, GiveUp) else decision


def _alone(policy: RestartPolicy, exits: Sequence[Exit]) -> Restart | GiveUp:
    last = exits[-1]
    if last.served_s >= policy.settled_s:
        return Restart(policy.first_pause_s)
    if last.status in SETUP_STATUSES and not last.was_ready:
        return GiveUp(f"cannot run here (it {last})")
    loop = (exit_ for exit_ in exits if exit_.served_s < policy.settled_s)
    recent = sum(1 for exit_ in loop if last.at_s - exit_.at_s < policy.window_s)
    if recent >= policy.exits:
        return GiveUp(f"failed {recent} times within {policy.window_s:g} s; the last time it {last}")
    return Restart(min(policy.first_pause_s * 2 ** (recent - 1), policy.longest_pause_s))
