"""Audio that its owner has had transcribed already, with the same settings: the result is linked, and says so."""

import hashlib
import json
from collections.abc import Sequence

from batch.pipeline import StepContext
from parley.blobs import Blobs
from parley.durable import blob_prefix
from parley.errors import AtCapacity, NotFound
from parley.jobs import JobOptions
from parley.store.copying import copy_transcript
from parley.store.jobs import Jobs
from parley.store.recordings import AudioPart

_LOOK_AGAIN_S = 2.0


class UnderWay(AtCapacity):
    """The same audio is being written down in another recording."""

    code = "same_audio_under_way"


def content_key(sha256: str, options: JobOptions, label: str) -> str:
    """What makes two jobs' transcripts the same: the file's bytes, what was asked for, and who writes (`label`)."""
    settings = {"language": options.language, "vocabulary": options.vocabulary, "writer": label}
    return hashlib.sha256(json.dumps([sha256, settings], sort_keys=True).encode()).hexdigest()


async def original_of(context: StepContext, key: str) -> str | None:
    """The recording that has this content already; None where this job is the first, and later ones find it.

    Raises UnderWay while another job is at it: its result is this one's too.
    """
    job_id = await context.lease.same_content(key)
    if job_id is None:
        return None
    try:
        original = (await Jobs(context.tools.pool, context.owner).get(job_id)).recording_id
        if original and original != context.recording_id and await _is_finished(context, original):
            return original
    except NotFound:  # deleted since
        pass
    raise UnderWay(
        "The same audio is being written down for another job; its transcript will be this recording's too.",
        retry_after_s=_LOOK_AGAIN_S,
    )


async def _is_finished(context: StepContext, recording_id: str) -> bool:
    return (await context.recordings.get(recording_id)).state == "finished"


async def link(context: StepContext, original: str, fence: int) -> None:
    """The recording gets copies of the original's audio, under its own `fence`, and its finals; it is finished then.

    Raises UnderWay where the original changed or went away meanwhile.
    """
    try:
        samples = (await context.recordings.get(original)).samples
        parts = await context.recordings.parts(original, 0, samples)
        copies = await _copy_audio(context.tools.blobs, context.recording_id, parts, fence)
    except NotFound as error:  # it was deleted, or compaction has put one file in the place of many
        raise _changed() from error
    async with context.lease.transaction() as connection:
        if not await copy_transcript(connection, context.owner, context.recording_id, original=original, parts=copies):
            raise _changed()


def _changed() -> UnderWay:
    return UnderWay("The other recording of the same audio has just been changed.", retry_after_s=0.0)


async def _copy_audio(blobs: Blobs, recording_id: str, parts: Sequence[AudioPart], fence: int) -> list[AudioPart]:
    copies = []
    for part in parts:
        form = part.blob_key.rpartition(".")[2]
        key = f"{blob_prefix(recording_id)}/audio/{part.start:012d}-{part.end:012d}-{fence}.{form}"
        await blobs.copy(part.blob_key, key)
        copies.append(AudioPart(part.start, part.end, key, part.ends_segment))
    return copies
