"""The faults of a round are a function of its seed, and such that the round can be passed."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.chaos.round import Stage
from benchmarks.chaos.schedule import (
    CALM_S,
    CONNECTION_FAULTS,
    ENDING,
    MOST_ENDS,
    ROLLING_EVERY,
    Cast,
    kinds_for,
    schedule,
)

CAST = Cast(sessions=20, gateways=("gateway", "gateway-2"), engines=("engine", "engine-2"))
seeds = st.integers(0, 2**32)


@given(seeds)
def test_the_same_seed_gives_the_same_faults(seed: int) -> None:
    assert schedule(seed, CAST, 14) == schedule(seed, CAST, 14)


def test_other_seeds_give_other_faults() -> None:
    assert len({schedule(seed, CAST, 14) for seed in range(50)}) == 50


@given(seeds, st.floats(5, 60))
def test_every_fault_strikes_while_someone_speaks_and_in_order(seed: int, seconds: float) -> None:
    faults = schedule(seed, CAST, seconds)
    assert all(0 <= fault.at_s < seconds for fault in faults)
    assert list(faults) == sorted(faults, key=lambda fault: fault.at_s)


@given(seeds)
def test_no_part_is_ended_so_often_that_it_would_be_given_up(seed: int) -> None:
    ends = Counter(fault.target for fault in schedule(seed, CAST, 600) if fault.kind in ENDING)
    assert max(ends.values(), default=0) <= MOST_ENDS


@given(seeds)
def test_faults_fit_what_they_strike(seed: int) -> None:
    for fault in schedule(seed, CAST, 14):
        if fault.kind in CONNECTION_FAULTS:
            assert fault.target in range(CAST.sessions)
        else:
            assert isinstance(fault.target, str)
            assert fault.kind in kinds_for(fault.target, CAST)
        assert (fault.for_s > 0) == (fault.kind in ("delay", "refuse", "pause", "strand"))


@given(seeds.filter(lambda seed: seed % 2 == 0 and seed % ROLLING_EVERY != ROLLING_EVERY - 1))
def test_an_even_seed_kills_gateways_and_engines_apart_from_each_other(seed: int) -> None:
    kills = [fault for fault in schedule(seed, CAST, 14) if isinstance(fault.target, str)]
    assert kills
    assert {fault.kind for fault in kills} == {"kill"}
    assert all(following.at_s - fault.at_s >= CALM_S - 0.01 for fault, following in pairwise(kills))


def test_every_fifth_round_restarts_each_gateway_and_each_engine_once_and_in_turn() -> None:
    restarts = [fault for fault in schedule(ROLLING_EVERY - 1, CAST, 14) if isinstance(fault.target, str)]
    assert [fault.target for fault in restarts] == [*CAST.gateways, *CAST.engines]
    assert {fault.kind for fault in restarts} == {"drain"}
    assert all(following.at_s - fault.at_s >= 1 for fault, following in pairwise(restarts))


@pytest.mark.parametrize(("seed", "frozen"), [(3, ("postgres",)), (13, CAST.engines), (23, ("postgres",))])
def test_in_every_tenth_round_the_database_or_all_engines_are_away_for_longer_than_a_session_may_be_silent(
    seed: int, frozen: tuple[str, ...]
) -> None:
    stage = Stage(pace=2.0).of_seed(seed)
    spoken_s = stage.seconds / stage.pace
    faults = [fault for fault in schedule(seed, CAST, spoken_s) if isinstance(fault.target, str)]
    away = [fault for fault in faults if fault.kind == "pause"]
    assert tuple(fault.target for fault in away) == frozen
    assert len({(fault.at_s, fault.for_s) for fault in away}) == 1
    silent_s = float(stage.environment(Path())["PARLEY_GATEWAY__ABANDONED_AFTER_S"])
    assert silent_s + 1 < away[0].for_s < spoken_s - away[0].at_s - 3
    (stop,) = (fault for fault in faults if fault.kind != "pause")
    assert stop.target in CAST.gateways
    assert away[0].at_s < stop.at_s < away[0].at_s + away[0].for_s


def test_other_rounds_are_as_long_as_they_are_asked_to_be() -> None:
    stages = [Stage(seconds=14).of_seed(seed) for seed in range(50)]
    assert sum(stage == Stage(seconds=14) for stage in stages) == 45
    assert Stage(seconds=60).of_seed(3).seconds == 60


def test_in_fifty_rounds_every_fault_strikes_every_kind_of_part() -> None:
    struck = {
        (fault.kind, "session" if isinstance(fault.target, int) else fault.target)
        for seed in range(50)
        for fault in schedule(seed, CAST, 14)
    }
    connections: set[tuple[str, str]] = {(kind, "session") for kind in CONNECTION_FAULTS}
    assert struck == connections | {(kind, part) for part in CAST.parts for kind in kinds_for(part, CAST)}
