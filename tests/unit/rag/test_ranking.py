"""Fusion and diversity: what both sides name comes first, what repeats comes later, nothing is lost."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rag.ranking import diverse, fuse


def test_what_both_sides_name_is_before_what_one_names_at_the_same_rank() -> None:
    scores = fuse([(1.0, ["a", "b", "c"]), (1.0, ["d", "b", "e"])])
    assert max(scores, key=lambda id_: scores[id_]) == "b"


def test_the_first_of_both_sides_has_a_score_of_one() -> None:
    assert fuse([(1.0, ["a", "b"]), (0.5, ["a"])])["a"] == 1.0
    assert fuse([(1.0, ["a"])]) == {"a": 1.0}
    assert fuse([]) == {}


def test_a_heavier_side_wins_where_they_disagree() -> None:
    scores = fuse([(1.0, ["a", "b"]), (3.0, ["b", "a"])])
    assert scores["b"] > scores["a"]


def test_a_near_copy_of_the_first_comes_after_what_is_nearly_as_relevant() -> None:
    vectors = np.array([[1, 0], [0.999, 0.045], [0, 1]], np.float32)
    assert diverse([1.0, 0.95, 0.9], vectors) == [0, 2, 1]


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(0, 2**32 - 1))
def test_diversity_orders_and_neither_loses_nor_repeats(relevance: list[float], seed: int) -> None:
    vectors = np.random.default_rng(seed).standard_normal((len(relevance), 8)).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    order = diverse(relevance, vectors)
    assert sorted(order) == list(range(len(relevance)))
    if order:
        assert relevance[order[0]] == max(np.float32(r) for r in relevance) or np.isclose(
            relevance[order[0]], max(relevance)
        )
