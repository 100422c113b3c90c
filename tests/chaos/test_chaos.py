"""Whatever is cut, frozen or killed, and whenever: nothing is lost, doubled or changed, and nothing is left over.

A few rounds of `python -m benchmarks.chaos`, which plays many, with fewer sessions. `Failed` says what was wrong and
where the round's data and logs lie.
"""

import pytest

from benchmarks.chaos.round import Reference, Stage, run_round, undisturbed
from benchmarks.chaos.voices import Voice, voices

STAGE = Stage(sessions=8, seconds=10.0)
APART, TOGETHER, ROLLING = 10, 11, 14


@pytest.fixture(scope="module")
def spoken() -> tuple[Voice, ...]:
    return voices(STAGE.sessions, STAGE.seconds)


@pytest.fixture(scope="module")
def reference(spoken: tuple[Voice, ...]) -> Reference:
    return undisturbed(STAGE, spoken)


@pytest.mark.parametrize("seed", [APART, TOGETHER, ROLLING], ids=["kills apart", "anything at once", "rolling restart"])
def test_a_round_leaves_every_recording_as_if_nothing_had_happened(
    seed: int, spoken: tuple[Voice, ...], reference: Reference
) -> None:
    outcome = run_round(seed, STAGE, spoken, reference)
    assert outcome.is_good
    assert outcome.reconnects > 0
