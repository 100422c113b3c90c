"""The recent audio: what was appended can be read by sample index until it is forgotten."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.timeline import Timeline


def numbered(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.int16)


@given(
    sizes=st.lists(st.integers(0, 50), max_size=20),
    forget=st.integers(0, 500),
    start=st.integers(0, 600),
    length=st.integers(0, 600),
)
def test_a_slice_holds_the_samples_of_its_range(sizes: list[int], forget: int, start: int, length: int) -> None:
    timeline, end = Timeline(), 0
    for size in sizes:
        timeline.append(numbered(end, size))
        end += size
    assert timeline.end == end
    timeline.forget_before(forget)
    assert timeline.start == min(forget, end)
    start = max(start, timeline.start)
    assert np.array_equal(timeline.slice(start, start + length), np.arange(start, max(start, min(start + length, end))))


def test_what_was_forgotten_is_no_longer_given() -> None:
    timeline = Timeline()
    timeline.append(numbered(0, 10))
    timeline.append(numbered(10, 10))
    timeline.forget_before(10)
    with pytest.raises(ValueError, match="begins at 10"):
        timeline.slice(9, 12)
