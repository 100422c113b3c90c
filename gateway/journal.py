"""Durable audio: parts of a few seconds in object storage, each with a row, acknowledged when both are written.

Invariant 2: acknowledged audio is durable audio. A part is named by its sample range, so writing it twice changes
nothing.
"""

import asyncio
import itertools
import time
from collections.abc import Callable

import numpy as np

from parley import metrics
from parley.audio import SAMPLE_RATE, Samples
from parley.blobs import Blobs
from parley.errors import BackendError
from parley.logs import get_logger
from parley.store import Recordings
from parley.store.recordings import AudioPart

_RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_BACKLOG_PARTS = 30
_log = get_logger(__name__)


def blob_prefix(recording_id: str) -> str:
    """Where everything of one recording lies in object storage."""
    return f"recordings/{recording_id}"


class Journal:
    """One recording's writer: `append` takes samples, `run` writes them part by part, `close` ends it."""

    def __init__(
        self,
        recording_id: str,
        *,
        blobs: Blobs,
        recordings: Recordings,
        part_s: float,
        on_durable: Callable[[int], None],
        on_trouble: Callable[[BackendError], None],
    ) -> None:
        """`on_durable` is told the count of durable samples each time it grows, `on_trouble` what keeps it from it."""
        self._recording_id = recording_id
        self._blobs = blobs
        self._recordings = recordings
        self._part_samples = int(part_s * SAMPLE_RATE)
        self._on_durable = on_durable
        self._on_trouble = on_trouble
        self._pending: list[Samples] = []
        self._pending_samples = 0
        self.durable = 0
        """Samples from the beginning that are durable."""
        self._wanted = 0
        self._closing = False
        self._changed = asyncio.Condition()

    async def append(self, samples: Samples) -> None:
        """Takes samples of shape (n,), int16. Waits while storage is far behind, so that memory stays bounded."""
        if self._is_full():
            async with self._changed:
                await self._changed.wait_for(lambda: not self._is_full())
        self._pending.append(samples)
        self._pending_samples += len(samples)
        if self._pending_samples >= self._part_samples:
            async with self._changed:
                self._changed.notify_all()

    def _is_full(self) -> bool:
        return self._pending_samples >= _BACKLOG_PARTS * self._part_samples

    async def until_durable(self, sample: int) -> None:
        """Waits until everything before `sample` is durable; what of it is pending is written at once."""
        async with self._changed:
            self._wanted = max(self._wanted, sample)
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self.durable >= sample)

    async def close(self) -> None:
        """No more audio comes: what is left becomes the last part. `run` ends when it is written."""
        async with self._changed:
            self._closing = True
            self._changed.notify_all()

    async def run(self) -> None:
        """Writes parts until closed and done. A storage that is away is tried again for ever."""
        while True:
            async with self._changed:
                await self._changed.wait_for(self._is_due)
                samples, self._pending = self._pending, []
                size, self._pending_samples = self._pending_samples, 0
            if not size:
                return
            await self._write(np.concatenate(samples))
            async with self._changed:
                self._changed.notify_all()

    def _is_due(self) -> bool:
        wanted = self._pending_samples > 0 and self.durable < self._wanted
        return self._closing or wanted or self._pending_samples >= self._part_samples

    async def _write(self, samples: Samples) -> None:
        start, end = self.durable, self.durable + len(samples)
        part = AudioPart(start, end, f"{blob_prefix(self._recording_id)}/audio/{start:012d}-{end:012d}.pcm")
        data = samples.astype("<i2", copy=False).tobytes()
        for attempt in itertools.count():
            started = time.perf_counter()
            try:
                await self._blobs.put(part.blob_key, data)
                await self._recordings.add_part(self._recording_id, part)
            except BackendError as error:
                wait_s = _RETRY_S[min(attempt, len(_RETRY_S) - 1)]
                self._on_trouble(error)
                _log.warning("part not written", part=part.blob_key, error=str(error), retry_in_s=wait_s)
                await asyncio.sleep(wait_s)
            else:
                break
        metrics.JOURNAL_WRITE_S.observe(time.perf_counter() - started)
        metrics.JOURNAL_SECONDS.inc(len(samples) / SAMPLE_RATE)
        self.durable = end
        self._on_durable(end)
