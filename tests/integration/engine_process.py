"""What the engine's tests share: real clips, a real engine process, and a gateway's end of its WebSocket."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from websockets.asyncio.client import ClientConnection, connect

from parley.engine_wire import Begin, End, EngineMessage, Final, Open, Opened, Partial, engine_messages

ASSETS = Path(__file__).parents[1] / "assets" / "mini-whisper"
MODEL = ASSETS / "model"


@dataclass(frozen=True)
class Clip:
    """A clip of the fixture, `audio` as int16 bytes, and where its speech lies in seconds."""

    name: str
    text: str
    audio: bytes
    start_s: float
    end_s: float


def clips() -> list[Clip]:
    found = []
    for line in (ASSETS / "examples" / "manifest.jsonl").read_text().splitlines():
        entry = json.loads(line)
        with wave.open(str(ASSETS / "examples" / entry["file"])) as file:
            audio = file.readframes(file.getnframes())
        spoken = entry["segments"]
        text = " ".join(segment["text"] for segment in spoken)
        found.append(Clip(entry["file"], text, audio, spoken[0]["start"], spoken[-1]["end"]))
    return found


CLIPS = clips()


@contextmanager
def engine_process(tmp: Path, **environment: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A running engine on an inherited socket; gives its port and its process. Not necessarily ready."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PARLEY_")}
    alone = {"PARLEY_DATA": str(tmp), "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp / "hf")}
    with socket.create_server(("127.0.0.1", 0)) as listener, (tmp / "engine.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream_engine", "--fd", str(listener.fileno())],
            env={**inherited, **alone, **environment},
            pass_fds=[listener.fileno()],
            stderr=log,
        )
        port: int = listener.getsockname()[1]
    try:
        yield port, process
    finally:
        process.terminate()
        process.wait(10)


def wait_until_ready(port: int) -> dict[str, object]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        for _ in range(300):
            answer = client.get("/readyz")
            if answer.status_code == 200:
                ready: dict[str, object] = answer.json()
                return ready
            time.sleep(0.1)
    raise AssertionError(answer.text)


@asynccontextmanager
async def session(port: int, message: Open | None = None) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{port}/v1/stream") as ws:
        await ws.send((message or Open(session="test")).to_json())
        assert isinstance(await receive(ws), Opened)
        yield ws


async def receive(ws: ClientConnection) -> EngineMessage:
    async with asyncio.timeout(20):
        return engine_messages.validate_json(await ws.recv())


async def until_final(ws: ClientConnection) -> tuple[list[Partial], Final]:
    partials: list[Partial] = []
    while True:
        match await receive(ws):
            case Partial() as partial:
                partials.append(partial)
            case Final() as final:
                return partials, final
            case other:
                raise AssertionError(other)


async def whole(ws: ClientConnection, number: int, audio: bytes) -> Final:
    """Sends a segment at once and waits for its final."""
    await ws.send(Begin(segment=number).to_json())
    await ws.send(audio)
    await ws.send(End(segment=number, samples=len(audio) // 2).to_json())
    return (await until_final(ws))[1]
