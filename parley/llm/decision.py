"""What follows a call to a language model. Pure: the clock and the dice are the caller's.

| outcome | means | then |
|---|---|---|
| `ok` | an answer of the right form | done |
| `invalid` | no JSON, or not of the form asked for | once more, told what was wrong; then the next provider |
| `cut` | the answer did not fit into `max_output_tokens` | the next provider |
| `refused` | the model would not | the next provider |
| `rate_limited` | 429 | another key; else a wait as long as asked, if that is short; then the next provider |
| `spent` | 429 or 402, the credit is used up | another key; then the next provider |
| `bad_key` | 401 or 403 | another key; then the next provider |
| `rejected` | another 4xx: an unknown model, a request too long | the next provider |
| `server_error`, `timeout`, `unreachable` | it is away | up to twice more, after a wait; then the next provider |

Not called at all: `too_long` (the question does not fit), `budget` (it would cost more than is left), `resting` (its
breaker is open, or all its keys rest).
"""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal[
    "ok",
    "invalid",
    "cut",
    "refused",
    "rate_limited",
    "spent",
    "bad_key",
    "rejected",
    "server_error",
    "timeout",
    "unreachable",
    "too_long",
    "budget",
    "resting",
]

AWAY: frozenset[Outcome] = frozenset({"rate_limited", "server_error", "timeout", "unreachable", "resting"})
"""It may be back."""
BREAKING: frozenset[Outcome] = frozenset({"server_error", "timeout", "unreachable"})
"""What opens a breaker."""
OF_A_KEY: frozenset[Outcome] = frozenset({"rate_limited", "spent", "bad_key"})

MOST_TRIES = 3
"""Calls to one provider that is away."""
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 15.0
"""More than that is not waited out while there is another provider."""


@dataclass(frozen=True, slots=True)
class Again:
    """The same provider once more, `after_s` seconds from now; with the errors of its answer where it is a `repair`."""

    after_s: float = 0.0
    repair: bool = False


@dataclass(frozen=True, slots=True)
class Next:
    """The next provider."""


def decide(
    outcome: Outcome,
    *,
    failures: int,
    repaired: bool,
    other_key: bool,
    retry_after_s: float | None = None,
    luck: float = 0.0,
) -> Again | Next:
    """What follows a call that brought no answer.

    `failures`: calls in a row, this one included, in which the provider was away. `repaired`: it was told already what
    was wrong. `other_key`: there is a key that does not rest. `luck` in [0, 1) spreads the waits.
    """
    if outcome == "invalid":
        return Next() if repaired else Again(repair=True)
    if outcome in OF_A_KEY and other_key:
        return Again()
    if outcome not in AWAY or outcome == "resting" or failures >= MOST_TRIES:
        return Next()
    wait_s = FIRST_WAIT_S * 2 ** (failures - 1) * (0.5 + luck / 2)
    after_s = max(retry_after_s or 0.0, wait_s)
    return Again(after_s) if after_s <= LONGEST_WAIT_S else Next()
