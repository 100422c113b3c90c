"""Whether a server says a final again is heard on the wire, whatever the client makes of it."""

import json
from http import HTTPStatus

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import InvalidStatus
from websockets.http11 import Request, Response

from benchmarks.chaos.proxy import Proxy
from benchmarks.chaos.tap import Overheard, Tap, repeated
from parley import wire


@pytest.mark.parametrize(
    ("overheard", "count"),
    [
        (Overheard(0, [0, 1, 2]), 0),
        (Overheard(2, [2, 3]), 0),
        (Overheard(2, [1, 2]), 1),
        (Overheard(2, [2, 2, 3]), 1),
        (Overheard(2, [1, 1, 2]), 2),
    ],
)
def test_a_final_is_repeated_that_was_not_asked_for_or_was_there_already(overheard: Overheard, count: int) -> None:
    assert overheard.repeated == count


def test_what_is_sent_again_on_another_connection_was_asked_for() -> None:
    assert repeated([Overheard(0, [0, 1]), Overheard(1, [1, 2])]) == 0
    assert repeated([Overheard(0, [0, 1]), Overheard(2, [1, 2])]) == 1


async def test_a_live_session_is_overheard_amid_audio() -> None:
    async def session(connection: ServerConnection) -> None:
        await connection.recv()
        for segment in (4, 5, 5):
            await connection.send(json.dumps({"type": "partial", "segment": segment}))
            await connection.send(json.dumps({"type": "final", "segment": segment, "text": "x" * 70_000}))
        async for _ in connection:
            pass

    async with serve(session, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        async with Proxy(f"http://127.0.0.1:{port}") as proxy:
            async with connect(proxy.url.replace("http", "ws"), compression=None) as client:
                await client.send(wire.Start(sample_rate=16_000, resume="token", next_segment=5).to_json())
                await client.send(b"\0" * 100_000)
                for _ in range(6):
                    await client.recv()
            assert proxy.overheard == [Overheard(5, [4, 5, 5])]


async def test_a_refusal_is_no_session() -> None:
    def refuse(connection: ServerConnection, _request: Request) -> Response:
        return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "going away")

    async def nobody(_connection: ServerConnection) -> None:
        raise AssertionError

    async with serve(nobody, "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        async with Proxy(f"http://127.0.0.1:{port}") as proxy:
            with pytest.raises(InvalidStatus):
                await connect(proxy.url.replace("http", "ws"))
            assert proxy.overheard == [Overheard()]


def test_bytes_may_come_one_by_one() -> None:
    tap = Tap()
    text = b'{"type":"final","segment":7}'
    for byte in b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + bytes([0x81, len(text)]) + text:
        tap.from_server(bytes([byte]))
    assert tap.overheard.finals == [7]
