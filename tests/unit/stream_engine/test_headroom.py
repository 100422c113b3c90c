"""How full a device is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_engine.headroom import Headroom


def measured(*, replicas: int = 1, partial_s: float = 0.1, final_s: float = 0.2) -> Headroom:
    return Headroom(replicas=replicas, slowest_partial_s=2.0, partial_s=partial_s, final_s=final_s, now=0.0)


def speak(headroom: Headroom, *, seconds: int, sessions: int, share: float = 1.0) -> None:
    """So many sessions speak for `share` of the time; a batch with all of them each second, a final each fourth."""
    for second in range(1, seconds + 1):
        headroom.heard(sessions * share)
        headroom.decoded(finals=0, partials=sessions, device_s=sessions * 0.1)
        if second % 4 == 0:
            headroom.decoded(finals=sessions, partials=0, device_s=sessions * share * 0.2)
            headroom.ended(4 * sessions * share)
        headroom.load(float(second))


def test_an_idle_device_has_no_load() -> None:
    assert measured().load(100.0) == 0.0


def test_before_anything_was_measured_the_warm_up_says_what_a_session_costs() -> None:
    # 0.7 of the time speech, of which a second costs 0.3 finals and half a partial.
    assert measured().load(0.0, more=1) == pytest.approx(0.7 * (0.3 * 0.2 + 0.1 / 2) / 0.85)


def test_sessions_count_before_they_have_said_a_word() -> None:
    headroom = measured()
    for _ in range(10):
        headroom.opened(0.0)
    assert headroom.load(0.0) == pytest.approx(10 * headroom.load(0.0, more=1) / 11)


def test_speech_whose_finals_are_still_to_come_makes_nothing_look_cheaper() -> None:
    headroom = measured()
    before = headroom.load(0.0, more=50)
    for _ in range(50):
        headroom.opened(0.0)
    headroom.heard(50 * 2.0)
    assert headroom.load(3.0) >= 0.9 * before


def test_a_silent_crowd_keeps_room_to_speak() -> None:
    headroom = measured()
    for _ in range(10):
        headroom.opened(0.0)
    assert headroom.load(3_600.0) >= 0.4 * headroom.load(0.0, more=0) > 0


def test_sessions_taken_over_speak_no_more_than_always() -> None:
    headroom = measured()
    for _ in range(8):
        headroom.opened(0.0)
        headroom.heard(28.0)
    assert headroom.load(0.1) == pytest.approx(8 * (0.3 * 0.2 + 0.1 / 2) / 0.85, rel=0.01)


def test_twice_the_replicas_carry_twice_the_sessions() -> None:
    assert measured(replicas=2).load(0.0, more=2) == pytest.approx(measured().load(0.0, more=1))


def test_the_load_follows_what_is_measured() -> None:
    headroom = measured(partial_s=0.3, final_s=0.6)
    for _ in range(8):
        headroom.opened(0.0)
    speak(headroom, seconds=120, sessions=8)
    # A second of speech costs 0.2 / 4 of finals and 0.1 / 2 of partials.
    assert headroom.load(120.0) == pytest.approx(8 * (0.05 + 0.05) / 0.85, rel=0.2)


def test_quiet_sessions_need_less() -> None:
    loud, quiet = measured(), measured()
    for headroom in (loud, quiet):
        for _ in range(8):
            headroom.opened(0.0)
    speak(loud, seconds=60, sessions=8)
    speak(quiet, seconds=60, sessions=8, share=0.25)
    assert quiet.load(60.0) < 0.6 * loud.load(60.0)


def test_partials_in_small_batches_say_little_about_partials_under_load() -> None:
    headroom = measured(partial_s=0.02)
    for _ in range(50):
        headroom.decoded(finals=0, partials=16, device_s=16 * 0.02)
    before = headroom.load(0.0, more=10)
    headroom.decoded(finals=0, partials=1, device_s=0.5)
    assert headroom.load(0.0, more=10) == before


@given(st.integers(1, 100), st.floats(0, 1e7))
def test_a_long_silence_leaves_a_sensible_load(sessions: int, silence_s: float) -> None:
    headroom = measured()
    speak(headroom, seconds=5, sessions=2)
    for _ in range(sessions):
        headroom.opened(5.0)
    assert 0 < headroom.load(5.0 + silence_s) < 0.2 * sessions
