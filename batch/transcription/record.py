"""A recording as its step writes it: audio in parts, finals in order, all under the step's lease.

Parts lie on a grid of a minute, whoever writes them, so a part that is written twice is the same part. A final is
stored once all audio up to where the search goes on behind it is durable.
"""

import asyncio
import io
from collections import deque

import numpy as np
import soundfile

from batch.claims import Lease, LeaseLost
from batch.transcription.transcriber import Final
from parley.audio import SAMPLE_RATE, Samples
from parley.blobs import Blobs
from parley.durable import FLAC, blob_prefix
from parley.errors import NotFound
from parley.segmenter import Checkpoint
from parley.store import RecordingWriter
from parley.store.recordings import AudioPart, Recordings
from parley.tasks import to_its_end

PART = 60 * SAMPLE_RATE
_FINALS_AT_ONCE = 32
_AT_LEAST_EVERY_S = 2.0
"""Between two transactions with finals, and two notes of progress: people see it move, and the database hardly does."""


class Record:
    """What one attempt writes. Raises LeaseLost once the step is another's, BackendError where stores are away."""

    def __init__(
        self,
        lease: Lease,
        blobs: Blobs,
        recordings: Recordings,
        writer: RecordingWriter,
        begin: Checkpoint,
        *,
        expected: int,
    ) -> None:
        """`begin`: where the stored finals end. `expected`: samples that the audio is thought to have."""
        self._lease = lease
        self._recordings = recordings
        self._blobs = blobs
        self._writer = writer
        self._expected = max(1, expected)
        self._shown = begin.position
        self._due = 0  # finals of pieces that were found
        self._durable = writer.samples
        self._position = 0  # of what was appended
        self._waiting: list[Samples] = []
        self._finals: deque[Final] = deque()
        self._stored_at = self._shown_at = asyncio.get_running_loop().time()

    @property
    def durable(self) -> int:
        """Samples from the beginning that are in object storage."""
        return self._durable

    async def append(self, samples: Samples) -> None:
        """The next samples of the file, int16 of shape (n,), from its first one on; what is durable is passed over."""
        fresh = samples[max(0, self._durable - self._position) :]
        self._position += len(samples)
        if len(fresh):
            self._waiting.append(fresh)
        while self._position - self._durable >= PART:
            await self._write_part(PART)
        if not self._due:  # nobody speaks, or what is stored is passed over
            await self._show(self._position)

    async def end(self) -> None:
        """No more audio comes: what is left becomes the last part."""
        if self._position > self._durable:
            await self._write_part(self._position - self._durable)

    def found(self) -> None:
        """There is another piece of speech; its final will come."""
        self._due += 1

    async def add(self, final: Final) -> None:
        """The next final; it is stored with others, soon."""
        self._finals.append(final)
        self._due -= 1
        now = asyncio.get_running_loop().time()
        if len(self._finals) >= _FINALS_AT_ONCE or now - self._stored_at >= _AT_LEAST_EVERY_S:
            await self.store()

    async def store(self) -> None:
        """Stores the finals that do not reach beyond the durable audio."""
        self._stored_at = asyncio.get_running_loop().time()
        storable = []
        for final in self._finals:
            if max(final.segment.end, final.checkpoint.position) > self._durable:
                break
            storable.append(final)
        if not storable:
            return
        async with self._lease.transaction() as connection:
            writer = self._writer.on(connection)
            for final in storable:
                checkpoint = final.checkpoint
                await writer.add_segment(final.segment, resume_at=checkpoint.position, continues=checkpoint.continues)
        for _ in storable:
            self._finals.popleft()
        await self._show(storable[-1].checkpoint.position)

    async def _show(self, position: int) -> None:
        """Says how far it is, not too often."""
        now = asyncio.get_running_loop().time()
        if position > self._shown and now - self._shown_at >= _AT_LEAST_EVERY_S:
            self._shown, self._shown_at = position, now
            await self._lease.progress(min(0.99, position / self._expected), "transcribing")

    async def _write_part(self, count: int) -> None:
        joined = np.concatenate(self._waiting)
        start, end = self._durable, self._durable + count
        key = f"{blob_prefix(self._writer.recording_id)}/audio/{start:012d}-{end:012d}-{self._writer.fence}{FLAC}"
        data = await to_its_end(lambda: flac(joined[:count]))
        await self._blobs.put(key, data)
        try:
            async with self._lease.transaction() as connection:
                await self._writer.on(connection).add_part(AudioPart(start, end, key))
        except LeaseLost as error:
            if error.code == "deleted":
                await self._forget_if_deleted()
            raise
        self._durable = end
        self._waiting = [joined[count:]] if len(joined) > count else []

    async def _forget_if_deleted(self) -> None:
        """Leaves nothing in storage of a recording that was deleted meanwhile."""
        try:
            await self._recordings.get(self._writer.recording_id)
        except NotFound:
            await self._blobs.delete_prefix(blob_prefix(self._writer.recording_id))


def flac(samples: Samples) -> bytes:
    """`samples`, int16 mono at 16 kHz of shape (n,), as a FLAC file; the same ones give the same bytes."""
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
    return file.getvalue()
