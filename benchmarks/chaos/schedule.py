"""Which faults strike when: a pure function of the seed."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

ConnectionFault = Literal["cut", "half_open", "delay", "refuse"]
PartFault = Literal["kill", "drain", "pause", "strand"]
Kind = Literal[ConnectionFault, PartFault]

CONNECTION_FAULTS: tuple[ConnectionFault, ...] = get_args(ConnectionFault)
STORES = ("postgres", "redis")
MOST_ENDS = 3
"""Ends of one part in a round; at the fifth within two minutes `parley up` would give the part up, as it should."""
ENDING = ("kill", "drain")
ROLLING_EVERY = 5
OUTAGE_EVERY, _OUTAGE_FIRST = 10, 3
OUTAGE_ROUND_S = 42.0
"""Seconds that are spoken in a round with an outage: through it, and on behind it."""
_SHORTEST_OUTAGE_S, _LONGEST_OUTAGE_S = 32.0, 35.0
"""Longer than a recording may be without a sign of life, which is 30 s at the least."""
CALM_S = 4.0
"""Seconds between the faults of a round in which they strike apart."""
_FIRST_AT_S = 2.0
_LAST = 0.9
_HALF_OPEN_LAST = 0.4
"""A connection that is dead but open is noticed after 12 s: late ones only make the round longer."""
_CONNECTION_SHARE = 0.45


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """`at_s` seconds after the sessions began, `kind` strikes `target`: a session's number or a part's name.

    `for_s`: seconds that a `delay`, `refuse`, `pause` or `strand` lasts; 0 for the others. A `drain` is SIGTERM, which
    a part obeys in its own time; `strand` freezes a gateway and cuts its clients off.
    """

    at_s: float
    kind: Kind
    target: int | str
    for_s: float = 0.0

    def __str__(self) -> str:
        target = f"session {self.target}" if isinstance(self.target, int) else self.target
        lasting = f" for {self.for_s:.1f} s" if self.for_s else ""
        return f"{self.at_s:.1f} s: {self.kind} {target}{lasting}"


@dataclass(frozen=True, slots=True)
class Cast:
    """Who may be struck: `sessions` sessions, and the parts by their names."""

    sessions: int
    gateways: tuple[str, ...]
    engines: tuple[str, ...]
    stores: tuple[str, ...] = STORES

    @property
    def parts(self) -> tuple[str, ...]:
        return (*self.gateways, *self.engines, *self.stores)


def schedule(seed: int, cast: Cast, seconds: float) -> tuple[Fault, ...]:
    """The faults of a round with `seconds` of audio, in order of time.

    Every fifth seed restarts all gateways and engines in turn, as an upgrade does. In every tenth PostgreSQL, or else
    all engines, are frozen for longer than a recording may be without a sign of life; its sessions should speak for
    `OUTAGE_ROUND_S`. Of the others, even ones kill gateways and engines one at a time and give the text time to come
    back, so that recovery can be measured; odd ones let anything strike at any time. Connections are struck in each.
    """
    rng = random.Random(seed)
    parts = _kind_of(seed)(rng, cast, seconds)
    struck = [_on_connection(rng, cast, seconds) for _ in range(max(1, round(cast.sessions * _CONNECTION_SHARE)))]
    return tuple(sorted([*parts, *struck], key=lambda fault: fault.at_s))


def has_outage(seed: int) -> bool:
    return seed % OUTAGE_EVERY == _OUTAGE_FIRST


def _kind_of(seed: int) -> Callable[[random.Random, Cast, float], list[Fault]]:
    """What strikes the parts in the round of that seed."""
    if has_outage(seed):
        return _engines_away if seed // OUTAGE_EVERY % 2 else _database_away
    if seed % ROLLING_EVERY == ROLLING_EVERY - 1:
        return _rolling
    return _together if seed % 2 else _apart


def _database_away(rng: random.Random, cast: Cast, seconds: float) -> list[Fault]:
    return _outage(rng, cast, seconds, ("postgres",))


def _engines_away(rng: random.Random, cast: Cast, seconds: float) -> list[Fault]:
    return _outage(rng, cast, seconds, cast.engines)


def _outage(rng: random.Random, cast: Cast, seconds: float, parts: Sequence[str]) -> list[Fault]:
    """All of `parts` freeze together. Meanwhile a gateway stops, so that its sessions go on elsewhere without them."""
    at_s = _FIRST_AT_S + rng.uniform(0, 1)
    for_s = _rounded(rng.uniform(_SHORTEST_OUTAGE_S, _LONGEST_OUTAGE_S))
    stops_at_s = rng.uniform(at_s, min(at_s + for_s, seconds * _LAST))
    frozen = [Fault(_rounded(at_s), "pause", part, for_s) for part in parts]
    return [*frozen, Fault(_rounded(stops_at_s), "drain", rng.choice(cast.gateways))]


def _rolling(rng: random.Random, cast: Cast, seconds: float) -> list[Fault]:
    """The gateways, then the engines, evenly over the time."""
    parts = (*cast.gateways, *cast.engines)
    step_s = (seconds * _LAST - _FIRST_AT_S / 2) / len(parts)
    jitter_s = [rng.uniform(0, step_s / 2) for _ in parts]
    times = [_FIRST_AT_S / 2 + number * step_s + jitter for number, jitter in enumerate(jitter_s)]
    return [Fault(_rounded(at_s), "drain", part) for at_s, part in zip(times, parts, strict=True)]


def _apart(rng: random.Random, cast: Cast, seconds: float) -> list[Fault]:
    faults: list[Fault] = []
    at_s = _FIRST_AT_S + rng.uniform(0, 1)
    while at_s < seconds * _LAST:
        group = cast.gateways if rng.random() < 0.5 else cast.engines
        faults.append(Fault(_rounded(at_s), "kill", rng.choice(group)))
        at_s += CALM_S + rng.uniform(0, 1)
    return _without_too_many_ends(faults)


def _together(rng: random.Random, cast: Cast, seconds: float) -> list[Fault]:
    count = rng.randint(len(cast.parts), 2 * len(cast.parts))
    return _without_too_many_ends([_on_part(rng, cast, seconds) for _ in range(count)])


def _on_part(rng: random.Random, cast: Cast, seconds: float) -> Fault:
    at_s, target = _rounded(rng.uniform(_FIRST_AT_S / 2, seconds * _LAST)), rng.choice(cast.parts)
    kind = rng.choice(kinds_for(target, cast))
    return Fault(at_s, kind, target, 0.0 if kind in ENDING else _rounded(rng.uniform(1, 8)))


def kinds_for(part: str, cast: Cast) -> Sequence[PartFault]:
    """What may strike it."""
    if part in cast.gateways:
        return ("kill", "drain", "pause", "strand")
    return ("kill", "drain", "pause") if part in cast.engines else ("kill", "pause")


def _on_connection(rng: random.Random, cast: Cast, seconds: float) -> Fault:
    kind, target = rng.choice(CONNECTION_FAULTS), rng.randrange(cast.sessions)
    last = _HALF_OPEN_LAST if kind == "half_open" else _LAST
    lasting_s = rng.uniform(0.3, 4) if kind in ("delay", "refuse") else 0.0
    return Fault(_rounded(rng.uniform(0, seconds * last)), kind, target, _rounded(lasting_s))


def _without_too_many_ends(faults: list[Fault]) -> list[Fault]:
    ends: Counter[int | str] = Counter()
    kept = []
    for fault in sorted(faults, key=lambda fault: fault.at_s):
        ends[fault.target] += fault.kind in ENDING
        if fault.kind not in ENDING or ends[fault.target] <= MOST_ENDS:
            kept.append(fault)
    return kept


def _rounded(seconds: float) -> float:
    return round(seconds, 2)
