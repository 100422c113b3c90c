"""Deleting a recording: its rows, and every blob that belongs to it."""

from parley.blobs import Blobs
from parley.durable import blob_prefix
from parley.store import Recordings
from parley.store.sources import source_prefix


async def remove_recording(blobs: Blobs, recordings: Recordings, recording_id: str) -> None:
    """Removes a recording that nobody is making, with its file and its jobs. Raises NotFound.

    The blobs come first, so that what failed can be tried again; and once more behind the rows, for what a compaction
    or a step put there in between: from then on those find no row, and remove their own.
    """
    await _remove_blobs(blobs, recording_id)
    await recordings.delete(recording_id)
    await _remove_blobs(blobs, recording_id)


async def _remove_blobs(blobs: Blobs, recording_id: str) -> None:
    await blobs.delete_prefix(blob_prefix(recording_id))
    await blobs.delete_prefix(source_prefix(recording_id))
