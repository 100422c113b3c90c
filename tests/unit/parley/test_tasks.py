"""Many at once, results in order, and nothing left behind."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

import pytest

from parley.tasks import in_order


async def numbers(count: int) -> AsyncGenerator[int, None]:
    for number in range(count):
        yield number


async def test_results_come_in_the_order_of_the_items_whatever_takes_longest() -> None:
    async def work(number: int) -> int:
        for _ in range(10 - number):
            await asyncio.sleep(0)
        return number

    assert [found async for found in in_order(numbers(10), work, at_once=4)] == list(range(10))


async def test_no_more_are_under_way_than_allowed_and_all_of_these_are() -> None:
    under_way: set[int] = set()
    most = 0

    async def work(number: int) -> None:
        nonlocal most
        under_way.add(number)
        most = max(most, len(under_way))
        await asyncio.sleep(0)
        under_way.discard(number)

    async for _ in in_order(numbers(20), work, at_once=3):
        pass
    assert most == 3


async def test_where_one_fails_the_others_are_cancelled() -> None:
    cancelled: list[int] = []

    async def work(number: int) -> None:
        if number == 0:
            await asyncio.sleep(0)
            raise ValueError("broken")
        try:
            await asyncio.Future()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    with pytest.raises(ValueError, match="broken"):
        async for _ in in_order(numbers(3), work, at_once=3):
            pass
    assert cancelled == [1, 2]


async def test_the_items_are_closed_where_nobody_wants_more() -> None:
    closed = False

    async def items() -> AsyncGenerator[int, None]:
        nonlocal closed
        try:
            yield 1
            yield 2
        finally:
            closed = True

    async def work(number: int) -> int:
        return number

    async with contextlib.aclosing(in_order(items(), work, at_once=1)) as found:
        async for _ in found:
            break
    assert closed
