"""A double of the stream engine that answers at once: `python -m benchmarks.engine_double` prints its address.

It speaks `parley/engine_wire.py` over a real socket and decodes nothing, so that what is measured is the gateway. Each
second message of audio is answered with a partial whose tentative text is the count of samples that have come; a final
is empty.
"""

import asyncio
from http import HTTPStatus
from json import dumps

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from parley import engine_wire as ew
from parley.tasks import background

_RECOGNIZER = {"name": "double", "model": "none", "device": "cpu", "compute_type": "none", "reason": "a benchmark"}
_EACH = 2


def answer_http(connection: ServerConnection, request: Request) -> Response | None:
    if request.path == "/v1/stream":
        return None
    response = connection.respond(HTTPStatus.OK, dumps({"status": "ready", "recognizer": _RECOGNIZER}))
    response.headers["Content-Type"] = "application/json"
    return response


async def stay_alive(connection: ServerConnection) -> None:
    while True:
        await asyncio.sleep(ew.ALIVE_AFTER_S)
        await connection.send(ew.Alive().to_json())


async def serve_session(connection: ServerConnection) -> None:
    async with background(stay_alive(connection)):
        await converse(connection)


async def converse(connection: ServerConnection) -> None:
    await connection.recv()
    await connection.send(dumps({"type": "opened", "recognizer": _RECOGNIZER}))
    segment, received, messages = 0, 0, 0
    async for message in connection:
        if isinstance(message, bytes):
            received += len(message) // 2
            messages += 1
            if messages % _EACH == 0:
                await connection.send(
                    ew.Partial(
                        segment=segment, revision=0, committed="", tentative=str(received), samples=received
                    ).to_json()
                )
            continue
        match ew.gateway_messages.validate_json(message):
            case ew.Begin(segment=segment):
                received = 0
            case ew.End(segment=ended):
                await connection.send(ew.Final.nothing(ended).to_json())
            case _:
                pass


async def main() -> None:
    async with serve(
        serve_session, "127.0.0.1", 0, process_request=answer_http, compression=None, ping_interval=None
    ) as it:
        print(f"http://127.0.0.1:{it.sockets[0].getsockname()[1]}", flush=True)
        await it.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
