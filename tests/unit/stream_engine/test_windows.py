"""What the device decodes next."""

from hypothesis import given
from hypothesis import strategies as st

from parley.audio import SAMPLE_RATE
from stream_engine.windows import FULL_WINDOW, FinalWindow, Lane, Waiting, padded_samples, plan

SECOND = SAMPLE_RATE


def chosen(*waiting: Waiting, busy: tuple[int, ...] = (), max_batch: int = 16) -> list[int]:
    return [
        each.asked
        for each in plan(waiting, busy=busy, max_batch=max_batch, max_samples=float("inf"), final_window="full")
    ]


def test_nothing_waiting_gives_nothing() -> None:
    assert chosen() == []


def test_finals_go_before_partials_and_live_before_batch() -> None:
    batch, partial = Waiting(1, Lane.BATCH, 0, SECOND), Waiting(2, Lane.PARTIAL, 1, SECOND)
    final = Waiting(3, Lane.FINAL, 2, SECOND)
    assert chosen(batch, partial, final) == [2]
    assert chosen(batch, partial) == [1]
    assert chosen(batch) == [0]


def test_the_oldest_goes_first_and_takes_its_like_along() -> None:
    short, long = SECOND, 9 * SECOND
    waiting = [
        Waiting(1, Lane.PARTIAL, 5, short),
        Waiting(2, Lane.PARTIAL, 2, long),
        Waiting(3, Lane.PARTIAL, 4, long),
        Waiting(4, Lane.PARTIAL, 3, short),
    ]
    assert chosen(*waiting) == [2, 4]


def test_partials_of_its_length_ride_along_with_a_final() -> None:
    waiting = [
        Waiting(1, Lane.PARTIAL, 1, SECOND),
        Waiting(2, Lane.FINAL, 2, SECOND),
        Waiting(3, Lane.BATCH, 3, SECOND),
    ]
    batch = plan(waiting, busy=(), max_batch=9, max_samples=8 * SECOND, final_window="fit")
    assert [each.asked for each in batch] == [2, 1]


def test_a_final_takes_fewer_along_than_a_partial_does() -> None:
    partials = [Waiting(i, Lane.PARTIAL, i, SECOND) for i in range(1, 6)]

    def size(*waiting: Waiting) -> int:
        return len(plan(waiting, busy=(), max_batch=9, max_samples=8 * SECOND, final_window="fit"))

    assert size(*partials) == 4
    assert size(Waiting(0, Lane.FINAL, 0, SECOND), *partials) == 2


def test_a_partial_that_is_long_due_goes_before_one_that_was_asked_for_earlier() -> None:
    waiting = [Waiting(1, Lane.PARTIAL, 1, SECOND, since=7.0), Waiting(2, Lane.PARTIAL, 2, 9 * SECOND, since=6.0)]
    assert chosen(*waiting) == [2]


def test_another_attempt_makes_its_own_batch() -> None:
    waiting = [Waiting(1, Lane.FINAL, 1, SECOND, attempt=1), Waiting(2, Lane.FINAL, 2, SECOND)]
    assert chosen(*waiting) == [1]


def test_one_decode_of_a_session_is_in_flight() -> None:
    finals = [Waiting(1, Lane.FINAL, 0, SECOND), Waiting(1, Lane.FINAL, 1, SECOND), Waiting(2, Lane.FINAL, 2, SECOND)]
    assert chosen(*finals) == [0, 2]
    assert chosen(*finals, busy=(1,)) == [2]
    assert chosen(*finals, busy=(1, 2)) == []


def test_a_later_final_never_overtakes_an_earlier_one_of_its_session() -> None:
    fit: FinalWindow = "fit"
    waiting = [
        Waiting(2, Lane.FINAL, 0, SECOND),
        Waiting(1, Lane.FINAL, 1, 20 * SECOND),
        Waiting(1, Lane.FINAL, 2, SECOND),
    ]
    assert [each.asked for each in plan(waiting, busy=(), max_batch=9, max_samples=float("inf"), final_window=fit)] == [
        0
    ]


def test_a_batch_is_no_larger_than_allowed() -> None:
    assert chosen(*(Waiting(i, Lane.FINAL, i, SECOND) for i in range(5)), max_batch=3) == [0, 1, 2]


