"""The breaker: who fails again and again is left alone, then tried by one call."""

import pytest

from parley.llm.breaker import FAILURES, FIRST_REST_S, LONGEST_REST_S, Breaker, State


def failed(times: int, now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(times):
        breaker = breaker.failed(now)
    return breaker


OPEN = failed(FAILURES)
PROBING = OPEN.calling(FIRST_REST_S)


@pytest.mark.parametrize(
    ("breaker", "now", "state", "admits"),
    [
        (Breaker(), 0, "closed", True),
        (failed(FAILURES - 1), 0, "closed", True),
        (failed(FAILURES - 1).succeeded().failed(0), 0, "closed", True),
        (OPEN, 0, "open", False),
        (OPEN, FIRST_REST_S - 1, "open", False),
        (OPEN, FIRST_REST_S, "half-open", True),
        (PROBING, FIRST_REST_S, "half-open", False),
        (PROBING.given_up(), FIRST_REST_S, "half-open", True),
        (PROBING.succeeded(), FIRST_REST_S, "closed", True),
        (PROBING.failed(FIRST_REST_S), FIRST_REST_S, "open", False),
        (PROBING.failed(FIRST_REST_S), 3 * FIRST_REST_S - 1, "open", False),
        (PROBING.failed(FIRST_REST_S), 3 * FIRST_REST_S, "half-open", True),
    ],
)
def test_the_states(breaker: Breaker, now: float, state: State, admits: bool) -> None:
    assert (breaker.state(now), breaker.admits(now)) == (state, admits)


def test_each_probe_that_fails_doubles_the_rest_up_to_the_longest() -> None:
    breaker, now, rests = OPEN, 0.0, []
    for _ in range(6):
        rests.append(breaker.wait_s(now))
        now += breaker.wait_s(now)
        breaker = breaker.calling(now).failed(now)
    assert rests == [30, 60, 120, 240, LONGEST_REST_S, LONGEST_REST_S]


def test_a_call_that_began_before_it_opened_and_fails_late_does_not_lengthen_the_rest() -> None:
    assert OPEN.failed(1.0).wait_s(1.0) == FIRST_REST_S


def test_one_success_forgets_all_failures() -> None:
    assert PROBING.succeeded() == Breaker()
