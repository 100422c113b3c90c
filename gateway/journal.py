"""Durable audio: parts of a few seconds in object storage, each with a row, acknowledged when both are written.

Invariant 2: acknowledged audio is durable audio. A part is named by its sample range, so writing it twice changes
nothing. Where the client ends a segment, a part ends too, and its row says so: whoever goes on with the recording has
to end the segment there again.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

import numpy as np

from parley import metrics
from parley.audio import SAMPLE_RATE, Samples
from parley.blobs import Blobs
from parley.durable import blob_prefix
from parley.errors import BackendError, NotFound, ParleyError
from parley.logs import get_logger
from parley.store import RecordingWriter
from parley.store.recordings import AudioPart

_RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_BACKLOG_PARTS = 15
_log = get_logger(__name__)


class Journal:
    """One recording's writer: `append` takes samples, `run` writes them part by part, `close` ends it."""

    def __init__(
        self,
        writer: RecordingWriter,
        *,
        blobs: Blobs,
        part_s: float,
        on_durable: Callable[[int], None],
        on_trouble: Callable[[BackendError], None],
    ) -> None:
        """`on_durable` is told the count of durable samples each time it grows, `on_trouble` what keeps it from it."""
        self._writer = writer
        self._blobs = blobs
        self._part_samples = int(part_s * SAMPLE_RATE)
        self._on_durable = on_durable
        self._on_trouble = on_trouble
        self._pending: deque[Samples] = deque()
        self._ends: deque[int] = deque()
        self.durable = writer.samples
        """Samples from the beginning that are durable."""
        self.end = writer.samples
        """Samples from the beginning that were taken."""
        self._wanted = 0
        self._closing = False
        self._ended = False
        self._changed = asyncio.Condition()

    async def append(self, samples: Samples) -> None:
        """Takes samples of shape (n,), int16. Waits while storage is far behind, so that memory stays bounded.

        Raises ParleyError when `run` has ended.
        """
        if self._is_full():
            async with self._changed:
                await self._changed.wait_for(lambda: self._ended or not self._is_full())
        if self._ended:
            raise ParleyError("The recording takes no more audio.", code="journal_ended", retryable=True)
        self._pending.append(samples)
        self.end += len(samples)
        if self._is_due():
            await self._wake()

    def _is_full(self) -> bool:
        return self.end - self.durable >= _BACKLOG_PARTS * self._part_samples

    async def end_segment(self) -> None:
        """The client ends the open segment here."""
        self._ends.append(self.end)
        await self._wake()

    def tail(self, start: int) -> tuple[Samples, bool]:
        """The samples from `start` on, which lies no further back than `durable`, and whether a segment ends behind.

        They reach to the end of what was taken, or to where the client first ended a segment.
        """
        end = next((end for end in self._ends if end > start), None)
        samples = np.concatenate([np.empty(0, np.int16), *self._pending])[start - self.durable :]
        return (samples, False) if end is None else (samples[: end - start], True)

    async def until_durable(self, sample: int) -> None:
        """Waits until everything before `sample` is durable; what of it is pending is written at once."""
        if self.durable < sample:
            async with self._changed:
                self._wanted = max(self._wanted, sample)
                self._changed.notify_all()
                await self._changed.wait_for(lambda: self.durable >= sample)

    async def close(self) -> None:
        """No more audio comes: what is left becomes the last part. `run` ends when it is written."""
        self._closing = True
        await self._wake()

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def run(self) -> None:
        """Writes parts until closed and done. A storage that is away is tried again for ever.

        Raises Superseded where another session has the recording, NotFound where it was deleted.
        """
        try:
            await self._write_all()
        finally:
            self._ended = True
            await self._wake()

    async def _write_all(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(self._is_due)
            if self._ends and self._ends[0] <= self.durable:
                end = self._ends.popleft()
                await self._insist(partial(self._writer.mark_part, end))
            elif self.durable < self.end:
                await self._write_part()
            else:
                return

    def _is_due(self) -> bool:
        waiting = self.end - self.durable
        wanted = waiting > 0 and self.durable < self._wanted
        return self._closing or wanted or bool(self._ends) or waiting >= self._part_samples

    async def _write_part(self) -> None:
        """All that waits, or as far as to where a segment ends, as one part."""
        started = time.perf_counter()
        start, end = self.durable, self._ends[0] if self._ends else self.end
        ends_segment = bool(self._ends)
        prefix = blob_prefix(self._writer.recording_id)
        key = f"{prefix}/audio/{start:012d}-{end:012d}-{self._writer.fence}.pcm"
        pieces = [piece.astype("<i2", copy=False).data.cast("B") for piece in self._first(end - start)]
        await self._insist(partial(self._store, AudioPart(start, end, key, ends_segment), pieces))
        self._let_go(end - start)
        if ends_segment:
            self._ends.popleft()
        self.durable = end
        metrics.JOURNAL_WRITE_S.observe(time.perf_counter() - started)
        metrics.JOURNAL_SECONDS.inc((end - start) / SAMPLE_RATE)
        self._on_durable(end)
        await self._wake()

    async def _store(self, part: AudioPart, pieces: Sequence[memoryview]) -> None:
        await self._blobs.put(part.blob_key, *pieces)
        try:
            await self._writer.add_part(part)
        except NotFound:
            await self._blobs.delete_prefix(blob_prefix(self._writer.recording_id))
            raise

    def _first(self, samples: int) -> Iterator[Samples]:
        """The first so many pending samples, piece by piece: put together they would be copied."""
        for piece in self._pending:
            if samples <= 0:
                return
            yield piece[:samples]
            samples -= len(piece)

    def _let_go(self, samples: int) -> None:
        while samples:
            first = self._pending.popleft()
            if len(first) > samples:
                self._pending.appendleft(first[samples:])
            samples -= min(samples, len(first))

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        for attempt in itertools.count():
            try:
                await write()
            except BackendError as error:
                wait_s = _RETRY_S[min(attempt, len(_RETRY_S) - 1)]
                self._on_trouble(error)
                _log.warning("audio not written", error=error.message, retry_in_s=wait_s)
                await asyncio.sleep(wait_s)
            else:
                return
