"""What waits to be sent: bounded, in order."""

import asyncio

import pytest

from parley.engine_wire import EngineMessage, Final, Partial
from stream_engine.outbox import MAX_FINALS, Outbox


def partial(segment: int, revision: int) -> Partial:
    return Partial(segment=segment, revision=revision, committed="", tentative="", samples=0)


def final(segment: int) -> Final:
    return Final(segment=segment, words=(), language="en", confidence=0.0, suspect=False)


async def test_messages_leave_in_order() -> None:
    outbox = Outbox()
    messages: list[EngineMessage] = [partial(0, 0), final(0), partial(1, 0), final(1)]
    outbox.put(messages[1])
    outbox.put(messages[2])
    assert [await outbox.next(), await outbox.next()] == messages[1:3]


async def test_a_newer_partial_or_the_final_replaces_a_partial_that_waits() -> None:
    outbox = Outbox()
    messages: list[EngineMessage] = [partial(0, 0), partial(0, 1), final(0), partial(1, 0)]
    for message in messages:
        outbox.put(message)
    assert [await outbox.next(), await outbox.next()] == [final(0), partial(1, 0)]


async def test_next_waits_for_a_message() -> None:
    outbox = Outbox()
    waiting = asyncio.create_task(outbox.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.put(final(0))
    assert await waiting == final(0)


async def test_there_is_no_room_while_too_many_finals_are_due() -> None:
    outbox = Outbox()
    for _ in range(MAX_FINALS):
        await outbox.room()
        outbox.expect_final()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outbox.room(), 0.01)
    outbox.put(partial(0, 0))
    outbox.sent(await outbox.next())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outbox.room(), 0.01)
    outbox.put(final(0))
    outbox.sent(await outbox.next())
    await outbox.room()
