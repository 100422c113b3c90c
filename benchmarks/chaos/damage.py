"""What was lost, doubled or changed: each session beside what it said and what an undisturbed run made of it. Pure."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from parley import wire
from parley.audio import Samples


@dataclass(frozen=True, slots=True)
class Final:
    """A final as it is compared: that of a disturbed run must be the same in all of this."""

    segment: int
    start_ms: int
    end_ms: int
    text: str

    @classmethod
    def of(cls, final: wire.Final) -> "Final":
        return cls(final.segment, final.start_ms, final.end_ms, final.text)


@dataclass(frozen=True, slots=True)
class Damage:
    """Counts, all 0 when all is well. `lost_samples` are those that are not in their place; `doubled_finals` were sent
    to a client that had not asked for them, or have the times or the words of another; `changed_finals` have another
    text or other times than undisturbed, `added_finals` a number that it does not have; `misordered`: finals that do
    not follow the one before by number and time; `superseded`: sessions that somebody else took over; `unclosed`:
    sessions that did not come to their end."""

    lost_samples: int = 0
    added_samples: int = 0
    lost_finals: int = 0
    doubled_finals: int = 0
    changed_finals: int = 0
    added_finals: int = 0
    misordered: int = 0
    superseded: int = 0
    unclosed: int = 0

    def __add__(self, other: "Damage") -> "Damage":
        return Damage(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(Damage)))

    def __or__(self, other: "Damage") -> "Damage":
        """The greater count of each: the same thing seen from two sides."""
        return Damage(*(max(getattr(self, field.name), getattr(other, field.name)) for field in fields(Damage)))

    def __bool__(self) -> bool:
        return self != Damage()

    def __str__(self) -> str:
        counts = {field.name: getattr(self, field.name) for field in fields(Damage)}
        return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in counts.items() if count) or "none"


def of_audio(expected: Samples, stored: Samples) -> Damage:
    """Both int16, shape (n,)."""
    both = min(len(expected), len(stored))
    wrong = int(np.count_nonzero(expected[:both] != stored[:both]))
    return Damage(lost_samples=wrong + len(expected) - both, added_samples=len(stored) - both)


def of_finals(expected: Sequence[Final], found: Sequence[Final]) -> Damage:
    """`found`: as they were stored, or as the client saw them, in that order."""
    wanted = {final.segment: final for final in expected}
    times = Counter(final.segment for final in found)
    return Damage(
        lost_finals=len(wanted.keys() - times.keys()),
        doubled_finals=_doubled(expected, found),
        changed_finals=sum(final.segment in wanted and final != wanted[final.segment] for final in found),
        added_finals=len(times.keys() - wanted.keys()),
        misordered=_misordered(found),
    )


def _doubled(expected: Sequence[Final], found: Sequence[Final]) -> int:
    """Finals that say again what another says: by number, by time or by words, more often than undisturbed."""
    return max(
        _surplus((each.segment for each in expected), (each.segment for each in found)),
        _surplus(((each.start_ms, each.end_ms) for each in expected), ((each.start_ms, each.end_ms) for each in found)),
        _surplus((each.text for each in expected if each.text), (each.text for each in found if each.text)),
    )


def _surplus(expected: Iterable[Hashable], found: Iterable[Hashable]) -> int:
    """How many of `found` are equal to another and more than there should be."""
    wanted = Counter(expected)
    return sum(max(0, count - max(1, wanted[each])) for each, count in Counter(found).items())


def _misordered(found: Iterable[Final]) -> int:
    """Finals that do not bear the next number, or begin before the one before them ended."""
    number, end_ms, wrong = 0, 0, 0
    for final in found:
        wrong += final.segment != number or final.start_ms < end_ms or final.end_ms < final.start_ms
        number, end_ms = final.segment + 1, final.end_ms
    return wrong


def of_told(stored: Sequence[Final], told: Sequence[Final]) -> Damage:
    """`told`: the transcript by the public API, which leaves out finals without words."""
    return Damage(changed_finals=len({final for final in stored if final.text} ^ set(told)))
