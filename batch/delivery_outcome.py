"""What becomes of a delivery after an attempt. Pure: the dice are the caller's."""

from dataclasses import dataclass

from batch.retry import HOURS, Backoff
from parley.errors import ParleyError
from parley.fetch import ForbiddenURL
from parley.posting import Answer
from parley.webhooks import TEST_EVENT, DeliveryState

MOST_ATTEMPTS = 12
"""With the waits below: two and a half hours on average, five at most."""
BACKOFF = Backoff(first_s=10, most_s=2 * HOURS)
GONE = 410


@dataclass(frozen=True, slots=True)
class Outcome:
    """The delivery's next state, `after_s` seconds from now, and what its log says.

    `gone`: the receiver says that it is no more, so its webhook is switched off.
    """

    state: DeliveryState
    after_s: float = 0.0
    error: str | None = None
    gone: bool = False


def outcome(result: Answer | ParleyError, *, event: str, attempt: int, luck: float) -> Outcome:
    """After the attempt of this number, the first being 1; `luck` in [0, 1)."""
    if isinstance(result, Answer) and result.taken:
        return Outcome("delivered")
    if isinstance(result, Answer) and result.status == GONE:
        return Outcome("failed", error="The receiver is gone (410); the webhook is switched off.", gone=True)
    error = _why(result)
    if isinstance(result, ForbiddenURL):
        return Outcome("failed", error=error)
    if event == TEST_EVENT or attempt >= MOST_ATTEMPTS:
        return Outcome("failed", error=error)
    wait_s = max(BACKOFF.wait_s(attempt, luck), result.retry_after_s or 0.0)
    return Outcome("pending", wait_s, error)


def _why(result: Answer | ParleyError) -> str:
    if isinstance(result, ParleyError):
        return result.message
    if 300 <= result.status < 400:
        return f"The receiver answered {result.status}: redirects are not followed."
    return f"The receiver answered {result.status}."
