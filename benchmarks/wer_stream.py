"""Clips played into a server as a microphone would, several at once; and what a reader saw of each."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from benchmarks.report import progress
from benchmarks.scoring import Shown
from benchmarks.speech import Speech
from benchmarks.streams import Pacer
from benchmarks.wer_clips import Clip
from parley import wire
from parley.audio import SAMPLE_RATE
from parley.client import LiveClient, open_session
from parley.errors import BackendError


def play_all(url: str, clips: Sequence[Clip], streams: int) -> list[list[Shown]]:
    """Plays all clips, `streams` at once, and returns the segments of each.

    Raises ParleyError where a clip could not be heard to its end: figures without it would not be comparable.
    """
    return asyncio.run(_play_all(url, clips, streams))


async def _play_all(url: str, clips: Sequence[Clip], streams: int) -> list[list[Shown]]:
    places = asyncio.Semaphore(streams)
    heard = 0

    async def one(clip: Clip) -> list[Shown]:
        nonlocal heard
        async with places:
            segments = await _play(url, clip)
        heard += 1
        progress(f"  {heard}/{len(clips)} {clip.name}")
        return segments

    try:
        async with asyncio.TaskGroup() as tasks:
            longest_first = sorted(range(len(clips)), key=lambda index: -len(clips[index].samples))
            playing = {index: tasks.create_task(one(clips[index])) for index in longest_first}
    except ExceptionGroup as errors:
        raise _first(errors) from None
    return [playing[index].result() for index in range(len(clips))]


async def _play(url: str, clip: Clip) -> list[Shown]:
    """The segments of a clip, in order."""
    segments: defaultdict[int, Shown] = defaultdict(Shown)
    async with (
        open_session(url, wire.Start(sample_rate=SAMPLE_RATE, language=clip.language)) as session,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(_send(session, clip))
        async for message in session:
            match message:
                case wire.Partial():
                    segments[message.segment].partials.append((message.committed, message.tentative))
                case wire.Final():
                    segments[message.segment].final = message.text
                case wire.Error(code="no_words"):
                    pass  # of noise, that is the answer
                case wire.Error():
                    raise BackendError(f"{clip.name}: {message.message}", code=message.code)
                case _:
                    pass
    return [segments[number] for number in sorted(segments)]


async def _send(session: LiveClient, clip: Clip) -> None:
    pacer = Pacer(Speech(clip.played, ()), lambda speech: speech.samples.data.cast("B"))
    pacer.begin()
    await pacer.send_all(session.send_audio)
    await session.send(wire.Stop())


def _first(errors: ExceptionGroup[Exception]) -> Exception:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error
