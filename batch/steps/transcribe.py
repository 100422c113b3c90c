"""The step `transcribe`: a file becomes a recording with audio and a transcript, as if it had been said live."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

from batch.pipeline import StepContext, StepResult, step
from batch.transcription.language import FIRST
from batch.transcription.record import Record
from batch.transcription.same import content_key, link, original_of
from batch.transcription.source import Decoding, LocalSource, expected_samples, local_source
from batch.transcription.speech import Piece, Speech, detector
from batch.transcription.spending import Spending
from batch.transcription.transcriber import Order, Run, quality_of
from parley.audio import SAMPLE_RATE
from parley.errors import ClientError
from parley.segmenter import Checkpoint
from parley.store import RecordingWriter
from parley.store.sources import Sources
from parley.tasks import to_its_end


@step("transcribe", kind="stt", needs={"source"}, gives={"audio", "transcript"})
async def transcribe(context: StepContext) -> StepResult:
    """Goes on where the stored finals end. What the file itself makes impossible leaves the recording `interrupted`."""
    writer = await RecordingWriter.current(context.tools.pool, context.owner, context.recording_id)
    if writer.state == "finished":  # by an attempt whose success was not noted, or by another job
        return await _told(context)
    if writer.state == "interrupted":
        async with context.lease.transaction() as connection:
            await writer.on(connection).reopen()
        writer = await RecordingWriter.current(context.tools.pool, context.owner, context.recording_id)
    try:
        return await _transcribe(context, writer)
    except ClientError:
        async with context.lease.transaction() as connection:
            await writer.on(connection).finish("interrupted")
        raise


async def _transcribe(context: StepContext, writer: RecordingWriter) -> StepResult:
    quality = quality_of(context.options, context.step.priority)
    transcriber = context.tools.transcriber
    await transcriber.check(quality)
    async with _source(context) as source:
        key = content_key(source.sha256, context.options, transcriber.label(quality))
        if (original := await original_of(context, key)) is not None:
            await link(context, original, writer.fence)
            return await _told(context)
        first = await context.recordings.segments(context.recording_id, count=FIRST)
        purse = Spending(context)
        run = transcriber.run(Order(context.options, quality, purse, first))
        decoding = await _write_down(context, source, run, writer)

    async def finish(connection: Any) -> None:
        await writer.on(connection).finish("finished")

    told = {**run.writer, "ends_early": decoding.ends_early}
    return replace(await _told(context, **told), usage=run.usage, write=finish)


@contextlib.asynccontextmanager
async def _source(context: StepContext) -> AsyncIterator[LocalSource]:
    sources = Sources(context.tools.pool, context.owner)
    source = await sources.get(context.recording_id)
    parts = await sources.parts(context.recording_id)
    async with local_source(context.tools.blobs, source, parts) as local:
        yield local


async def _write_down(context: StepContext, source: LocalSource, run: Run, writer: RecordingWriter) -> Decoding:
    """Audio and finals, from the last stored one on."""
    expected = await expected_samples(source)
    begin = Checkpoint.after(await writer.last_final())
    record = Record(context.lease, context.tools.blobs, context.recordings, writer, begin, expected=expected)
    speech = Speech(await to_its_end(detector), context.tools.settings.gateway.segmenter, begin)
    decoding = Decoding(source)
    async with contextlib.aclosing(run.finals(_pieces(decoding, speech, record))) as finals:
        async for final in finals:
            await record.add(final)
    await record.store()
    return decoding


async def _pieces(decoding: Decoding, speech: Speech, record: Record) -> AsyncGenerator[Piece, None]:
    """The speech in the file, whose audio becomes durable on the way."""
    position = 0
    async with contextlib.aclosing(decoding.chunks()) as chunks:
        async for chunk in chunks:
            await record.append(chunk)
            fresh = chunk[max(0, speech.begin - position) :]
            position += len(chunk)
            for piece in await to_its_end(partial(speech.feed, fresh)):
                record.found()
                yield piece
    await record.end()
    for piece in await to_its_end(speech.finish):
        record.found()
        yield piece


async def _told(context: StepContext, **more: Any) -> StepResult:
    """What the job says of the recording as it is now; of `more`, what is not empty."""
    recording = await context.recordings.get(context.recording_id)
    segments = await context.recordings.count_segments(context.recording_id)
    told = {
        "audio_s": round(recording.samples / SAMPLE_RATE, 3),
        "segments": segments,
        "no_speech": not segments,
        "same_as": recording.same_as,
        **more,
    }
    return StepResult({name: value for name, value in told.items() if value or name == "segments"})
