"""Webhooks: what is told, and how a receiver knows who told it. Pure.

A delivery is a POST of JSON. `Parley-Signature: t=1764288000,v1=5257a8…` carries the time of the attempt in seconds and
the hex HMAC-SHA256 of `{t}.{body}` under the webhook's secret; a receiver computes the same and refuses what is older
than some minutes, so that nobody can send it again. The form is Stripe's, whose checks are written in every language.
Source: https://docs.stripe.com/webhooks#verify-manually
"""

import hashlib
import hmac
import secrets
import time
from typing import Literal, get_args

from parley.errors import ClientError

Event = Literal["job.succeeded", "job.progressed", "job.failed", "job.dead"]
"""`job.progressed`: the steps before `notify` are done, and others follow. `job.dead`: all attempts are used up."""
EVENTS: tuple[Event, ...] = get_args(Event)
TEST_EVENT = "webhook.test"
DeliveryState = Literal["pending", "delivered", "failed"]

SIGNATURE = "Parley-Signature"
DELIVERY = "Parley-Delivery"
"""Header with the delivery's id, the same in every attempt: what was seen before is to be answered and left alone."""
EVENT = "Parley-Event"

_TOLERANCE_S = 300.0


class BadSignature(ClientError):
    """A request that this secret did not sign, or not lately."""

    code = "bad_signature"


def new_secret() -> str:
    """A secret with 256 bits of chance."""
    return f"whsec_{secrets.token_urlsafe(32)}"


def signature(secret: str, body: bytes, timestamp: int) -> str:
    """The value of the header `Parley-Signature` for an attempt at `timestamp`, in seconds since 1970."""
    return f"t={timestamp},v1={_mac(secret, body, str(timestamp))}"


def verify(
    secret: str, header: str | None, body: bytes, *, tolerance_s: float = _TOLERANCE_S, now: float | None = None
) -> None:
    """Raises BadSignature unless `header` signs `body`, the request's very bytes, not longer than `tolerance_s` ago.

    `now`: seconds since 1970, the clock's by default.
    """
    fields = [field.partition("=")[::2] for field in (header or "").split(",")]
    timestamp = next((value for name, value in fields if name == "t"), "")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        raise BadSignature(f"{SIGNATURE} has no time.")
    signed = _mac(secret, body, timestamp).encode()
    # Each is compared, in constant time: while a secret is changed there may be one of either.
    if not any(hmac.compare_digest(signed, value.encode()) for name, value in fields if name == "v1"):
        raise BadSignature("The body is not what was signed, or another secret signed it.")
    if abs((time.time() if now is None else now) - int(timestamp)) > tolerance_s:
        raise BadSignature(f"It was signed more than {tolerance_s:g} s ago.")


def _mac(secret: str, body: bytes, timestamp: str) -> str:
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
