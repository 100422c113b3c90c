"""A double of an engine: it answers `/readyz` and `open`, and hears no word in any segment."""

import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from http import HTTPStatus

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from parley import engine_wire as ew
from parley.transcript import Recognizer

RECOGNIZER = Recognizer("double", "none", "cpu", "int8", "a test")


class Double:
    """An engine of this load, which `refuses` sessions or takes them; `asked` counts the sessions that came."""

    def __init__(self, load: float = 0.0, refuses: ew.Error | None = None) -> None:
        self.load = load
        self.refuses = refuses
        self.asked = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def running(self, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Server]:
        async with serve(self._take, host, port, process_request=self._answer) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield server

    async def _take(self, connection: ServerConnection) -> None:
        await connection.recv()
        self.asked += 1
        await connection.send((self.refuses or ew.Opened(recognizer=RECOGNIZER)).to_json())
        async for message in connection:
            if isinstance(message, str) and isinstance(ended := ew.gateway_messages.validate_json(message), ew.End):
                await connection.send(ew.Final.nothing(ended.segment).to_json())

    def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.path == "/v1/stream":
            return None
        body = {"status": "ready", "recognizer": asdict(RECOGNIZER), "load": self.load}
        return connection.respond(HTTPStatus.OK, json.dumps(body))
