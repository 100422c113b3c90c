"""When a hypothesis is doubted or dropped."""

import pytest

from parley.guards import Evidence, Verdict, judge, repeats

SENTENCE = ["the", "door", "is", "open"]


@pytest.mark.parametrize(
    ("log_probability", "compression", "no_speech", "verdict"),
    [
        (-0.2, 1.0, 0.0, "good"),
        (-0.2, 1.0, 0.9, "good"),
        (-1.2, 1.0, 0.5, "suspect"),
        (-1.2, 1.0, 0.7, "silence"),
        (-0.2, 2.5, 0.0, "suspect"),
    ],
)
def test_whispers_thresholds_decide(
    log_probability: float, compression: float, no_speech: float, verdict: Verdict
) -> None:
    assert judge(Evidence(log_probability, compression, no_speech, SENTENCE)) == verdict


@pytest.mark.parametrize("phrase", ["no", "thank you", "in the red room"])
def test_a_phrase_four_times_in_a_row_is_suspect(phrase: str) -> None:
    words = ["well", *phrase.split() * 4, "then"]
    assert repeats(words)
    assert judge(Evidence(-0.1, 1.0, 0.0, words)) == "suspect"


def test_a_phrase_three_times_in_a_row_is_speech() -> None:
    assert not repeats(["no", "no", "no", "I", "said", "no"])
    assert not repeats([])
