"""Growth is measured from the settled beginning to the end, and one that is not there is not found."""

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.soak import summary
from benchmarks.soak_usage import Held, Sample, growth_percent, plot


def sample(at_s: float, memory_mib: float, fds: int = 20) -> Sample:
    return Sample(at_s, {"gateway": Held(memory_mib, memory_mib + 30, fds, 8), "engine": Held(50, 80, 20, 8)}, 4)


def test_what_grows_before_the_load_has_settled_is_not_counted() -> None:
    samples = [sample(at_s, 50 if at_s < 50 else 100) for at_s in range(0, 1001, 10)]
    assert growth_percent(samples, lambda held: held.memory_mib) == {"gateway": 0.0, "engine": 0.0}


def test_growth_is_from_the_first_tenth_to_the_last() -> None:
    samples = [sample(at_s, 100 + at_s / 100) for at_s in range(0, 1001, 10)]
    assert growth_percent(samples, lambda held: held.memory_mib)["gateway"] == pytest.approx(8.7, abs=0.2)


def test_a_single_peak_is_no_growth() -> None:
    samples = [sample(at_s, 300 if at_s == 1000 else 100) for at_s in range(0, 1001, 10)]
    assert growth_percent(samples, lambda held: held.memory_mib)["gateway"] == 0


def test_the_process_that_grew_most_counts() -> None:
    samples = [sample(at_s, 100 if at_s < 500 else 110) for at_s in range(0, 1001, 10)]
    found = summary(samples, sample(0, 100, fds=20), sample(1000, 100, fds=23), Counter(stop=5, close=4))
    assert found["growth_percent"] == 10
    assert found["fd_growth"] == 3
    assert found["connections_growth"] == found["thread_growth"] == 0
    assert found["visits"] == 9
    assert [row["process"] for row in found["processes"]] == ["gateway", "engine"]


def test_the_plot_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    plot([sample(at_s, 100) for at_s in range(0, 601, 5)], "visits", tmp_path / "soak.png")
    assert (tmp_path / "soak.png").read_bytes().startswith(b"\x89PNG")
