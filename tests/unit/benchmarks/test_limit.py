"""The limit is found by doubling, then bisection, with few probes."""

from typing import Any

import pytest

from benchmarks.limit import Search, find_limit, is_carried
from benchmarks.streams import Measured, is_far_over, summarise


def probe_of(capacity: int) -> Any:
    def probe(streams: int) -> dict[str, Any]:
        seconds = 0.5 if streams <= capacity else 1.5
        one = Measured(refresh_s=[seconds], final_s=[seconds], finals=1)
        return summarise([one] * streams) | {"completed": True}

    return probe


@pytest.mark.parametrize("capacity", [1, 2, 3, 5, 8, 15])
@pytest.mark.parametrize("first", [1, 4, 20])
def test_the_limit_is_found_exactly_where_it_is_small(capacity: int, first: int) -> None:
    found = find_limit(probe_of(capacity), first)
    assert found["limit_streams"] == found["streams"] == capacity
    assert found["refresh_p95_s"] == 0.5


def test_a_large_limit_is_found_to_a_sixteenth_with_few_probes() -> None:
    found = find_limit(probe_of(500), 1)
    assert 500 * 15 / 16 <= found["limit_streams"] <= 500
    assert len(found["probes"]) <= 16


def test_a_server_that_carries_nothing_has_the_limit_0() -> None:
    found = find_limit(probe_of(0), 4)
    assert found["limit_streams"] == 0
    assert [probe["streams"] for probe in found["probes"]] == [4, 2, 1]


def test_the_search_ends_at_the_most_streams() -> None:
    search = Search(8192)
    search.note(8192, carried=True)
    assert search.next() is None


def test_a_refused_stream_means_too_many() -> None:
    good = Measured(refresh_s=[0.2], final_s=[0.3], finals=1)
    refused = Measured(errors=["at_capacity"])
    assert is_carried(summarise([good]) | {"completed": True})
    assert not is_carried(summarise([good, refused]) | {"completed": True})
    assert not is_carried(summarise([good]) | {"completed": False})
    assert is_far_over([good, refused])


def test_a_server_without_partials_carries_nothing() -> None:
    assert not is_carried(summarise([Measured(final_s=[0.1], finals=1)]) | {"completed": True})


def test_a_peer_without_finals_is_judged_by_its_refresh() -> None:
    assert is_carried(summarise([Measured(refresh_s=[0.9])]) | {"completed": True})


def test_a_run_is_given_up_only_on_much_evidence() -> None:
    assert not is_far_over([Measured(refresh_s=[9.0] * 10)])
    assert is_far_over([Measured(refresh_s=[9.0] * 40)])
    assert not is_far_over([Measured(refresh_s=[1.5] * 400)])
