"""`parley demo` and `parley transcribe`: files through the real WebSocket, with what comes back as it comes.

The session is measured as a user feels it: how long after it was spoken a word stood on the screen.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parley import wire
from parley.audio import SAMPLE_RATE, Samples
from parley.client import LiveClient, open_session
from parley.errors import BackendError, ClientError
from parley.media import decode_file, in_chunks

CLIP = Path(__file__).parent / "assets" / "demo.flac"
_LIVE_CHUNK = SAMPLE_RATE // 10
_FAST_CHUNK = SAMPLE_RATE
"""Samples of one message: as a microphone sends them, and where nobody waits."""


@dataclass(slots=True)
class Outcome:
    """What one file gave."""

    file: str
    recording_id: str = ""
    partials: int = 0
    finals: list[wire.Final] = field(default_factory=list)
    errors: list[wire.Error] = field(default_factory=list)
    closed: bool = False
    duration_ms: int = 0
    elapsed_s: float = 0.0
    recognizer: wire.RecognizerInfo | None = None

    @property
    def text(self) -> str:
        """All finals, joined."""
        return " ".join(final.text for final in self.finals if final.text)

    def summary(self, url: str) -> dict[str, Any]:
        """What `--json` prints last; `url` is the server's."""
        return {
            "type": "summary",
            "file": self.file,
            "recording_id": self.recording_id,
            "url": f"{url}/recordings/{self.recording_id}",
            "recognizer": self.recognizer.model_dump() if self.recognizer else None,
            "partials": self.partials,
            "finals": len(self.finals),
            "text": self.text,
            "duration_ms": self.duration_ms,
            "elapsed_s": round(self.elapsed_s, 3),
            "closed": self.closed,
        }


async def stream_file(
    url: str,
    path: Path,
    *,
    real_time: bool,
    language: str | None = None,
    on_message: Callable[[wire.ServerMessage], None] = lambda _message: None,
) -> Outcome:
    """Sends the file and collects what comes back. Raises ParleyError where the session cannot be held."""
    pieces = decode_file(path)
    first = next(pieces, None)  # a file that is no audio fails before a session is opened
    outcome = Outcome(file=path.name)
    start = wire.Start(sample_rate=SAMPLE_RATE, language=language, title=path.stem[:200])
    async with open_session(url, start) as session:
        began = time.monotonic()
        outcome.recording_id, outcome.recognizer = session.ready.recording_id, session.ready.recognizer
        on_message(session.ready)
        sending = asyncio.create_task(_send(session, _with(first, pieces), real_time=real_time))
        try:
            async for message in session:
                _note(outcome, message)
                on_message(message)
        except BaseException:
            sending.cancel()
            raise
        outcome.elapsed_s = time.monotonic() - began
        await sending  # a file that breaks in the middle says so, after what was read of it is kept
    return outcome


def _with(first: Samples | None, rest: Iterator[Samples]) -> Iterator[Samples]:
    if first is not None:
        yield first
    yield from rest


async def _send(session: LiveClient, pieces: Iterator[Samples], *, real_time: bool) -> None:
    chunks = in_chunks(pieces, _LIVE_CHUNK if real_time else _FAST_CHUNK)
    try:
        async for chunk in _paced(chunks, real_time=real_time):
            await session.send_audio(chunk.astype("<i2").tobytes())
    except BackendError:
        return  # the connection is gone; whoever reads it knows why
    except ClientError:
        await session.send(wire.Stop())
        raise
    await session.send(wire.Stop())


async def _paced(chunks: Iterator[Samples], *, real_time: bool) -> AsyncIterator[Samples]:
    """Each chunk when a microphone would have it, or all as fast as they are taken."""
    began, sent = time.monotonic(), 0
    for chunk in chunks:
        sent += len(chunk)
        if real_time:
            await asyncio.sleep(max(0.0, began + sent / SAMPLE_RATE - time.monotonic()))
        yield chunk


def _note(outcome: Outcome, message: wire.ServerMessage) -> None:
    match message:
        case wire.Partial():
            outcome.partials += 1
        case wire.Final():
            outcome.finals.append(message)
        case wire.Error():
            outcome.errors.append(message)
        case wire.Closed():
            outcome.closed, outcome.duration_ms = True, message.duration_ms
        case _:
            pass


def to_json_line(value: wire.ServerMessage | dict[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value.to_json()
