"""What becomes of a step whose attempt came to nothing. Pure: the clock and the dice are the caller's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from parley.errors import AtCapacity, BackendError, ClientError, ParleyError, QuotaSpent, SetupError
from parley.jobs import ErrorClass, StepError

MINUTES = 60.0
HOURS = 60 * MINUTES

MOST_ATTEMPTS = 8
"""Of one step. With the waits below: some 10 to 20 minutes of an error that may pass, most of a day of a quota."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with full jitter: anything from nothing to `first_s`, to twice that, and so on up to `most_s`.

    Source: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """

    first_s: float
    most_s: float

    def wait_s(self, failures: int, luck: float) -> float:
        """Seconds to wait after so many failures in a row, 1 or more; `luck` is uniform in [0, 1)."""
        return luck * min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 30))


@dataclass(frozen=True, slots=True)
class Rule:
    """`backoff` None: there is no other attempt. `counts`: an attempt without headway is one of MOST_ATTEMPTS."""

    backoff: Backoff | None
    counts: bool = True


RULES: Mapping[ErrorClass, Rule] = {
    "retryable": Rule(Backoff(first_s=10, most_s=15 * MINUTES)),
    "permanent": Rule(backoff=None),
    "quota": Rule(Backoff(first_s=15 * MINUTES, most_s=6 * HOURS)),
    # What it needs is away: the step is not to blame, and goes on within a minute of the return.
    "delayed": Rule(Backoff(first_s=5, most_s=1 * MINUTES), counts=False),
    # Its worker died: another takes it at once.
    "lost": Rule(Backoff(first_s=0, most_s=0)),
}


LOST = StepError("lost", "worker_lost", "The worker gave no sign of life until its lease was over.")


@dataclass(frozen=True, slots=True)
class Decision:
    """The step's next state, `after_s` seconds from now; `counts` says whether the attempt does."""

    state: Literal["waiting", "failed", "dead"]
    after_s: float = 0.0
    counts: bool = True


def decide(error: StepError, *, attempt: int, delays: int, headway: bool, luck: float) -> Decision:
    """What becomes of a step after its `attempt`, the first being 1, and `delays` before this one; `luck` in [0, 1).

    `headway`: the attempt got further than any before it. Then it does not count: a step that gets further each time
    comes to its end, whoever dies on the way; one that always ends at the same place may be what kills its workers.
    """
    rule = RULES[error.error_class]
    if rule.backoff is None:
        return Decision("failed")
    counts = rule.counts and not headway
    if counts and attempt >= MOST_ATTEMPTS:
        return Decision("dead")
    wait_s = rule.backoff.wait_s(attempt if rule.counts else delays + 1, luck)
    return Decision("waiting", (error.retry_after_s or 0.0) + wait_s, counts)


def classify(error: Exception) -> StepError:
    """The error of a step in the terms of the table. What nobody foresaw is tried again, and is dead in the end."""
    if not isinstance(error, ParleyError):
        return StepError("retryable", "internal", f"{type(error).__name__}: {error}"[:500])
    return StepError(_class_of(error), error.code, error.message, error.retry_after_s)


def _class_of(error: ParleyError) -> ErrorClass:
    if isinstance(error, AtCapacity | BackendError | SetupError) or error.code == "engine_unavailable":
        return "delayed"
    if isinstance(error, QuotaSpent):
        return "quota"
    if isinstance(error, ClientError) and not error.retryable:
        return "permanent"
    return "retryable"
