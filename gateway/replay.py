"""Durable audio through a transcription again, up to where its recording stands."""

import asyncio
from collections.abc import Iterator, Sequence

from gateway.transcription import STORE_RETRY_S, Listener, Transcription
from gateway.wiring import Gateway
from parley.durable import read_samples
from parley.errors import BackendError
from parley.logs import get_logger
from parley.store import RecordingWriter
from parley.store.recordings import AudioPart

_log = get_logger(__name__)


async def replay(
    gateway: Gateway, writer: RecordingWriter, transcription: Transcription, until: int, listener: Listener
) -> None:
    """Feeds `transcription` with what is durable, from where it stands up to sample `until`.

    Storage that is away is waited for. Raises ParleyError where the audio is missing or damaged.
    """
    while transcription.end < until:
        try:
            await _replay(gateway, writer, transcription, until)
        except BackendError as error:
            _log.warning("replay held up", error=error.message)
            listener.on_trouble(error)
            await asyncio.sleep(STORE_RETRY_S)
        else:
            listener.on_recovery("storage_unavailable")


async def _replay(gateway: Gateway, writer: RecordingWriter, transcription: Transcription, until: int) -> None:
    parts = await gateway.recordings(writer.owner).parts(writer.recording_id, transcription.end, until)
    for stretch in up_to_each_end(parts):
        end = min(stretch[-1].end, until)
        async for samples in read_samples(gateway.blobs, stretch, transcription.end, end):
            await transcription.until_rescued()
            await transcription.feed(samples)
        if stretch[-1].ends_segment and end == stretch[-1].end:
            await transcription.finalize()


def up_to_each_end(parts: Sequence[AudioPart]) -> Iterator[Sequence[AudioPart]]:
    """`parts` in stretches, each up to where the client ended a segment; the last up to the end."""
    first = 0
    for index, part in enumerate(parts, start=1):
        if part.ends_segment or index == len(parts):
            yield parts[first:index]
            first = index
