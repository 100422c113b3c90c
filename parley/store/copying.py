"""A recording of audio that its owner has transcribed already: it gets what the other recording has."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parley.store import queries
from parley.store.recordings import AudioPart, recording_uuid

_queries: Any = queries.load(Path(__file__).parent / "copying.sql")


async def copy_transcript(
    connection: Any, owner: str, recording_id: str, *, original: str, parts: Sequence[AudioPart]
) -> bool:
    """In the caller's transaction the recording gets the finals of `original` and `parts`, copies of its audio in blobs
    of its own; it is finished then, and names the original. False where that is gone, or has changed since.
    """
    keys = {"owner": owner, "id": recording_uuid(recording_id), "original": recording_uuid(original)}
    if not await _queries.mark_same(connection, samples=parts[-1].end if parts else 0, **keys):
        return False
    await _queries.forget_parts(connection, owner=owner, id=keys["id"])
    for part in parts:
        await _queries.copy_part(
            connection,
            owner=owner,
            id=keys["id"],
            start_sample=part.start,
            end_sample=part.end,
            blob_key=part.blob_key,
            ends_segment=part.ends_segment,
        )
    await _queries.copy_segments(connection, **keys)
    return True
