"""When recordings may be taken for abandoned: only where their sessions could have said that they live."""

from gateway.caretaker import Steady


def test_it_counts_from_the_first_look_that_went_well() -> None:
    steady = Steady(gap_s=20)
    assert [steady.lasted_s(now) for now in (100, 110, 120, 130)] == [0, 10, 20, 30]


def test_a_failure_begins_it_anew() -> None:
    steady = Steady(gap_s=20)
    steady.lasted_s(100)
    steady.broke()
    assert [steady.lasted_s(now) for now in (110, 120)] == [0, 10]


def test_who_was_asleep_or_whose_clock_jumped_begins_anew() -> None:
    steady = Steady(gap_s=20)
    assert [steady.lasted_s(now) for now in (100, 121, 131, 90, 95)] == [0, 0, 10, 0, 5]
