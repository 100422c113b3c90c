"""Which faults strike when, and who is struck: a pure function of the seed. And the striking."""

import itertools
import random
import signal
from dataclasses import dataclass
from typing import Literal

import psutil
import redis

from benchmarks.chaos.striker import Parts
from parley.embedded.parts import numbered

Kind = Literal["kill", "stop", "flush"]
BROKER = "redis"
_REST_S = 13.0
"""Between two ends of a part of which there is only one: `parley up` gives up what ends again and again at once."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """`at_s` seconds after the first job, `kind` strikes `target`, a part's name. A `stop` is SIGTERM; a `flush` has
    the broker forget every message."""

    at_s: float
    kind: Kind
    target: str

    def __str__(self) -> str:
        return f"{self.at_s:.1f} s: {self.kind} {self.target}"


def schedule(seed: int, count: int, every_s: float, workers: int) -> tuple[Fault, ...]:
    """`count` faults, one each `every_s`: of ten, six at workers (one of them SIGTERM), which take turns, three at the
    broker, one at the engine. Where the broker or the engine were struck a moment ago, a worker is in their place."""
    rng, turns = random.Random(seed), itertools.cycle(numbered("worker", index) for index in range(workers))
    ended_at = {BROKER: -_REST_S, "engine": -_REST_S}
    faults = []
    for number in range(count):
        at_s = round((number + 1) * every_s, 3)
        kind, target = _one(rng)
        if kind == "kill" and target and at_s - ended_at[target] < _REST_S:
            target = ""
        elif kind == "kill" and target:
            ended_at[target] = at_s
        faults.append(Fault(at_s, kind, target or next(turns)))
    return tuple(faults)


def _one(rng: random.Random) -> tuple[Kind, str]:
    """A kind of fault and its target; none: a worker."""
    match rng.randrange(10):
        case 0:
            return "kill", "engine"
        case 1:
            return "kill", BROKER
        case 2 | 3:
            return "flush", BROKER
        case 4:
            return "stop", ""
        case _:
            return "kill", ""


def strike(parts: Parts, fault: Fault) -> bool:
    """False where the part is down already."""
    process = parts.find(fault.target)
    if process is None:
        return False
    try:
        match fault.kind:
            case "flush":
                with redis.Redis(unix_socket_path=str(parts.sockets() / "redis.sock"), socket_timeout=5) as client:
                    client.flushall()
            case "stop":
                process.send_signal(signal.SIGTERM)
            case "kill":
                process.kill()
    except (psutil.NoSuchProcess, redis.RedisError):
        return False
    return True
