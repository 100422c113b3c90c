"""When a part starts again, when it is given up, and which state may follow which."""

import pytest

from parley.embedded.policy import STEPS, Exit, GiveUp, Restart, RestartPolicy, State, decide, step

POLICY = RestartPolicy(exits=4, window_s=60.0, first_pause_s=1.0, longest_pause_s=3.0)


def exits(*at_s: float, status: int = 1, was_ready: bool = True) -> list[Exit]:
    return [Exit(at, status, was_ready) for at in at_s]


@pytest.mark.parametrize(
    ("at_s", "expected"),
    [
        ((0,), Restart(1.0)),
        ((0, 5), Restart(2.0)),
        ((0, 5, 10), Restart(3.0)),
        ((0, 61), Restart(1.0)),
        ((0, 10, 61), Restart(2.0)),
        ((0, 30, 60, 90, 120), Restart(2.0)),
    ],
    ids=["the first", "doubled", "bounded", "an old one is forgotten", "an older one of three", "a slow loop"],
)
def test_pauses_double_with_the_exits_of_the_window(at_s: tuple[float, ...], expected: Restart) -> None:
    assert decide(POLICY, exits(*at_s)) == expected


def test_the_last_exit_of_the_window_is_one_too_many() -> None:
    decision = decide(POLICY, exits(0, 10, 20, 59, status=-9))
    assert decision == GiveUp("failed 4 times within 60 s; the last time it was ended by signal 9")


def test_what_served_for_a_while_is_no_loop() -> None:
    settled = [Exit(at, -9, was_ready=True, served_s=POLICY.settled_s) for at in (0, 11, 22, 33, 44)]
    assert decide(POLICY, settled) == Restart(1.0)
    assert decide(POLICY, [*settled, Exit(45, -9, was_ready=True)]) == Restart(1.0)


def test_a_part_beside_which_others_serve_is_never_given_up() -> None:
    assert decide(POLICY, exits(0, 10, 20, 30), others_serve=True) == Restart(3.0)
    assert decide(POLICY, exits(0, status=3, was_ready=False), others_serve=True) == Restart(3.0)
    assert decide(POLICY, exits(0), others_serve=True) == Restart(1.0)


def test_a_note_says_more_than_the_status() -> None:
    last = Exit(3, 1, was_ready=False, note="could not be prepared: no such table")
    decision = decide(POLICY, [*exits(0, 1, 2), last])
    assert isinstance(decision, GiveUp)
    assert decision.reason.endswith("the last time it could not be prepared: no such table")


@pytest.mark.parametrize("status", [2, 3])
def test_what_cannot_run_here_is_given_up_at_once(status: int) -> None:
    decision = decide(POLICY, exits(0, status=status, was_ready=False))
    assert decision == GiveUp(f"cannot run here (it ended with status {status})")


def test_what_ran_before_may_run_again_whatever_its_status() -> None:
    assert isinstance(decide(POLICY, exits(0, status=3, was_ready=True)), Restart)


def test_every_state_can_stop_and_none_follows_stopped() -> None:
    assert all(State.STOPPED in following for state, following in STEPS.items() if state is not State.STOPPED)
    assert not STEPS[State.STOPPED]


def test_a_part_that_waits_is_not_ready_without_a_start() -> None:
    assert step(State.WAITING, State.STARTING) is State.STARTING
    with pytest.raises(ValueError, match="from waiting to ready"):
        step(State.WAITING, State.READY)
