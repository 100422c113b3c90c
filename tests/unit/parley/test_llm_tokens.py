"""Tokens: counted a little too many, and what is packed fits and is whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.llm.tokens import estimate, packed


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("   ", 0),
        ("the", 1),
        ("seven", 2),
        ("sevenths", 3),
        ("12 | 0:03 | yes.", 10),
        ("Straße", 4),
        ("会議", 4),
        ("🙂", 3),
        ("\udcff", 1),
    ],
)
def test_the_estimate(text: str, tokens: int) -> None:
    assert estimate(text) == tokens


@given(st.text(), st.text())
def test_a_text_has_no_more_tokens_than_its_halves(first: str, second: str) -> None:
    assert estimate(first + second) <= estimate(first) + estimate(second)


@given(st.lists(st.integers(1, 50), max_size=60), st.integers(50, 300))
def test_runs_fit_leave_nothing_out_and_are_as_few_as_can_be(sizes: list[int], room: int) -> None:
    runs = packed(sizes, room)
    assert [number for run in runs for number in run] == list(range(len(sizes)))
    assert all(0 < sum(sizes[number] for number in run) <= room for run in runs)
    assert len(runs) <= 2 * -(-sum(sizes) // room)


def test_runs_are_of_like_size() -> None:
    assert packed([10] * 11, 100) == [range(6), range(6, 11)]


def test_what_does_not_fit_alone_is_refused_with_the_numbers() -> None:
    with pytest.raises(ValueError, match="101 tokens, and there is room for 100"):
        packed([1, 101], 100)
