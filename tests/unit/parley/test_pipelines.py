"""Which lists of steps can be run."""

import pytest

from parley.errors import ClientError
from parley.jobs import PlannedStep
from parley.pipelines import StepSpec, planned

KNOWN = {
    spec.name: spec
    for spec in (
        StepSpec("transcribe", "stt", frozenset({"source"}), frozenset({"audio", "transcript"})),
        StepSpec("summarise", "llm", frozenset({"transcript"}), frozenset({"notes"})),
        StepSpec("notify", "notify"),
    )
}


def test_each_step_goes_to_the_queue_of_its_kind() -> None:
    assert planned(["transcribe", "summarise", "notify"], KNOWN, {"source"}) == [
        PlannedStep("transcribe", "stt"),
        PlannedStep("summarise", "llm"),
        PlannedStep("notify", "notify"),
    ]


def test_a_step_may_need_what_the_recording_has_already() -> None:
    assert planned(["summarise"], KNOWN, {"audio", "transcript"}) == [PlannedStep("summarise", "llm")]


@pytest.mark.parametrize(
    ("names", "code", "said"),
    [
        (["transcribe", "sing"], "unknown_step", "no step 'sing'; known are notify, summarise, transcribe"),
        (["summarise", "transcribe"], "step_order", "'summarise' needs the transcript"),
    ],
)
def test_what_cannot_be_run_is_refused(names: list[str], code: str, said: str) -> None:
    with pytest.raises(ClientError, match=said) as refused:
        planned(names, KNOWN, {"source"})
    assert refused.value.code == code
