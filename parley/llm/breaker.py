"""A circuit breaker: who failed several times in a row is left alone for a while, then tried by one call. Pure.

    closed ──FAILURES in a row──▶ open ──time──▶ half-open ──success──▶ closed
                                   ▲                 │ failure: twice as long
                                   └─────────────────┘
Source: M. Nygard, Release It!, 2nd edition, chapter 5. Times are seconds on the caller's clock.
"""

from dataclasses import dataclass, replace
from typing import Literal

State = Literal["closed", "open", "half-open"]

FAILURES = 3
FIRST_REST_S = 30.0
LONGEST_REST_S = 300.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` in a row, and until when it is open; `probing`: the one call of the half-open state is under way."""

    failures: int = 0
    open_until: float | None = None
    rest_s: float = FIRST_REST_S
    probing: bool = False

    def state(self, now: float) -> State:
        if self.open_until is None:
            return "closed"
        return "open" if now < self.open_until else "half-open"

    def admits(self, now: float) -> bool:
        """Whether a call may be made."""
        return self.state(now) == "closed" or (self.state(now) == "half-open" and not self.probing)

    def wait_s(self, now: float) -> float:
        """Seconds until a call may be made; 0 where that is now, or hangs on a probe that is under way."""
        return 0.0 if self.open_until is None else max(0.0, self.open_until - now)

    def calling(self, now: float) -> "Breaker":
        """A call that was admitted begins."""
        return replace(self, probing=True) if self.state(now) == "half-open" else self

    def given_up(self) -> "Breaker":
        """A call ended without telling anything: it was cancelled."""
        return replace(self, probing=False)

    def succeeded(self) -> "Breaker":
        return Breaker()

    def failed(self, now: float) -> "Breaker":
        failures = self.failures + 1
        if self.open_until is not None and now >= self.open_until:  # the probe
            rest_s = min(LONGEST_REST_S, 2 * self.rest_s)
            return Breaker(failures, now + rest_s, rest_s)
        if failures >= FAILURES:
            return Breaker(failures, now + self.rest_s, self.rest_s)
        return replace(self, failures=failures, probing=False)
