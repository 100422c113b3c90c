"""Every way in which a session can be damaged is counted, and nothing else."""

import numpy as np
import pytest

from benchmarks.chaos.damage import Damage, Final, of_audio, of_finals, of_told

EXPECTED = [Final(0, 100, 900, "one"), Final(1, 1000, 1900, ""), Final(2, 2000, 2900, "three")]
AUDIO = np.arange(1000, dtype=np.int16)


def test_what_is_whole_has_no_damage() -> None:
    assert not of_audio(AUDIO, AUDIO.copy())
    assert not of_finals(EXPECTED, EXPECTED)
    assert not of_told(EXPECTED, [EXPECTED[0], EXPECTED[2]])
    assert str(Damage()) == "none"


@pytest.mark.parametrize(
    ("stored", "damage"),
    [
        (AUDIO[:990], Damage(lost_samples=10)),
        (np.append(AUDIO, AUDIO[:5]), Damage(added_samples=5)),
        (np.where(AUDIO == 7, 8, AUDIO), Damage(lost_samples=1)),
        (AUDIO[:0], Damage(lost_samples=1000)),
    ],
)
def test_a_sample_that_is_not_in_its_place_is_lost(stored: np.ndarray, damage: Damage) -> None:
    assert of_audio(AUDIO, stored) == damage


@pytest.mark.parametrize(
    ("found", "damage"),
    [
        (EXPECTED[:2], Damage(lost_finals=1)),
        ([EXPECTED[0], EXPECTED[2]], Damage(lost_finals=1, misordered=1)),
        ([*EXPECTED[:2], EXPECTED[1], EXPECTED[2]], Damage(doubled_finals=1, misordered=1)),
        ([*EXPECTED[:2], Final(2, 2000, 2900, "four")], Damage(changed_finals=1)),
        ([*EXPECTED[:2], Final(2, 2032, 2900, "three")], Damage(changed_finals=1)),
        ([*EXPECTED, Final(3, 3000, 3100, "")], Damage(added_finals=1)),
        ([*EXPECTED, Final(3, 3000, 3100, "three")], Damage(added_finals=1, doubled_finals=1)),
        ([*EXPECTED, Final(3, 2000, 2900, "four")], Damage(added_finals=1, doubled_finals=1, misordered=1)),
        ([EXPECTED[1], EXPECTED[0], EXPECTED[2]], Damage(misordered=3)),
    ],
)
def test_finals_that_differ_from_the_undisturbed_run_are_counted_by_how(found: list[Final], damage: Damage) -> None:
    assert of_finals(EXPECTED, found) == damage


def test_words_that_come_twice_undisturbed_are_doubled_from_the_third_time_on() -> None:
    twice = [Final(0, 100, 900, "one"), Final(1, 1000, 1900, "one")]
    assert not of_finals(twice, twice)
    assert of_finals(twice, [*twice, Final(2, 2000, 2900, "one")]) == Damage(added_finals=1, doubled_finals=1)


def test_a_transcript_that_says_other_than_what_is_stored_is_changed() -> None:
    assert of_told(EXPECTED, [EXPECTED[0]]) == Damage(changed_finals=1)


def test_damages_add_up_and_the_same_seen_twice_counts_once() -> None:
    one, other = Damage(lost_finals=1, lost_samples=5), Damage(lost_finals=2)
    assert one + other == Damage(lost_finals=3, lost_samples=5)
    assert one | other == Damage(lost_finals=2, lost_samples=5)
    assert str(one) == "5 lost samples, 1 lost finals"
