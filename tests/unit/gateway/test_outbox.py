"""What waits for a client: nothing is lost that matters, nothing piles up that does not."""

import asyncio

import pytest

from gateway.outbox import ClientStalled, Outbox
from parley import wire


def partial(segment: int, revision: int) -> wire.Partial:
    return wire.Partial(segment=segment, revision=revision, start_ms=0, committed="", tentative="a", lag_ms=0)


def final(segment: int) -> wire.Final:
    return wire.Final(
        segment=segment, start_ms=0, end_ms=1, text="", words=(), language="en", confidence=1, suspect=False
    )


async def sent(*messages: wire.ServerMessage) -> list[wire.ServerMessage]:
    out: list[wire.ServerMessage] = []

    async def send(text: str) -> None:
        out.append(wire.parse_server_message(text))

    outbox = Outbox(send, stalled_after_s=1)
    for message in messages:
        outbox.post(message)
    outbox.close()
    await outbox.run()
    return out


async def test_finals_and_errors_keep_their_order() -> None:
    messages = (final(0), wire.Error(code="a", message="b"), final(1), wire.Pong())
    assert await sent(*messages) == list(messages)


async def test_a_newer_partial_takes_the_place_of_the_one_that_waits() -> None:
    assert await sent(partial(0, 0), partial(1, 0), partial(0, 1)) == [partial(1, 0), partial(0, 1)]


async def test_a_final_takes_the_place_of_its_partial() -> None:
    assert await sent(partial(0, 0), final(0)) == [final(0)]


async def test_of_acks_only_the_newest_is_sent() -> None:
    assert await sent(wire.Ack(samples=1), wire.Ack(samples=2)) == [wire.Ack(samples=2)]


async def test_a_client_that_reads_nothing_is_noticed() -> None:
    outbox = Outbox(lambda _text: asyncio.sleep(3600), stalled_after_s=0.01)
    outbox.post(wire.Pong())
    with pytest.raises(ClientStalled, match=r"0\.01 s"):
        await outbox.run()


async def test_what_comes_after_the_client_is_gone_is_dropped() -> None:
    outbox = Outbox(lambda _text: asyncio.sleep(0), stalled_after_s=1)
    outbox.abandon()
    outbox.post(wire.Pong())
    outbox.close()
    await outbox.run()


async def test_a_client_that_pings_without_end_costs_no_memory() -> None:
    assert await sent(*[wire.Pong()] * 1000) == [wire.Pong()]
