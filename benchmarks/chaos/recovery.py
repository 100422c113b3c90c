"""How long screens stood still after a gateway or an engine was killed. Pure: what was shown when, in; seconds, out."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.chaos.schedule import Fault, Kind
from benchmarks.chaos.speaker import Heard, Shown

AFTERMATH_S: dict[Kind, float] = {
    "cut": 2.0,
    "half_open": 15.0,
    "delay": 1.0,
    "refuse": 1.0,
    "kill": 4.0,
    "drain": 4.0,
    "pause": 2.0,
    "strand": 3.0,
}
"""Seconds for which a fault, once it is over, may still hold up the text: a part starts again, a client comes back."""
_WATCH_S = 3.0
"""Seconds behind a kill in which another fault would make the measure that of both."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A part that was killed `at_s`, and the sessions that it may have served. Which of an engine's are not known from
    outside: `at_most` of them were."""

    fault: Fault
    at_s: float
    sessions: tuple[int, ...]
    at_most: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds until a session had new text. `alone`: nothing else that could hold up the text was broken meanwhile."""

    seconds: float
    alone: bool


def recoveries(kills: Sequence[Kill], heard: Sequence[Heard], faults: Sequence[Fault]) -> list[Recovery]:
    """One for each session that a killed part had served while someone was speaking in it."""
    return [recovery for kill in kills for recovery in _of_kill(kill, heard, faults)]


def _of_kill(kill: Kill, heard: Sequence[Heard], faults: Sequence[Fault]) -> list[Recovery]:
    """Of more sessions than the part can have served, the slowest count: never better than it was."""
    found = []
    for session in kill.sessions:
        if not heard[session].is_speaking(kill.at_s):
            continue
        if (text_at_s := next_text(heard[session].shown, kill.at_s)) is not None:
            found.append(Recovery(text_at_s - kill.at_s, is_alone(kill.fault, session, faults)))
    return sorted(found, key=lambda recovery: recovery.seconds, reverse=True)[: kill.at_most]


def next_text(shown: Sequence[Shown], after_s: float) -> float | None:
    """When there was first text beyond what was there at `after_s`: words that were not on the screen, or a final that
    was not. None: there was none."""
    before = [each for each in shown if each.at_s <= after_s]
    segment = max((each.segment for each in before), default=-1)
    finals = {each.segment for each in before if each.is_final}
    text = next((each.text for each in reversed(before) if each.segment == segment), "")
    for each in shown:
        if each.at_s <= after_s or each.segment in finals or each.segment < segment:
            continue
        if each.is_final or each.segment > segment or not text.startswith(each.text):
            return each.at_s
    return None


def is_alone(fault: Fault, session: int, faults: Sequence[Fault]) -> bool:
    """Whether no other fault that concerns `session` was in force from `fault` on until its text should be back."""
    return not any(
        other.at_s < fault.at_s + _WATCH_S and fault.at_s < other.at_s + other.for_s + AFTERMATH_S[other.kind]
        for other in faults
        if other is not fault and _concerns(other, session)
    )


def _concerns(fault: Fault, session: int) -> bool:
    return fault.target == session if isinstance(fault.target, int) else fault.target != "redis"
