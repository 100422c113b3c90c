"""A session that outlives its connections: what the client does when its server is lost in every way."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from websockets.asyncio.server import ServerConnection, serve

from parley import wire
from parley.audio import SAMPLE_RATE
from parley.client import (
    CutShort,
    LiveClient,
    Patience,
    Reconnecting,
    Refused,
    Resumed,
    SessionEvent,
    open_session,
)
from parley.errors import BackendError, ClientError
from tests.unit.parley.scripted_gateway import PART, Denial, Loss, Recording, ScriptedGateway

START = wire.Start(sample_rate=SAMPLE_RATE, language="en", title="A talk")
SPEECH = random.Random(1).randbytes(2 * 5 * SAMPLE_RATE)
CHUNK = 2 * SAMPLE_RATE // 10
QUICK = Patience(ping_every_s=0.1, silence_s=1.0, give_up_after_s=10)
GOING = wire.Error(code="going_away", message="This gateway is stopped.", retryable=True)
FULL = wire.Error(code="at_capacity", message="All places are taken.", retryable=True, retry_after_s=0.3)
SUPERSEDED = wire.Error(code="superseded", message="Another connection took over.")
EXPIRED = wire.Error(code="resume_expired", message="The resume token is too old.")
INVALID = wire.Error(code="resume_invalid", message="There is no such recording.")
UNSUPPORTED = wire.Error(code="unsupported_language", message="The model does not know 'xx'.")
STOPPING = (
    b'{"error": {"code": "going_away", "message": "This gateway is stopped.", "request_id": null, "retryable": true,'
    b' "retry_after_s": 0.3}}'
)


@dataclass
class Told:
    """All that iterating over a session gave."""

    events: list[SessionEvent] = field(default_factory=list)
    sent_all: bool = False

    @property
    def segments(self) -> list[int]:
        return [event.segment for event in self.events if isinstance(event, wire.Final)]

    @property
    def reconnecting(self) -> list[Reconnecting]:
        return [event for event in self.events if isinstance(event, Reconnecting)]

    @property
    def resumed(self) -> list[Resumed]:
        return [event for event in self.events if isinstance(event, Resumed)]


async def speak(session: LiveClient, told: Told, *, pause_s: float = 0.001) -> None:
    with contextlib.suppress(BackendError):
        for start in range(0, len(SPEECH), CHUNK):
            await session.send_audio(SPEECH[start : start + CHUNK])
            await asyncio.sleep(pause_s)
        await session.send(wire.Stop())
        told.sent_all = True


async def hear(session: LiveClient, told: Told) -> None:
    async for event in session:
        told.events.append(event)


async def listen(session: LiveClient) -> list[SessionEvent]:
    return [event async for event in session]


async def talk(*gateways: ScriptedGateway, patience: Patience = QUICK) -> Told:
    """All of SPEECH through the gateways, and what came of it."""
    told = Told()
    async with (
        asyncio.timeout(10),
        open_session([gateway.url for gateway in gateways], START, patience) as session,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(speak(session, told))
        await hear(session, told)
    return told


def assert_nothing_lost(gateway: ScriptedGateway, told: Told) -> None:
    assert bytes(gateway.recording.received) == SPEECH
    assert told.segments == [0, 1, 2, 3, 4]
    assert isinstance(told.events[-1], wire.Closed)
    assert told.sent_all


async def test_an_undisturbed_session_is_one_connection() -> None:
    async with ScriptedGateway() as gateway:
        told = await talk(gateway)
    assert_nothing_lost(gateway, told)
    assert gateway.starts == [START]
    assert not told.reconnecting


@pytest.mark.parametrize(
    "loss",
    [
        Loss(at=20_000),
        Loss(at=20_000, how="silence"),
        Loss(at=20_000, how=1001),
        Loss(at=20_000, how=1011),
        Loss(at=20_000, how=1012, error=GOING),
        Loss(at=20_000, how=1013, error=wire.Error(code="drain_timeout", message="", retryable=True)),
    ],
    ids=str,
)
async def test_no_end_of_a_connection_loses_audio_or_finals(loss: Loss) -> None:
    async with ScriptedGateway(loss) as gateway:
        told = await talk(gateway)
    assert_nothing_lost(gateway, told)
    assert [type(event) for event in (*told.reconnecting, *told.resumed)] == [Reconnecting, Resumed]
    assert GOING not in told.events


async def test_many_losses_are_as_good_as_none() -> None:
    losses = [Loss(at=at) for at in range(3_000, 5 * SAMPLE_RATE, 6_000)]
    async with ScriptedGateway(*losses) as gateway:
        told = await talk(gateway)
    assert_nothing_lost(gateway, told)
    assert len(told.resumed) == len(losses)


async def test_a_resumption_names_the_latest_token_the_format_and_the_first_final_it_lacks() -> None:
    async with ScriptedGateway(Loss(at=17_000), Loss(at=34_000)) as gateway:
        told = await talk(gateway)
    assert gateway.starts[1:] == [
        wire.Start(sample_rate=SAMPLE_RATE, resume="token 1", next_segment=1),
        wire.Start(sample_rate=SAMPLE_RATE, resume="token 2", next_segment=2),
    ]
    assert [event.next_sample for event in told.resumed] == [16_000, 32_000]


async def test_what_is_held_is_told() -> None:
    async with ScriptedGateway(Loss(at=PART + 1_000)) as gateway:
        told = await talk(gateway)
    assert told.reconnecting[0].reason == f"The Parley at {gateway.url} went away."
    assert told.reconnecting[0].attempt == 1
    assert 2_400 / SAMPLE_RATE <= told.reconnecting[0].held_s <= told.resumed[0].held_s


async def test_several_gateways_take_turns() -> None:
    recording = Recording()
    async with (
        ScriptedGateway(Loss(at=20_000), Loss(at=60_000), recording=recording) as first,
        ScriptedGateway(Loss(at=40_000), recording=recording) as second,
    ):
        told = await talk(first, second)
    assert_nothing_lost(first, told)
    assert [len(gateway.starts) for gateway in (first, second)] == [2, 2]


async def test_a_gateway_that_is_not_there_is_passed_over_at_once() -> None:
    async with ScriptedGateway() as gone:
        pass
    async with ScriptedGateway() as gateway:
        told = await talk(gone, gateway)
    assert_nothing_lost(gateway, told)
    assert not told.reconnecting


async def test_a_refused_start_is_raised_in_the_servers_words_and_not_tried_again() -> None:
    async with ScriptedGateway(FULL) as gateway:
        with pytest.raises(Refused) as raised:
            await talk(gateway)
    assert (raised.value.code, raised.value.retryable, raised.value.retry_after_s) == ("at_capacity", True, 0.3)
    assert len(gateway.starts) == 1


async def test_what_no_other_gateway_would_mend_is_asked_of_none() -> None:
    unknown = wire.Error(code="unsupported_language", message="There is no such language.")
    async with ScriptedGateway(unknown) as first, ScriptedGateway() as second:
        with pytest.raises(Refused, match="no such language"):
            await talk(first, second)
    assert not second.starts


async def test_a_full_server_is_tried_again_when_it_says() -> None:
    async with ScriptedGateway(Loss(at=20_000), FULL) as gateway:
        told = await talk(gateway)
    assert_nothing_lost(gateway, told)
    assert told.reconnecting[1].reason == "All places are taken."
    assert told.reconnecting[1].retry_in_s >= 0.3


@pytest.mark.parametrize("fate", [EXPIRED, Loss(at=60_000, how=1008, error=SUPERSEDED)], ids=["refused", "superseded"])
async def test_an_error_that_ends_the_session_is_its_last_message(fate: Loss | wire.Error) -> None:
    async with ScriptedGateway(Loss(at=20_000), fate) as gateway:
        told = await talk(gateway)
    assert told.events[-1] == (EXPIRED if fate == EXPIRED else SUPERSEDED)
    assert len(gateway.starts) == 2


async def test_who_was_superseded_does_not_come_back_even_if_the_close_was_lost() -> None:
    async with ScriptedGateway(Loss(at=20_000, error=SUPERSEDED)) as gateway:
        told = await talk(gateway)
    assert told.events[-1] == SUPERSEDED
    assert len(gateway.starts) == 1


async def test_a_recording_that_is_closed_without_all_of_the_audio_is_not_taken_for_whole() -> None:
    async with (
        ScriptedGateway(Loss(at=2 * PART, how="closed", error=UNSUPPORTED)) as gateway,
        open_session(gateway.url, START, QUICK) as session,
    ):
        await session.send_audio(SPEECH[: 2 * 6 * PART])
        await session.send_audio(SPEECH[:CHUNK])  # which the gateway does not read any more
        with pytest.raises(CutShort) as raised:
            await hear(session, told := Told())
    assert UNSUPPORTED in told.events
    assert not any(isinstance(event, wire.Closed) for event in told.events)
    assert session.ended_by == UNSUPPORTED
    assert raised.value.closed.duration_ms == len(gateway.recording.received) // 32
    assert raised.value.missing_s == pytest.approx(0.1)


async def test_a_recording_that_lacks_only_what_is_rounded_away_is_whole() -> None:
    async with (
        ScriptedGateway(Loss(at=PART, how="closed")) as gateway,
        open_session(gateway.url, START, QUICK) as session,
    ):
        await session.send_audio(SPEECH[: 2 * PART])
        await session.send_audio(SPEECH[: 2 * SAMPLE_RATE * 4 // 100])
        assert isinstance((await listen(session))[-1], wire.Closed)


async def test_an_error_that_ended_the_session_stays_known_and_one_that_was_survived_does_not() -> None:
    timeout = wire.Error(code="drain_timeout", message="", retryable=True)
    for error, ended_by in ((UNSUPPORTED, UNSUPPORTED), (wire.Error(code="no_words", message=""), None)):
        async with (
            ScriptedGateway(Loss(at=PART, error=timeout), Loss(at=2 * PART, how="closed", error=error)) as gateway,
            open_session(gateway.url, START, QUICK) as session,
        ):
            await session.send_audio(SPEECH[: 2 * 2 * PART])
            assert isinstance((await listen(session))[-1], wire.Closed)
            assert session.ended_by == ended_by


async def test_a_recording_that_is_lost_before_anything_was_kept_is_begun_again() -> None:
    async with ScriptedGateway(Loss(at=PART - 1_000), INVALID) as gateway:
        told = await talk(gateway)
    assert_nothing_lost(gateway, told)
    assert [start.resume for start in gateway.starts] == [None, "token 1", None]
    assert gateway.starts[2] == START
    assert told.reconnecting[1].reason == "There is no such recording."


async def test_a_recording_that_is_lost_with_what_was_kept_is_not_begun_again() -> None:
    async with ScriptedGateway(Loss(at=20_000), INVALID) as gateway:
        told = await talk(gateway)
    assert told.events[-1] == INVALID
    assert len(gateway.starts) == 2


async def test_a_gateway_that_stops_says_so_over_http_and_another_takes_the_session() -> None:
    async with ScriptedGateway(Denial(503, STOPPING)) as stopping, ScriptedGateway() as other:
        told = await talk(stopping, other)
    assert_nothing_lost(other, told)


async def test_an_http_refusal_is_raised_in_its_own_words() -> None:
    async with ScriptedGateway(Denial(429, STOPPING)) as gateway:
        with pytest.raises(Refused, match="This gateway is stopped") as raised:
            await talk(gateway)
    assert (raised.value.code, raised.value.retryable, raised.value.retry_after_s) == ("going_away", True, 0.3)


async def test_a_proxy_that_names_a_time_is_asked_again_then() -> None:
    async with ScriptedGateway(Loss(at=20_000), Denial(503, headers={"Retry-After": "1"})) as gateway:
        told = await talk(gateway)
    assert_nothing_lost(gateway, told)
    assert told.reconnecting[1].reason == "The server takes no sessions now (HTTP status 503)."
    assert told.reconnecting[1].retry_in_s >= 1.0


async def test_what_is_no_parley_is_told_as_such() -> None:
    async with ScriptedGateway(Denial(404, b"not here")) as gateway:
        with pytest.raises(BackendError, match=r"is no Parley that takes sessions \(HTTP status 404\)"):
            await talk(gateway)


async def test_a_pong_is_no_answer_to_start() -> None:
    async def pong(connection: ServerConnection) -> None:
        await connection.send(wire.Pong().to_json())
        await connection.wait_closed()

    async with serve(pong, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        with pytest.raises(ClientError, match="answered 'pong' to start"):
            async with open_session(url, START, Patience(ready_s=1)):
                pass


@contextlib.asynccontextmanager
async def reading(session: LiveClient, told: Told) -> AsyncIterator[None]:
    task = asyncio.create_task(hear(session, told))
    try:
        yield
        async with asyncio.timeout(10):
            await task
    finally:
        task.cancel()


async def until(condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("It did not come to that within 5 s.")


async def test_without_any_server_audio_is_held_and_sent_when_one_is_back() -> None:
    gateway, told = ScriptedGateway(), Told()
    async with contextlib.AsyncExitStack() as stack:
        async with gateway:
            session = await stack.enter_async_context(open_session(gateway.url, START, QUICK))
            await stack.enter_async_context(reading(session, told))
            await session.send_audio(SPEECH[:CHUNK])
        await until(lambda: told.reconnecting)
        for start in range(CHUNK, len(SPEECH), CHUNK):
            await session.send_audio(SPEECH[start : start + CHUNK])
        await session.send(wire.Stop())
        told.sent_all = True
        assert session.held_s == 5.0
        await stack.enter_async_context(gateway)
        await until(lambda: isinstance(told.events[-1], wire.Closed))
    assert_nothing_lost(gateway, told)


async def test_a_client_gives_up_in_the_end_and_says_what_is_kept() -> None:
    patience = Patience(give_up_after_s=0.5)
    async with contextlib.AsyncExitStack() as stack:
        async with ScriptedGateway() as gateway:
            session = await stack.enter_async_context(open_session(gateway.url, START, patience))
            await session.send_audio(SPEECH[: 2 * PART])
            assert isinstance(await anext(aiter(session)), wire.Ack)
        await session.send_audio(SPEECH[2 * PART : 6 * PART])
        with pytest.raises(BackendError) as raised:
            await listen(session)
    assert raised.value.message == (
        f"No Parley answers at {gateway.url}. 0.2 s of the audio are kept there, the 0.5 s behind them are not."
    )


async def test_who_has_no_patience_is_told_of_the_first_loss() -> None:
    async with ScriptedGateway(Loss(at=PART)) as gateway:
        with pytest.raises(ExceptionGroup) as raised:
            await talk(gateway, patience=Patience(give_up_after_s=0))
    assert raised.group_contains(BackendError, match=r"went away\. 0\.2 s of the audio are kept")
    assert len(gateway.starts) == 1


async def test_once_the_session_is_over_nothing_more_is_taken() -> None:
    async with ScriptedGateway() as gateway, open_session(gateway.url, START, QUICK) as session:
        await session.send(wire.Stop())
        assert [type(event) async for event in session] == [wire.Closed]
        with pytest.raises(BackendError, match="The session is over"):
            await session.send_audio(b"aa")
        with pytest.raises(BackendError, match="The session is over"):
            await session.send(wire.Finalize())


async def test_more_than_may_be_held_waits_for_the_server_to_store_it() -> None:
    patience = Patience(max_held_s=1.0)
    async with ScriptedGateway(acks=False) as gateway, open_session(gateway.url, START, patience) as session:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(speak(session, Told()), 1.0)
        assert session.held_s == 1.0
    async with ScriptedGateway() as gateway:
        assert_nothing_lost(gateway, await talk(gateway, patience=patience))


async def test_a_finalize_that_may_not_have_been_heeded_is_said_again_in_its_place() -> None:
    async with (
        ScriptedGateway(Loss(at=PART + 3_000)) as gateway,
        open_session(gateway.url, START, QUICK) as session,
        reading(session, told := Told()),
    ):
        for samples in (PART - 1_000, 2_000, 1_000):
            await session.send_audio(bytes(2 * samples))
            await session.send(wire.Finalize())
        await session.send_audio(bytes(2 * 2_000))  # the connection is lost here
        await session.send(wire.Finalize())
        await session.send(wire.Stop())
    assert gateway.recording.finalized == [PART - 1_000, PART + 1_000, PART + 2_000, PART + 4_000]
    assert len(told.resumed) == 1


async def test_a_stop_that_was_lost_is_said_again() -> None:
    gateway, told = ScriptedGateway(), Told()
    async with contextlib.AsyncExitStack() as stack:
        async with gateway:
            session = await stack.enter_async_context(open_session(gateway.url, START, QUICK))
            await stack.enter_async_context(reading(session, told))
        await until(lambda: told.reconnecting)
        await session.send(wire.Stop())
        await stack.enter_async_context(gateway)
        await until(lambda: isinstance(told.events[-1], wire.Closed))
    assert gateway.recording.stopped


async def test_an_idle_client_pings_and_its_reader_hears_no_pong() -> None:
    async with (
        ScriptedGateway() as gateway,
        open_session(gateway.url, START, QUICK) as session,
        reading(session, told := Told()),
    ):
        await asyncio.sleep(1.5)  # a silence that would count as a loss
        await session.send(wire.Stop())
    assert 3 <= gateway.pings <= 15
    assert [type(event) for event in told.events] == [wire.Closed]


async def test_a_server_that_nobody_listens_to_is_not_taken_for_lost() -> None:
    async with ScriptedGateway() as gateway, open_session(gateway.url, START, QUICK) as session:
        await asyncio.sleep(1.5)
        await session.send(wire.Stop())
        assert [type(event) async for event in session] == [wire.Closed]


async def test_a_gateway_that_takes_the_connection_and_says_nothing_is_left() -> None:
    async with serve(lambda connection: connection.wait_closed(), "127.0.0.1", 0) as server, ScriptedGateway() as other:
        mute = f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
        async with open_session([mute, other.url], START, Patience(ready_s=0.2)) as session:
            assert session.ready.recording_id == "r1"


async def test_a_sender_that_is_broken_off_leaves_no_gap() -> None:
    """Half a message may have gone out: only a new connection says how much the server has."""
    told = Told()
    async with (
        ScriptedGateway(Loss(at=2 * SAMPLE_RATE, how="silence")) as gateway,
        open_session(gateway.url, START, Patience(silence_s=60)) as session,
        reading(session, told),
    ):
        endless = bytes(1) * (32 * 2**20)  # more than the socket's buffers take
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.send_audio(endless), 0.5)
        await until(lambda: told.reconnecting)
        await session.send(wire.Stop())
    assert not any(gateway.recording.received)
    assert len(gateway.recording.received) % 2**18 == 0


async def test_a_place_that_cannot_be_had_ends_the_session_loudly() -> None:
    gateway = ScriptedGateway()
    async with contextlib.AsyncExitStack() as stack:
        async with gateway:
            session = await stack.enter_async_context(open_session(gateway.url, START, QUICK))
            await session.send_audio(SPEECH[: 4 * PART])
            assert isinstance(await anext(aiter(session)), wire.Ack)
        gateway.recording.durable = PART // 2  # a store that lost what it had acknowledged
        await stack.enter_async_context(gateway)
        with pytest.raises(ClientError, match="which cannot be had"):
            await listen(session)
