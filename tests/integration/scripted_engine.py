"""An engine as a script behind a real WebSocket, which speaks `parley/engine_wire.py`: a double, for what real engines
do only when they break."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from http import HTTPStatus

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from parley import engine_wire as ew
from parley.transcript import Recognizer, Word

RECOGNIZER = Recognizer("double", "none", "cpu", "int8", "a test")
Script = Callable[["Conversation"], Awaitable[None]]


class Conversation:
    """One connection as the double sees it."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self.audio = b""

    async def next(self) -> ew.GatewayMessage:
        """The next text message; audio in front of it is kept in `audio`."""
        while isinstance(message := await self._connection.recv(), bytes):
            self.audio += message
        return ew.gateway_messages.validate_json(message)

    async def hear(self, samples: int) -> None:
        while len(self.audio) < 2 * samples:
            message = await self._connection.recv()
            assert isinstance(message, bytes)
            self.audio += message

    async def say(self, *messages: ew.EngineMessage) -> None:
        for message in messages:
            await self._connection.send(message.to_json())

    async def lose(self) -> None:
        self._connection.transport.abort()
        await self.closed()

    async def closed(self) -> None:
        await self._connection.wait_closed()


def final(segment: int, *texts: str) -> ew.Final:
    words = tuple(Word(text, 10, 20, 0.5) for text in texts)
    return ew.Final(segment=segment, words=words, language="en", confidence=0.5, suspect=False)


@contextlib.asynccontextmanager
async def scripted_engine(*scripts: Script) -> AsyncIterator[str]:
    """A double whose n-th connection follows the n-th script after `open`; its address."""
    left, broken = list(scripts), []

    async def handle(connection: ServerConnection) -> None:
        conversation = Conversation(connection)
        assert isinstance(await conversation.next(), ew.Open)
        await conversation.say(ew.Opened(recognizer=RECOGNIZER))
        try:
            await left.pop(0)(conversation)
        except AssertionError as error:
            broken.append(error)

    async with serve(handle, "127.0.0.1", 0, process_request=answer_http) as server:
        yield address_of(server)
    assert broken == []


def answer_http(connection: ServerConnection, request: Request) -> Response | None:
    """`/readyz`, as an engine has it."""
    if request.path == "/v1/stream":
        return None
    return connection.respond(HTTPStatus.OK, json.dumps({"status": "ready", "recognizer": asdict(RECOGNIZER)}))


def address_of(server: Server) -> str:
    return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
