"""Signatures of webhooks: what was signed is known again, and nothing else."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.webhooks import BadSignature, new_secret, signature, verify

SECRET = "whsec_0123456789abcdef"
BODY = '{"type":"job.succeeded","title":"Größe"}'.encode()
AT = 1_764_288_000
GOOD = signature(SECRET, BODY, AT)


def independent(secret: str, body: bytes, timestamp: int) -> str:
    """What a receiver computes who has only read the page: written without Parley's code."""
    signed = str(timestamp).encode("ascii") + b"." + body
    return f"t={timestamp},v1={hmac.digest(secret.encode(), signed, hashlib.sha256).hex()}"


def test_a_signature_is_the_one_that_the_page_describes() -> None:
    assert independent(SECRET, BODY, AT) == GOOD
    verify(SECRET, independent(SECRET, BODY, AT), BODY, now=AT)


def test_a_signature_of_another_maker_with_more_fields_is_taken() -> None:
    """As Stripe's own libraries write it: other versions beside, and two signatures while a secret is changed."""
    old = signature("whsec_another-secret-of-old", BODY, AT).partition(",")[2]
    verify(SECRET, f"t={AT},{old},{GOOD.partition(',')[2]},v0=6ffbb59b", BODY, now=AT)


@pytest.mark.parametrize(
    ("header", "body", "secret"),
    [
        (GOOD, BODY + b" ", SECRET),
        (GOOD, BODY, SECRET + "x"),
        (GOOD.replace(f"t={AT}", f"t={AT + 1}"), BODY, SECRET),
        (GOOD.replace("v1=", "v0="), BODY, SECRET),
        (GOOD[:-1], BODY, SECRET),
        (GOOD.partition(",")[2], BODY, SECRET),
        ("t=,v1=", BODY, SECRET),
        ("t=1e9,v1=00", BODY, SECRET),
        ("t=٣,v1=00", BODY, SECRET),
        (f"t={AT},v1=é", BODY, SECRET),
        (f"t={'9' * 5000},v1=00", BODY, SECRET),
        ("", BODY, SECRET),
        (None, BODY, SECRET),
    ],
)
def test_what_was_not_signed_so_is_refused(header: str | None, body: bytes, secret: str) -> None:
    with pytest.raises(BadSignature):
        verify(secret, header, body, now=AT)


@pytest.mark.parametrize("late_s", [301, -301, 86_400])
def test_what_was_signed_long_ago_is_refused(late_s: int) -> None:
    verify(SECRET, GOOD, BODY, now=AT + 299)
    verify(SECRET, GOOD, BODY, now=AT + late_s, tolerance_s=100_000)
    with pytest.raises(BadSignature, match="more than 300 s ago"):
        verify(SECRET, GOOD, BODY, now=AT + late_s)


@given(st.binary(max_size=50), st.binary(max_size=50))
def test_no_other_body_has_the_signature(one: bytes, other: bytes) -> None:
    verify(SECRET, signature(SECRET, one, AT), one, now=AT)
    if one != other:
        with pytest.raises(BadSignature):
            verify(SECRET, signature(SECRET, one, AT), other, now=AT)


def test_secrets_are_long_and_never_the_same() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(secret.startswith("whsec_") and len(secret) >= 49 for secret in made)
