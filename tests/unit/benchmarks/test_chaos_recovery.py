"""How long a screen stood still is counted from the kill to the first text that was not there before."""

import numpy as np

from benchmarks.chaos.recovery import Kill, Recovery, is_alone, next_text, recoveries
from benchmarks.chaos.schedule import Fault
from benchmarks.chaos.speaker import Heard, Shown
from benchmarks.chaos.voices import PLAIN, Voice

SPEECH = ((0, 160_000),)
KILLED = Fault(5.0, "kill", "gateway")


def partial(at_s: float, text: str, segment: int = 0) -> Shown:
    return Shown(at_s, segment, text, is_final=False)


def final(at_s: float, text: str, segment: int = 0) -> Shown:
    return Shown(at_s, segment, text, is_final=True)


def heard(*shown: Shown, spans: tuple[tuple[int, int], ...] = SPEECH) -> Heard:
    voice = Voice("", PLAIN, (), frozenset(), np.zeros(160_000, np.int16), spans)
    return Heard(voice, recording_id="r", shown=list(shown))


def test_text_that_was_there_already_is_not_back_until_it_goes_on() -> None:
    shown = [
        partial(4, "one two three"),
        partial(6, "one"),
        partial(7, "one two three"),
        partial(8, "one two three four"),
    ]
    assert next_text(shown, 5) == 8


def test_a_final_is_text_that_was_not_there_even_where_it_says_the_same() -> None:
    assert next_text([partial(4, "one two"), partial(5.5, "one two"), final(6, "one two")], 5) == 6


def test_a_final_that_comes_again_is_nothing_new() -> None:
    assert next_text([final(4, "one"), final(6, "one"), partial(7, "two", segment=1)], 5) == 7


def test_no_text_is_no_recovery() -> None:
    assert next_text([partial(4, "one")], 5) is None


def test_only_who_was_speaking_counts() -> None:
    kill = Kill(KILLED, 5.0, (0, 1), at_most=2)
    silent = heard(partial(6, "one"), spans=((0, 16_000),))
    assert recoveries([kill], [silent, heard(partial(7, "one"))], [KILLED]) == [Recovery(2.0, alone=True)]


def test_of_more_sessions_than_the_part_can_have_served_the_slowest_count() -> None:
    kill = Kill(KILLED, 5.0, (0, 1, 2), at_most=2)
    everyone = [heard(partial(5 + seconds, "one")) for seconds in (0.25, 1.5, 0.5)]
    assert recoveries([kill], everyone, [KILLED]) == [Recovery(1.5, alone=True), Recovery(0.5, alone=True)]


def test_a_kill_is_alone_unless_another_fault_that_concerns_the_session_is_in_force() -> None:
    assert is_alone(KILLED, 0, [KILLED, Fault(5.5, "cut", 1), Fault(5.5, "kill", "redis"), Fault(8.5, "cut", 0)])
    assert not is_alone(KILLED, 0, [KILLED, Fault(6.0, "cut", 0)])
    assert not is_alone(KILLED, 0, [KILLED, Fault(3.0, "pause", "postgres", 3.0)])
    assert not is_alone(KILLED, 0, [Fault(2.0, "kill", "gateway-2"), KILLED])
