"""After a call to a language model: the table of what follows."""

from typing import Any

import pytest

from parley.llm.decision import LONGEST_WAIT_S, MOST_TRIES, Again, Next, Outcome, decide
from parley.llm.keys import Keys, rest_s


@pytest.mark.parametrize(
    ("outcome", "known", "then"),
    [
        ("invalid", {}, Again(repair=True)),
        ("invalid", {"repaired": True}, Next()),
        ("cut", {}, Next()),
        ("refused", {}, Next()),
        ("rejected", {}, Next()),
        ("rejected", {"other_key": True}, Next()),
        ("bad_key", {}, Next()),
        ("bad_key", {"other_key": True}, Again()),
        ("spent", {}, Next()),
        ("spent", {"other_key": True}, Again()),
        ("rate_limited", {"other_key": True, "retry_after_s": 60}, Again()),
        ("rate_limited", {"retry_after_s": 7}, Again(7)),
        ("rate_limited", {"retry_after_s": LONGEST_WAIT_S + 1}, Next()),
        ("rate_limited", {}, Again(0.5)),
        ("server_error", {}, Again(0.5)),
        ("server_error", {"luck": 0.5}, Again(0.75)),
        ("server_error", {"failures": 2}, Again(1.0)),
        ("server_error", {"failures": 1, "retry_after_s": 3}, Again(3)),
        ("server_error", {"failures": MOST_TRIES}, Next()),
        ("timeout", {}, Again(0.5)),
        ("timeout", {"failures": MOST_TRIES}, Next()),
        ("unreachable", {}, Again(0.5)),
        ("unreachable", {"failures": MOST_TRIES}, Next()),
        ("too_long", {}, Next()),
        ("budget", {"other_key": True}, Next()),
        ("resting", {}, Next()),
    ],
)
def test_what_follows(outcome: Outcome, known: dict[str, Any], then: Again | Next) -> None:
    asked = {"failures": 1, "repaired": False, "other_key": False} | known
    assert decide(outcome, **asked) == then


def test_the_first_key_that_does_not_rest_is_used() -> None:
    keys = Keys.of(3)
    assert keys.usable(0) == 0
    keys = keys.rests(0, 10)
    assert (keys.usable(0), keys.usable(0, beside=1)) == (1, 2)
    keys = keys.rests(1, 5).rests(2, 7)
    assert (keys.usable(4), keys.wait_s(4), keys.usable(5)) == (None, 1, 1)


def test_a_provider_without_keys_has_one_that_is_empty() -> None:
    assert Keys.of(0) == Keys.of(1)


@pytest.mark.parametrize(
    ("outcome", "retry_after_s", "rest"),
    [("bad_key", None, 600), ("spent", None, 3600), ("rate_limited", None, 20), ("rate_limited", 90.0, 90)],
)
def test_a_key_rests_as_long_as_was_said_or_else_by_what_it_is_to_blame_for(
    outcome: Outcome, retry_after_s: float | None, rest: float
) -> None:
    assert rest_s(outcome, retry_after_s) == rest
