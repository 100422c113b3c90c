"""What becomes of an attempt that came to nothing, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.retry import LOST, MOST_ATTEMPTS, RULES, Backoff, Decision, classify, decide
from parley.errors import (
    AtCapacity,
    BackendError,
    ClientError,
    EngineError,
    NotFound,
    ParleyError,
    SetupError,
    TooLarge,
)
from parley.jobs import ErrorClass, StepError


def after(
    error_class: ErrorClass,
    attempt: int,
    *,
    delays: int = 0,
    headway: bool = False,
    luck: float = 0.5,
    retry_after_s: float | None = None,
) -> Decision:
    error = StepError(error_class, "code", "What happened.", retry_after_s)
    return decide(error, attempt=attempt, delays=delays, headway=headway, luck=luck)


@pytest.mark.parametrize(
    ("error_class", "attempt", "decision"),
    [
        ("retryable", 1, Decision("waiting", 5)),
        ("retryable", 2, Decision("waiting", 10)),
        ("retryable", 7, Decision("waiting", 320)),
        ("retryable", MOST_ATTEMPTS, Decision("dead")),
        ("permanent", 1, Decision("failed")),
        ("permanent", MOST_ATTEMPTS, Decision("failed")),
        ("quota", 1, Decision("waiting", 450)),
        ("quota", 7, Decision("waiting", 3 * 3600)),
        ("quota", MOST_ATTEMPTS, Decision("dead")),
        ("delayed", 1, Decision("waiting", 2.5, counts=False)),
        ("delayed", MOST_ATTEMPTS, Decision("waiting", 2.5, counts=False)),
        ("lost", 1, Decision("waiting", 0)),
        ("lost", MOST_ATTEMPTS, Decision("dead")),
    ],
)
def test_each_class_has_its_way(error_class: ErrorClass, attempt: int, decision: Decision) -> None:
    assert after(error_class, attempt) == decision


def test_a_delay_never_ends_a_step_and_is_over_within_a_minute_of_the_return() -> None:
    waits = [after("delayed", 1, delays=delays, luck=0.999).after_s for delays in range(0, 10_000, 100)]
    assert max(waits) < 60
    assert after("delayed", 1, delays=10**6).state == "waiting"


@pytest.mark.parametrize("error_class", ["retryable", "quota", "lost"])
def test_an_attempt_that_got_further_than_any_before_does_not_count(error_class: ErrorClass) -> None:
    decision = after(error_class, MOST_ATTEMPTS, headway=True)
    assert (decision.state, decision.counts) == ("waiting", False)


def test_headway_makes_no_permanent_error_pass() -> None:
    assert after("permanent", 1, headway=True) == Decision("failed")


def test_nobody_comes_back_before_the_time_that_was_named() -> None:
    assert after("retryable", 1, luck=0.0, retry_after_s=30).after_s == 30
    assert after("quota", 1, luck=0.5, retry_after_s=3600).after_s == 3600 + 450


@given(
    attempt=st.integers(1, 2 * MOST_ATTEMPTS),
    delays=st.integers(0, 10**9),
    luck=st.floats(0, 1, exclude_max=True),
    headway=st.booleans(),
    error_class=st.sampled_from(list(RULES)),
)
def test_every_wait_is_bounded_and_only_what_counts_ends_a_step(
    attempt: int, delays: int, luck: float, headway: bool, error_class: ErrorClass
) -> None:
    decision = after(error_class, attempt, delays=delays, headway=headway, luck=luck)
    assert 0 <= decision.after_s <= 6 * 3600
    assert decision.state == "waiting" or decision.counts


@given(failures=st.integers(1, 10**6), luck=st.floats(0, 1, exclude_max=True))
def test_jitter_takes_any_part_of_a_wait_that_doubles(failures: int, luck: float) -> None:
    backoff = Backoff(first_s=10, most_s=900)
    assert 0 <= backoff.wait_s(failures, luck) <= min(900, 10 * 2 ** min(failures - 1, 20))


@pytest.mark.parametrize(
    ("error", "error_class"),
    [
        (ClientError("The audio is corrupt."), "permanent"),
        (TooLarge("5 GB."), "permanent"),
        (NotFound("No such recording."), "permanent"),
        (ClientError("Still recording.", retryable=True), "retryable"),
        (EngineError("The decode failed."), "retryable"),
        (EngineError("No engine answers.", code="engine_unavailable"), "delayed"),
        (AtCapacity("Full.", retry_after_s=7), "delayed"),
        (BackendError("No storage."), "delayed"),
        (SetupError("No model."), "delayed"),
        (ParleyError("?"), "retryable"),
    ],
)
def test_errors_of_the_tree_have_a_class_and_keep_their_words(error: ParleyError, error_class: ErrorClass) -> None:
    assert classify(error) == StepError(error_class, error.code, error.message, error.retry_after_s)


def test_what_nobody_foresaw_is_tried_again_and_says_what_it_was() -> None:
    assert classify(ZeroDivisionError("by zero")) == StepError("retryable", "internal", "ZeroDivisionError: by zero")


def test_a_lost_worker_has_words() -> None:
    assert (LOST.error_class, LOST.code) == ("lost", "worker_lost")
