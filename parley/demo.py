"""`parley demo` and `parley transcribe`: files through the real WebSocket, with what comes back as it comes.

The session is measured as a user feels it: how long after it was spoken a word stood on the screen.
"""

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parley import wire
from parley.audio import SAMPLE_RATE, Samples
from parley.client import PATIENT, CutShort, LiveClient, Patience, Resumed, SessionEvent, open_session
from parley.errors import BackendError, ParleyError
from parley.media import EndsEarly, decode_file, in_chunks

CLIP = Path(__file__).parent / "assets" / "demo.flac"
_LIVE_CHUNK = SAMPLE_RATE // 10
_FAST_CHUNK = SAMPLE_RATE
"""Samples of one message: as a microphone sends them, and where nobody waits."""


@dataclass(slots=True)
class Outcome:
    """What one file gave.

    `url` is the gateway that had it last; `kept_samples` is what the last ack said, at 16 kHz. `lost` says why not all
    of the audio is there and what is kept; `ended_by` is the error for which the server ended the session before its
    time. `damage` says what of the file could not be decoded; empty: nothing of the kind.
    """

    file: str
    recording_id: str = ""
    url: str = ""
    partials: int = 0
    finals: list[wire.Final] = field(default_factory=list)
    errors: list[wire.Error] = field(default_factory=list)
    sent_all: bool = False
    closed: bool = False
    kept_samples: int = 0
    lost: ParleyError | None = None
    ended_by: wire.Error | None = None
    damage: str = ""
    duration_ms: int = 0
    elapsed_s: float = 0.0
    recognizer: wire.RecognizerInfo | None = None

    @property
    def text(self) -> str:
        """All finals, joined."""
        return " ".join(final.text for final in self.finals if final.text)

    @property
    def failure(self) -> str:
        """Why the file was not transcribed to its end, in one sentence; empty where it was."""
        if self.lost:
            return self.lost.message
        if self.closed and self.sent_all and not self.ended_by:
            return ""
        error = self.ended_by or (self.errors[-1] if self.errors else None)
        why = error.message if error else "The session ended before its time."
        kept_s = max(self.kept_samples / SAMPLE_RATE, self.duration_ms / 1000)
        return f"{why} {kept_s:.1f} s of the audio are kept."

    def link(self, *, stays: bool) -> str | None:
        """Where the page shows the recording; None where no server `stays` to show it."""
        return f"{self.url}/recordings/{self.recording_id}" if stays and self.recording_id else None

    def summary(self, link: str | None) -> dict[str, Any]:
        """What `--json` prints behind the file's messages; `link` is where the page shows the recording."""
        return {
            "type": "summary",
            "file": self.file,
            "recording_id": self.recording_id,
            "url": link,
            "recognizer": self.recognizer.model_dump() if self.recognizer else None,
            "partials": self.partials,
            "finals": len(self.finals),
            "text": self.text,
            "duration_ms": self.duration_ms,
            "elapsed_s": round(self.elapsed_s, 3),
            "truncated": bool(self.damage),
            "closed": self.closed,
        }


async def stream_file(
    urls: Sequence[str],
    path: Path,
    *,
    real_time: bool,
    language: str | None = None,
    patience: Patience = PATIENT,
    on_message: Callable[[SessionEvent], None] = lambda _message: None,
) -> Outcome:
    """Sends the file and collects what comes back, up to the end or to where no server came back.

    Raises ParleyError for a file that is no audio, and where no session can be opened.
    """
    pieces = decode_file(path)
    first = next(pieces)  # a file that is no audio fails before a session is opened
    outcome = Outcome(file=printable(path.name))
    start = wire.Start(sample_rate=SAMPLE_RATE, language=language, title=_title_of(path))
    async with open_session(urls, start, patience) as session:
        began = time.monotonic()
        outcome.recording_id, outcome.recognizer = session.ready.recording_id, session.ready.recognizer
        on_message(session.ready)
        sending = asyncio.create_task(_send(session, itertools.chain([first], pieces), outcome, real_time=real_time))
        try:
            async for message in session:
                _note(outcome, message)
                if isinstance(message, Resumed):
                    outcome.recognizer = session.ready.recognizer or outcome.recognizer
                on_message(message)
        except CutShort as error:
            outcome.lost = error
            _note(outcome, error.closed)
            on_message(error.closed)
        except BackendError as error:
            outcome.lost = error
        finally:
            if not outcome.closed:
                sending.cancel()
            outcome.url, outcome.recording_id = session.url, session.ready.recording_id
            outcome.ended_by = session.ended_by
        outcome.elapsed_s = time.monotonic() - began
        await asyncio.wait((sending,))
        if not sending.cancelled():
            sending.result()
    return outcome


async def _send(session: LiveClient, pieces: Iterator[Samples], outcome: Outcome, *, real_time: bool) -> None:
    """All of the file, then `stop`. What a damaged file does not hold is noted: the rest of it counts."""
    chunks = in_chunks(_noting_damage(pieces, outcome), _LIVE_CHUNK if real_time else _FAST_CHUNK)
    try:
        async for chunk in _paced(chunks, real_time=real_time):
            await session.send_audio(chunk.astype("<i2").tobytes())
        outcome.sent_all = True
        await session.send(wire.Stop())
    except BackendError:
        return  # the session is over; whoever reads it knows why


def _noting_damage(pieces: Iterator[Samples], outcome: Outcome) -> Iterator[Samples]:
    try:
        yield from pieces
    except EndsEarly as error:
        outcome.damage = error.message


async def _paced(chunks: Iterator[Samples], *, real_time: bool) -> AsyncIterator[Samples]:
    """Each chunk when a microphone would have it, or all as fast as they are taken."""
    began, sent = time.monotonic(), 0
    for chunk in chunks:
        sent += len(chunk)
        if real_time:
            await asyncio.sleep(max(0.0, began + sent / SAMPLE_RATE - time.monotonic()))
        yield chunk


def _note(outcome: Outcome, message: SessionEvent) -> None:
    match message:
        case wire.Partial():
            outcome.partials += 1
        case wire.Final():
            outcome.finals.append(message)
        case wire.RecognizerChange(recognizer=recognizer):
            outcome.recognizer = recognizer
        case wire.Ack(samples=samples):
            outcome.kept_samples = samples
        case wire.Error():
            outcome.errors.append(message)
        case wire.Closed():
            outcome.closed, outcome.duration_ms = True, message.duration_ms
        case _:
            pass


def _title_of(path: Path) -> str | None:
    """A file's name as a title: one line, no NUL; None for one of blanks alone."""
    return " ".join(printable(path.stem).replace("\0", " ").split())[:200] or None


def printable(name: str) -> str:
    """`name` without the bytes of a file's name that are no UTF-8."""
    return name.encode(errors="replace").decode()


def to_json_line(value: wire.ServerMessage | dict[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value.to_json()
