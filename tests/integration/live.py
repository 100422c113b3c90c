"""Driving a live session in tests: what to send, and everything that came back."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from parley import wire
from parley.audio import SAMPLE_RATE, Samples
from parley.client import LiveClient, Resumed, open_session
from parley.media import decode_file
from tests.conftest import Clip

START = {"type": "start", "sample_rate": SAMPLE_RATE}
_M = TypeVar("_M", bound=wire.ServerMessage)


@dataclass(slots=True)
class Heard:
    """All messages of a session, and the code that the server closed with."""

    messages: list[wire.ServerMessage] = field(default_factory=list)
    close_code: int | None = None

    def of(self, kind: type[_M]) -> list[_M]:
        return [message for message in self.messages if isinstance(message, kind)]

    @property
    def text(self) -> str:
        return " ".join(final.text for final in self.of(wire.Final) if final.text)

    @property
    def error_codes(self) -> list[str]:
        return [error.code for error in self.of(wire.Error)]

    @property
    def recording_id(self) -> str:
        return self.of(wire.Ready)[0].recording_id


def samples_of(clip: Clip) -> Samples:
    return np.concatenate(list(decode_file(clip.path)))


def chunked(samples: Samples, size: int = 1600) -> list[bytes]:
    return [samples[start : start + size].tobytes() for start in range(0, len(samples), size)]


async def converse(
    base_url: str,
    *items: dict[str, Any] | str | bytes | float,
    headers: dict[str, str] | None = None,
) -> Heard:
    """Sends each item (an object, raw text, audio, or seconds to wait) and reads until the server closes."""
    heard = Heard()
    url = base_url.replace("http", "ws", 1) + "/ws/s2t"
    async with connect(url, additional_headers=headers, max_size=None, compression=None) as connection:
        sending = asyncio.create_task(_send(connection, items))
        try:
            async with asyncio.timeout(60):
                async for text in connection:
                    heard.messages.append(wire.parse_server_message(str(text)))
        except ConnectionClosed:
            pass
        finally:
            sending.cancel()
        heard.close_code = connection.close_code
    return heard


async def speak_while(base_url: str, clip: Clip, happens: Callable[[], None]) -> Heard:
    """Speaks the clip at twice the pace of life; after a quarter of it something `happens`."""
    heard = Heard()
    async with connect(base_url.replace("http", "ws", 1) + "/ws/s2t", compression=None) as connection:
        sending = asyncio.create_task(_speak(connection, chunked(samples_of(clip)), happens))
        async with asyncio.timeout(90):
            async for text in connection:
                heard.messages.append(wire.parse_server_message(str(text)))
        await sending
        heard.close_code = connection.close_code
    return heard


async def _speak(connection: ClientConnection, chunks: list[bytes], happens: Callable[[], None]) -> None:
    await connection.send(json.dumps(START))
    for index, chunk in enumerate(chunks):
        await connection.send(chunk)
        await asyncio.sleep(0.05)
        if index == len(chunks) // 4:
            happens()
    await connection.send(json.dumps({"type": "stop"}))


async def _send(connection: Any, items: Iterable[dict[str, Any] | str | bytes | float]) -> None:
    try:
        for item in items:
            if isinstance(item, float):
                await asyncio.sleep(item)
            else:
                await connection.send(json.dumps(item) if isinstance(item, dict) else item)
    except ConnectionClosed:
        pass


async def speak(base_url: str, clip: Clip, **start: Any) -> Heard:
    """A clip from start to stop, as fast as it is taken."""
    return await converse(base_url, START | start, *chunked(samples_of(clip)), {"type": "stop"})


@dataclass(slots=True)
class Followed:
    """The finals of a session of the Python client, and when the client had to begin anew and got text again."""

    finals: list[wire.Final] = field(default_factory=list)
    resumed: int = 0
    text_at_s: list[float] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join(final.text for final in self.finals if final.text)

    @property
    def segments(self) -> list[int]:
        return [final.segment for final in self.finals]


async def follow(urls: Sequence[str], clip: Clip, *, pace: float = 2.0) -> Followed:
    """Speaks the clip through the Python client, which comes back by itself, at `pace` times the pace of life."""
    heard = Followed()
    async with open_session(urls, wire.Start(sample_rate=SAMPLE_RATE)) as session:
        sending = asyncio.create_task(_speak_on(session, chunked(samples_of(clip)), pace))
        async with asyncio.timeout(90):
            async for event in session:
                heard.resumed += isinstance(event, Resumed)
                if isinstance(event, wire.Final):
                    heard.finals.append(event)
                if isinstance(event, wire.Partial | wire.Final):
                    heard.text_at_s.append(time.monotonic())
        await sending
    return heard


async def eventually(holds: Callable[[], Awaitable[bool]], within_s: float = 30.0) -> None:
    """Asks ten times a second until it holds."""
    for _ in range(round(within_s * 10)):
        if await holds():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"it did not come to pass within {within_s:g} s")


async def _speak_on(session: LiveClient, chunks: list[bytes], pace: float) -> None:
    for chunk in chunks:
        await session.send_audio(chunk)
        await asyncio.sleep(0.1 / pace)
    await session.send(wire.Stop())
