"""Which of a provider's keys is used: the first that does not rest. Pure; times are seconds on the caller's clock."""

from collections.abc import Mapping
from dataclasses import dataclass

from parley.llm.decision import Outcome

_REST_S: Mapping[Outcome, float] = {"bad_key": 600.0, "spent": 3600.0, "rate_limited": 20.0}
"""How long a key rests that was refused (somebody may put it right), has no credit, or is over its limit and the
provider did not say for how long."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Until when each key rests, in the order of the settings. A provider without keys has one that is empty."""

    resting: tuple[float, ...]

    @classmethod
    def of(cls, count: int) -> "Keys":
        return cls((0.0,) * max(1, count))

    def usable(self, now: float, *, beside: int | None = None) -> int | None:
        """The number of the first key that does not rest and is not `beside`."""
        return next((each for each, until in enumerate(self.resting) if until <= now and each != beside), None)

    def wait_s(self, now: float) -> float:
        """Seconds until one does not rest."""
        return max(0.0, min(self.resting) - now)

    def rests(self, key: int, until: float) -> "Keys":
        return Keys(tuple(until if each == key else before for each, before in enumerate(self.resting)))


def rest_s(outcome: Outcome, retry_after_s: float | None) -> float:
    """Seconds for which a key rests after this outcome of a call with it."""
    return max(_REST_S.get(outcome, 0.0) if retry_after_s is None else 0.0, retry_after_s or 0.0)
