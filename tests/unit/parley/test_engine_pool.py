"""Which engine is tried first, and what is said where none takes a session."""

from collections import Counter
from random import Random

import pytest

from parley.engine_connection import EngineAddress
from parley.engine_pool import addresses_of, look_up, refusal, trial_order
from parley.errors import AtCapacity, EngineError

A, B, C = (EngineAddress("http://engine:8001", f"10.0.0.{number}") for number in (1, 2, 3))


def firsts(*loads: float, times: int = 2_000) -> Counter[int]:
    random = Random(7)
    return Counter(trial_order(loads, random)[0] for _ in range(times))


def test_of_up_to_three_engines_the_least_loaded_is_first_and_the_others_follow_by_load() -> None:
    for seed in range(50):
        assert trial_order([0.5, 0.9, 0.1], Random(seed)) == [2, 0, 1]
        assert trial_order([0.3, 0.2], Random(seed)) == [1, 0]


def test_equals_are_chosen_equally_often() -> None:
    counted = firsts(0.5, 0.5, 0.5, 0.5)
    assert all(400 < counted[index] < 600 for index in range(4))


def test_of_many_engines_not_everybody_takes_the_least_loaded() -> None:
    counted = firsts(0.0, *[0.5] * 9)
    assert 0.2 < counted[0] / 2_000 < 0.4, "three of ten are looked at"
    assert len(counted) == 10


def test_a_full_engine_is_first_only_where_all_are_full() -> None:
    assert firsts(1.0, 1.2, 1.1, 1.3, 0.99).keys() == {4}
    assert set(firsts(1.0, 1.2)) == {0}


def test_no_engine_is_no_order() -> None:
    assert trial_order([], Random(1)) == []


def test_every_engine_stands_in_the_order_once() -> None:
    for seed in range(50):
        assert sorted(trial_order([0.1, 0.1, 0.9, 1.0, 1001.0], Random(seed))) == [0, 1, 2, 3, 4]


def test_where_all_are_full_the_smallest_retry_time_counts() -> None:
    told = refusal({A: AtCapacity("Full.", retry_after_s=8), B: AtCapacity("Full too.", retry_after_s=3)})
    assert isinstance(told, AtCapacity)
    assert told.retry_after_s == 3


def test_one_that_is_only_full_outweighs_those_that_are_away() -> None:
    told = refusal({A: EngineError("Away."), B: AtCapacity("Full.", retry_after_s=3)})
    assert isinstance(told, AtCapacity)


def test_where_none_is_ready_the_words_of_each_are_told_once() -> None:
    told = refusal({A: EngineError("It loads."), B: EngineError("It is away."), C: EngineError("It loads.")})
    assert (told.message, told.retryable) == ("It loads. It is away.", True)


@pytest.mark.parametrize(("other_retryable", "retryable"), [(True, True), (False, False)])
def test_trying_again_is_of_no_use_only_where_every_engine_says_so(other_retryable: bool, retryable: bool) -> None:
    unknown = EngineError("Not de.", code="unsupported_language", retryable=False)
    told = refusal({A: unknown, B: EngineError("Other.", retryable=other_retryable)})
    assert told.retryable is retryable


def test_no_engine_in_the_settings_is_said() -> None:
    assert "no engine" in refusal({}).message


@pytest.mark.parametrize(
    ("url", "ip", "shown"),
    [
        ("http://engine.svc:8001", "10.0.0.7", "http://10.0.0.7:8001"),
        ("http://engine.svc:8001/", "fd00::7", "http://[fd00::7]:8001"),
        ("https://engine.example/one", "10.0.0.7", "https://10.0.0.7/one"),
    ],
)
def test_an_engine_is_shown_with_its_own_address(url: str, ip: str, shown: str) -> None:
    assert str(EngineAddress(url, ip)) == shown


async def test_an_address_is_its_own_name() -> None:
    assert await addresses_of("127.0.0.1") == ["127.0.0.1"]
    assert await addresses_of("::1") == ["::1"]


async def test_a_name_that_is_not_known_is_said_with_its_url() -> None:
    async def fails(host: str) -> list[str]:
        raise OSError(-2, f"{host} is unknown")

    with pytest.raises(EngineError, match=r"http://engine\.svc:8001 is not known: engine\.svc is unknown"):
        await look_up("http://engine.svc:8001", fails)
