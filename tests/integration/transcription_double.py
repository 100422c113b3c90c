"""A double of OpenAI's `/v1/audio/transcriptions` over a real socket, for what costs money elsewhere.

It reads what a client sends as the real one does (multipart, a FLAC file), and answers by a script.
"""

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import soundfile
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from parley.audio import Samples

Answer = Callable[["Asked"], Response | Mapping[str, Any]]


@dataclass(frozen=True)
class Asked:
    """One request."""

    fields: Mapping[str, list[str]]
    samples: Samples
    key: str


@dataclass
class Double:
    """`answers`: scripts of the next requests; from the last one on, that one again."""

    answers: list[Answer]
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    async def transcribe(self, request: Request) -> Response:
        async with request.form() as form:
            upload = form["file"]
            assert not isinstance(upload, str)
            samples, rate = soundfile.read(io.BytesIO(await upload.read()), dtype="int16")
            assert rate == 16_000
            fields = {name: [str(value) for value in form.getlist(name)] for name in form if name != "file"}
        asked = Asked(fields, np.asarray(samples), request.headers["authorization"].removeprefix("Bearer "))
        self.asked.append(asked)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        said = answer(asked)
        return said if isinstance(said, Response) else JSONResponse(dict(said))


def refusal(status: int, message: str, code: str | None = None, **headers: str) -> Answer:
    """An error in OpenAI's form."""
    body = {"error": {"message": message, "type": code or "invalid_request_error", "param": None, "code": code}}
    return lambda _asked: Response(json.dumps(body), status, headers, "application/json")


@contextlib.asynccontextmanager
async def service(*answers: Answer) -> AsyncIterator[Double]:
    double = Double(list(answers))
    app = Starlette(routes=[Route("/v1/audio/transcriptions", double.transcribe, methods=["POST"])])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        double.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", ws="none"))
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield double
        finally:
            server.should_exit = True
            await serving
