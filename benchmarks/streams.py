"""Many streams at once, at the pace of a microphone, into any speech server; and what was measured of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from benchmarks.report import percentiles
from benchmarks.speech import Speech
from parley.audio import SAMPLE_RATE
from parley.errors import AtCapacity

CHUNK = SAMPLE_RATE // 10
"""Samples of one audio message: 100 ms."""
LIMIT_S = 1.0
"""Refresh and final p95 up to which a server carries its streams."""
_STAGGER_S = 3.0
"""Streams begin within this many seconds, as people do."""
_FAR_OVER = 3.0
_PERCENTILES = {"refresh": (50, 95), "age": (50, 95), "lag": (50, 95), "final": (50, 95, 99), "endpoint": (50, 95)}
_ENOUGH = 40
"""A run is given up when a p95 of at least so many values is so many times the limit."""


@dataclass(slots=True)
class Measured:
    """Seconds, one value an event, of one stream. `errors`: what the server refused or broke with; `lost_samples`:
    sent to the end and never acknowledged, None where a server acknowledges nothing or did not take the stream."""

    refresh_s: list[float] = field(default_factory=list)
    age_s: list[float] = field(default_factory=list)
    final_s: list[float] = field(default_factory=list)
    endpoint_s: list[float] = field(default_factory=list)
    lag_s: list[float] = field(default_factory=list)
    finals: int = 0
    lost_samples: int | None = None
    errors: list[str] = field(default_factory=list)


class Player(Protocol):
    """One stream."""

    measured: Measured

    async def play(self) -> None:
        """Plays to the end. What goes wrong stands in `measured.errors`."""


class Pacer:
    """Sends speech at real time, and knows when each sample left."""

    def __init__(self, speech: Speech, convert: Callable[[Speech], memoryview]) -> None:
        """`convert` gives the bytes to send, of the same size for each sample."""
        self.speech = speech
        self._data = convert(speech)
        self._bytes = len(self._data) // len(speech.samples)
        self.began = 0.0

    def begin(self) -> None:
        self.began = time.monotonic()

    async def send_all(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        """In chunks of 100 ms, each when its last sample has been spoken."""
        for start in range(0, len(self.speech.samples), CHUNK):
            await asyncio.sleep(max(0.0, self.sent_at(start) - time.monotonic()))
            await send(bytes(self._data[start * self._bytes : (start + CHUNK) * self._bytes]))

    def sent_at(self, sample: int) -> float:
        """When the chunk that holds `sample` left, on the monotonic clock."""
        end = min((sample // CHUNK + 1) * CHUNK, len(self.speech.samples))
        return self.began + end / SAMPLE_RATE

    def spoken(self, now: float) -> int:
        """Samples spoken until `now`."""
        return min(int((now - self.began) * SAMPLE_RATE), len(self.speech.samples))


class Refresh:
    """How long the screen stands still while someone speaks; the same measure for every server."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._updated = 0  # samples spoken until the last update

    def updated(self, now: float) -> float | None:
        """Seconds since the update before or, if it was silent then, since speech went on; None where it did not."""
        first, spoken = self._pacer.speech.next_sample(self._updated), self._pacer.spoken(now)
        self._updated = spoken
        return None if first is None or first >= spoken else now - self._pacer.began - first / SAMPLE_RATE


async def run_streams(players: Sequence[Player], *, to_the_end: bool = False) -> bool:
    """All streams at once, begun a little apart. False where it was given up, a server being far beyond its limit,
    unless it is to go on `to_the_end`."""

    async def one(index: int, player: Player) -> None:
        await asyncio.sleep(index * 0.37 % _STAGGER_S)
        await player.play()

    tasks = [asyncio.create_task(one(index, player)) for index, player in enumerate(players)]
    try:
        while not all(task.done() for task in tasks):
            await asyncio.wait(tasks, timeout=1.0)
            if not to_the_end and is_far_over([player.measured for player in players]):
                return False
        return True
    finally:
        for task in tasks:
            task.cancel()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(error, Exception):
                raise error


def is_far_over(measured: Sequence[Measured]) -> bool:
    """Whether more audio would change nothing: a stream was refused, or a p95 is three times the limit."""
    if any(one.errors for one in measured):
        return True
    return any(
        len(values) >= _ENOUGH and (percentiles(values, 95)["p95"] or 0) > _FAR_OVER * LIMIT_S
        for values in (_all(measured, "refresh_s"), _all(measured, "final_s"))
    )


def summarise(measured: Sequence[Measured]) -> dict[str, Any]:
    """The keys of `benchmarks/README.md`; None where nothing was measured."""
    result: dict[str, Any] = {"streams": len(measured)}
    for name, which in _PERCENTILES.items():
        found = percentiles(_all(measured, f"{name}_s"), *which)
        result |= {f"{name}_{percent}_s": value for percent, value in found.items()}
    errors = sorted({code for one in measured for code in one.errors})
    partials = len(_all(measured, "lag_s"))
    lost = [one.lost_samples for one in measured if one.lost_samples is not None]
    return result | {
        "partials": partials,
        "finals": sum(one.finals for one in measured),
        "refused": sum(AtCapacity.code in one.errors for one in measured),
        "lost_samples": sum(lost) if lost else None,
        "errors": errors,
    }


def _all(measured: Sequence[Measured], name: str) -> list[float]:
    return [value for one in measured for value in getattr(one, name)]