def test_partials_fit_and_finals_follow_the_setting() -> None:
    assert padded_samples(7 * SECOND, Lane.PARTIAL, "full") == 8 * SECOND
    assert padded_samples(7 * SECOND, Lane.FINAL, "full") == FULL_WINDOW
    assert padded_samples(7 * SECOND, Lane.BATCH, "full") == FULL_WINDOW
    assert padded_samples(7 * SECOND, Lane.FINAL, "fit") == 8 * SECOND
    assert padded_samples(7 * SECOND, Lane.FINAL, 11.0) == 12 * SECOND
    assert padded_samples(15 * SECOND, Lane.FINAL, 11.0) == 16 * SECOND


decodes = st.lists(
    st.builds(
        Waiting,
        st.integers(0, 5),
        st.sampled_from(list(Lane)),
        st.integers(0, 1000),
        st.integers(0, FULL_WINDOW),
        since=st.sampled_from([0.0, 1.0, 2.0]),
        attempt=st.integers(0, 1),
    ),
    unique_by=lambda each: each.asked,
    max_size=20,
)


@given(decodes, st.sets(st.integers(0, 5)), st.integers(1, 6), st.sampled_from(["full", "fit", 8.0]))
def test_every_batch_keeps_the_rules(
    waiting: list[Waiting], busy: set[int], max_batch: int, final_window: FinalWindow
) -> None:
    batch = plan(waiting, busy=busy, max_batch=max_batch, max_samples=float("inf"), final_window=final_window)
    free = [each for each in waiting if each.session not in busy or each.lane is Lane.BATCH]
    assert len(batch) <= max_batch
    live = [each.session for each in batch if each.lane is not Lane.BATCH]
    assert len(set(live)) == len(live)
    assert not busy & set(live)
    assert len({padded_samples(each.samples, each.lane, final_window, each.attempt) for each in batch}) <= 1
    assert len({each.attempt for each in batch}) <= 1
    assert len({each.lane is Lane.BATCH for each in batch}) <= 1
    if free:
        assert batch[0] == min(free, key=lambda each: (each.lane, each.since, each.asked))
    else:
        assert batch == ()


def test_a_session_of_the_batch_lane_fills_a_batch_by_itself() -> None:
    waiting = [Waiting(1, Lane.BATCH, asked, SECOND) for asked in range(5)]
    assert chosen(*waiting, busy=(1,), max_batch=4) == [0, 1, 2, 3]


def test_while_somebody_speaks_the_batch_lane_takes_a_share_of_a_batch() -> None:
    def planned(share: float, max_samples: float = float("inf")) -> int:
        waiting = [Waiting(1, Lane.BATCH, asked, 8 * SECOND) for asked in range(16)]
        batch = plan(waiting, busy=(), max_batch=16, max_samples=max_samples, final_window=8.0, batch_share=share)
        return len(batch)

    assert (planned(1.0), planned(0.25), planned(0.01)) == (16, 4, 1)
    assert (planned(1.0, 32 * SECOND), planned(0.25, 32 * SECOND)) == (4, 1)


@given(decodes, st.integers(1, 6))
def test_everything_that_waits_is_decoded_once(waiting: list[Waiting], max_batch: int) -> None:
    left = set(waiting)
    decoded: list[Waiting] = []
    while left:
        batch = plan(left, busy=(), max_batch=max_batch, max_samples=float("inf"), final_window="fit")
        assert batch
        decoded += batch
        left -= set(batch)
    assert sorted(each.asked for each in decoded) == sorted(each.asked for each in waiting)


@given(st.integers(0, FULL_WINDOW), st.sampled_from(list(Lane)))
def test_padding_never_cuts_and_depends_on_the_window_alone(samples: int, lane: Lane) -> None:
    assert samples <= padded_samples(samples, lane, "fit") <= FULL_WINDOW


def test_a_batch_is_no_longer_than_its_seconds_but_never_empty() -> None:
    finals = [Waiting(session, Lane.BATCH, session, 3 * SECOND) for session in range(5)]

    def batch(seconds: float) -> int:
        return len(plan(finals, busy=(), max_batch=9, max_samples=seconds * SECOND, final_window="full"))

    assert [batch(seconds) for seconds in (1, 30, 59, 60, 1000)] == [1, 1, 1, 2, 5]
