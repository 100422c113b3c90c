"""One client of a round: it speaks at the pace of a microphone, and notes all that it was told, and when."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.chaos.tap import Overheard
from benchmarks.chaos.voices import CHUNK_S, Voice
from parley import wire
from parley.client import LiveClient, Reconnecting, Resumed, SessionEvent, open_session
from parley.errors import ParleyError

_BEGIN_TIMEOUT_S, _BEGIN_RETRY_S = 60.0, 0.5


@dataclass(frozen=True, slots=True)
class Shown:
    """What was on the screen of a segment from `at_s` on, seconds since the round began."""

    at_s: float
    segment: int
    text: str
    is_final: bool


@dataclass(slots=True)
class Heard:
    """All that a client was told. `pace`: how much faster than life it spoke; `began_s`: from when on, seconds since
    the round began; `overheard`: what was said on each of its connections; `trouble`: why it did not end well."""

    voice: Voice
    pace: float = 1.0
    began_s: float = 0.0
    recording_id: str = ""
    shown: list[Shown] = field(default_factory=list)
    finals: list[wire.Final] = field(default_factory=list)
    reconnects: int = 0
    resumes: int = 0
    is_closed: bool = False
    errors: list[str] = field(default_factory=list)
    overheard: list[Overheard] = field(default_factory=list)
    trouble: str = ""

    def is_speaking(self, at_s: float) -> bool:
        """Whether there was speech in what it said then."""
        return bool(self.recording_id) and self.voice.speaks_at((at_s - self.began_s) * self.pace)


class Speaker:
    """Speaks `voice` to the server at `urls`, `pace` times as fast as life. `epoch`: when the round began, on the
    monotonic clock."""

    def __init__(self, urls: Sequence[str], voice: Voice, *, pace: float, epoch: float) -> None:
        self._urls = tuple(urls)
        self._epoch = epoch
        self.heard = Heard(voice, pace)

    async def speak(self) -> Heard:
        """From `start` to `closed`. What goes wrong stands in `trouble`."""
        audio_format = self.heard.voice.audio_format
        start = wire.Start(
            sample_rate=audio_format.sample_rate,
            encoding=audio_format.encoding,
            channels=audio_format.channels,
            language="en",
        )
        try:
            async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
                session = await self._begin(stack, start)
                sending = tasks.create_task(self._send(session))
                async for message in session:
                    self._note(message)
                sending.cancel()
        except* ParleyError as errors:
            self.heard.trouble = "; ".join(f"{type(error).__name__}: {error}" for error in errors.exceptions)
        if not self.heard.is_closed and not self.heard.trouble:
            self.heard.trouble = f"ended by {' '.join(self.heard.errors[-1:])}"
        return self.heard

    async def _begin(self, stack: contextlib.AsyncExitStack, start: wire.Start) -> LiveClient:
        """Opens the session; where it is refused before there was any, a person tries again."""
        deadline = time.monotonic() + _BEGIN_TIMEOUT_S
        while True:
            try:
                session = await stack.enter_async_context(open_session(self._urls, start))
            except ParleyError as error:
                if not error.retryable or time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_BEGIN_RETRY_S)
            else:
                self.heard.recording_id = session.ready.recording_id
                self.heard.began_s = self._now()
                return session

    async def _send(self, session: LiveClient) -> None:
        voice = self.heard.voice
        for number, chunk in enumerate(voice.chunks, start=1):
            due_s = self.heard.began_s + number * CHUNK_S / self.heard.pace
            await asyncio.sleep(max(0.0, due_s - self._now()))
            await session.send_audio(chunk)
            if number in voice.finalizes:
                await session.send(wire.Finalize())
        await session.send(wire.Stop())

    def _note(self, message: SessionEvent) -> None:
        match message:
            case Reconnecting():
                self.heard.reconnects += 1
            case Resumed():
                self.heard.resumes += 1
            case wire.Partial():
                text = f"{message.committed} {message.tentative}".strip()
                self.heard.shown.append(Shown(self._now(), message.segment, text, is_final=False))
            case wire.Final():
                self.heard.finals.append(message)
                self.heard.shown.append(Shown(self._now(), message.segment, message.text, is_final=True))
            case wire.Closed():
                self.heard.is_closed = True
            case wire.Error():
                self.heard.errors.append(message.code)
            case _:
                pass

    def _now(self) -> float:
        return time.monotonic() - self._epoch
