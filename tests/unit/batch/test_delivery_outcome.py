"""What becomes of a delivery after an attempt, as a table."""

import pytest

from batch.delivery_outcome import MOST_ATTEMPTS, Outcome, outcome
from parley.errors import ParleyError
from parley.fetch import ForbiddenURL
from parley.posting import Answer, PostFailed
from parley.webhooks import TEST_EVENT


def after(result: Answer | ParleyError, attempt: int = 1, event: str = "job.succeeded", luck: float = 0.5) -> Outcome:
    return outcome(result, event=event, attempt=attempt, luck=luck)


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_answer_of_success_is_a_delivery(status: int) -> None:
    assert after(Answer(status, "")) == Outcome("delivered")


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 429, 500, 503])
def test_any_other_answer_is_tried_again(status: int) -> None:
    found = after(Answer(status, ""))
    assert (found.state, found.after_s) == ("pending", 5.0)
    assert str(status) in (found.error or "")


def test_silence_is_tried_again() -> None:
    assert after(PostFailed("No answer.")) == Outcome("pending", 5.0, "No answer.")


def test_a_redirect_says_that_it_is_not_followed() -> None:
    assert "not followed" in (after(Answer(302, "")).error or "")


def test_waits_grow_and_stay_below_two_hours() -> None:
    waits = [after(Answer(500, ""), attempt).after_s for attempt in range(1, MOST_ATTEMPTS)]
    assert waits == sorted(waits)
    assert waits[:3] == [5.0, 10.0, 20.0]
    assert waits[-1] == 3600.0
    assert after(Answer(500, ""), 11, luck=0.0).after_s == 0.0


def test_who_says_when_is_asked_no_sooner() -> None:
    assert after(Answer(503, "", retry_after_s=120)).after_s == 120
    assert after(Answer(503, "", retry_after_s=1)).after_s == 5.0


def test_the_last_attempt_ends_it() -> None:
    assert after(Answer(500, ""), MOST_ATTEMPTS).state == "failed"
    assert after(PostFailed("No answer."), MOST_ATTEMPTS) == Outcome("failed", error="No answer.")


def test_a_test_is_made_once() -> None:
    assert after(Answer(500, ""), event=TEST_EVENT).state == "failed"


def test_whoever_is_gone_is_told_nothing_more() -> None:
    found = after(Answer(410, ""))
    assert (found.state, found.gone) == ("failed", True)


def test_what_may_not_be_reached_is_not_tried_again() -> None:
    assert after(ForbiddenURL("Private.")) == Outcome("failed", error="Private.")
