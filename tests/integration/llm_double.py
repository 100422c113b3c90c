"""A double of language model services: it speaks their real protocols over a real socket, by a script.

OpenAI's (and Mistral's, and everybody's who is compatible) at `/chat/completions`, Anthropic's at `/v1/messages`,
Ollama's at `/api/chat`, with and without tools. Each request takes the next entry of the script; the last one stays.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Says:
    """An answer: an object, text, or what is made of the request."""

    answer: dict[str, Any] | str | Callable[[dict[str, Any]], dict[str, Any] | str]
    tokens_in: int = 100
    tokens_out: int = 20
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """An error."""

    code: int
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "as the script says"


@dataclass(frozen=True, slots=True)
class Never:
    """Nothing, for as long as the client waits."""


@dataclass(frozen=True, slots=True)
class BreaksOff:
    """Half an answer, then the connection is closed."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """200, and a body that is no JSON."""


Entry = Says | Status | Never | BreaksOff | Garbage


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent. `headers` have small names."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def key(self) -> str:
        return self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def system(self) -> str:
        said = [_text(each["content"]) for each in self.body["messages"] if each["role"] == "system"]
        return "\n".join([_text(self.body.get("system", "")), *said])

    @property
    def user(self) -> str:
        """What the first message of the user says."""
        return next(_text(each["content"]) for each in self.body["messages"] if each["role"] == "user")


class LLMDouble:
    """`requests` is what came, in order; `asked` is set by the first, `left` by a client that leaves a silence."""

    def __init__(self, *script: Entry, by_key: Mapping[str, Entry] | None = None) -> None:
        self.script = list(script)
        self.by_key = dict(by_key or {})
        self.requests: list[Request] = []
        self.asked, self.left = asyncio.Event(), asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["LLMDouble"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            request = await _read(reader)
            self.requests.append(request)
            self.asked.set()
            await self._answer(request, self._next(request), reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def _next(self, request: Request) -> Entry:
        if request.key in self.by_key:
            return self.by_key[request.key]
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    async def _answer(
        self, request: Request, entry: Entry, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match entry:
            case Status(code, headers, message):
                body = {"type": "error", "error": {"message": message, "type": "scripted", "code": "scripted"}}
                _send(writer, code, json.dumps(body).encode(), headers)
            case Never():
                await reader.read()
                self.left.set()
            case Garbage():
                _send(writer, 200, b"<html>a proxy's page</html>")
            case BreaksOff():
                _send(writer, 200, _wire(request, Says({"title": "half of it"})), whole=False)
            case Says():
                _send(writer, 200, _wire(request, entry))
        await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(first.split(" ")[1], headers, json.loads(body or b"{}"))


def _send(
    writer: asyncio.StreamWriter, code: int, body: bytes, headers: Mapping[str, str] | None = None, whole: bool = True
) -> None:
    lines = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
    lines |= dict(headers or {})
    head = f"HTTP/1.1 {code} Scripted\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    writer.write(head.encode() + b"\r\n" + (body if whole else body[: len(body) // 2]))


def _wire(request: Request, says: Says) -> bytes:
    answer = says.answer(request.body) if callable(says.answer) else says.answer
    if request.path.endswith("/v1/messages"):
        return json.dumps(_anthropic(request, says, answer)).encode()
    if request.path.endswith("/api/chat"):
        return json.dumps(_ollama(request, says, answer)).encode() + b"\n"
    return json.dumps(_openai(request, says, answer)).encode()


def _openai(request: Request, says: Says, answer: dict[str, Any] | str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": _as_text(answer)}
    if tools := request.body.get("tools"):
        function = {"name": tools[0]["function"]["name"], "arguments": _as_text(answer)}
        message |= {"content": "", "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
    return {
        "id": "answer-1",
        "object": "chat.completion",
        "created": 0,
        "model": request.body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "length" if says.cut else "stop"}],
        "usage": {
            "prompt_tokens": says.tokens_in,
            "completion_tokens": says.tokens_out,
            "total_tokens": says.tokens_in + says.tokens_out,
        },
    }


def _anthropic(request: Request, says: Says, answer: dict[str, Any] | str) -> dict[str, Any]:
    content: dict[str, Any] = {"type": "text", "text": _as_text(answer)}
    if (tools := request.body.get("tools")) and isinstance(answer, dict):
        content = {"type": "tool_use", "id": "toolu_1", "name": tools[0]["name"], "input": answer}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": request.body["model"],
        "content": [content],
        "stop_reason": "max_tokens" if says.cut else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": says.tokens_in, "output_tokens": says.tokens_out},
    }


def _ollama(request: Request, says: Says, answer: dict[str, Any] | str) -> dict[str, Any]:
    return {
        "model": request.body["model"],
        "created_at": "2026-11-28T00:00:00Z",
        "message": {"role": "assistant", "content": _as_text(answer)},
        "done": True,
        "done_reason": "length" if says.cut else "stop",
        "prompt_eval_count": says.tokens_in,
        "eval_count": says.tokens_out,
    }


def _as_text(answer: dict[str, Any] | str) -> str:
    return answer if isinstance(answer, str) else json.dumps(answer)


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content)
