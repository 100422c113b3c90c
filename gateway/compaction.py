"""A closed recording's parts become one FLAC file, which is half as large and needs one request.

    claim ─▶ encode into a temporary file ─▶ put ─▶ read back and compare ─▶ replace the rows ─▶ delete the old blobs

Whatever dies at whatever point: the rows name the parts or the verified file, never neither, and what no row names is
deleted by the attempt after. A session that comes back to the recording wins; its parts join the file the next time.
"""

import asyncio
import contextlib
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import BinaryIO

import asyncpg
import numpy as np
import soundfile

from parley import metrics
from parley.audio import SAMPLE_RATE, Samples
from parley.blobs import Blobs
from parley.durable import FLAC, blob_prefix, read_samples
from parley.errors import BackendError, ParleyError
from parley.logs import bound, get_logger
from parley.store.recordings import AudioPart
from parley.store.upkeep import Claim, Upkeep
from parley.tasks import to_its_end

_LOOK_EVERY_S = 10.0
_SETTLED_S = 60.0
_LONGEST_PAUSE_S = 0.05
# START-END-FENCE.pcm, START-END-FENCE-ATTEMPT.flac, and what a crash left of either; before resume, START-END.pcm.
_WRITTEN_UNDER = re.compile(r"\d+-\d+(?:-(?P<fence>\d+))?(?:-\d+)?\.")
_log = get_logger(__name__)


class Compactor:
    """`run` in a task, for as long as the gateway lives. It takes one recording at a time and leaves time to others."""

    def __init__(self, pool: asyncpg.Pool, blobs: Blobs, *, settled_s: float = _SETTLED_S) -> None:
        """A recording is taken once it was closed for `settled_s`: whoever was cut off mostly comes back soon."""
        self._upkeep = Upkeep(pool)
        self._blobs = blobs
        self._settled_s = settled_s

    async def run(self) -> None:
        """Compacts whatever is due, for ever."""
        while True:
            try:
                while await self.compact_one():
                    pass
            except BackendError as error:
                _log.warning("compaction held up", error=error.message)
            except Exception:  # noqa: BLE001 — the task's outer edge: one recording must not keep the others
                _log.exception("compaction failed")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def compact_one(self) -> bool:
        """One attempt at the recording that is due longest; False where none is. Raises BackendError."""
        claim = await self._upkeep.claim_uncompacted(self._settled_s)
        if claim is None:
            return False
        with bound(recording=claim.recording_id):
            try:
                outcome = await self._compact(claim)
            except BackendError:
                metrics.COMPACTIONS.labels("held_up").inc()
                raise
            except ParleyError as error:
                outcome = "failed"
                _log.error("audio not compacted", error=error.message, code=error.code, attempt=claim.attempt)
            metrics.COMPACTIONS.labels(outcome).inc()
        return True

    async def _compact(self, claim: Claim) -> str:
        """What came of it, as the metric names it."""
        started = time.perf_counter()
        parts = await self._parts(claim)
        if not _is_one_file(parts):
            merged = AudioPart(0, claim.samples, _key_of(claim), parts[-1].ends_segment)
            if not await self._merge(claim, parts, merged):
                return "superseded"
            parts = await self._parts(claim)
        await self._sweep(claim, parts)
        await self._upkeep.mark_compacted(claim)
        took_s = round(time.perf_counter() - started, 3)
        _log.info("audio compacted", audio_s=claim.samples // SAMPLE_RATE, took_s=took_s)
        return "compacted"

    async def _parts(self, claim: Claim) -> list[AudioPart]:
        """The recording's parts. Raises ParleyError unless they are all of its audio: nothing is deleted then."""
        parts = await self._upkeep.parts(claim)
        edges = [0, *(part.end for part in parts)]
        if edges[-1] != claim.samples or any(part.start != edge for part, edge in zip(parts, edges, strict=False)):
            raise ParleyError(f"The parts do not make up {claim.samples} samples.", code="audio_missing")
        return parts

    async def _merge(self, claim: Claim, parts: Sequence[AudioPart], merged: AudioPart) -> bool:
        """Writes and verifies the file, then names it in place of the parts; False where the claim is lost.

        Its blob goes again unless it was named, so that nothing is left behind a recording that was deleted meanwhile.
        (Where PostgreSQL went away it may have been named: it stays, and the next attempt knows.)
        """
        async with _temporary_file() as file:
            await _encode(_gently(read_samples(self._blobs, parts, 0, merged.end)), file)
            file.seek(0)
            await self._blobs.put_file(merged.blob_key, file)
        try:
            await self._verify(parts, merged)
            if await self._upkeep.replace_parts(claim, parts, merged):
                return True
        except BackendError:
            raise
        except ParleyError:
            await self._blobs.delete([merged.blob_key])
            raise
        await self._blobs.delete([merged.blob_key])
        return False

    async def _verify(self, parts: Sequence[AudioPart], merged: AudioPart) -> None:
        """Raises ParleyError unless what storage gives back for the file is, sample for sample, what the parts are."""
        stored = _gently(read_samples(self._blobs, [merged], 0, merged.end))
        if not await _equal(stored, read_samples(self._blobs, parts, 0, merged.end)):
            raise ParleyError(f"{merged.blob_key!r} does not hold the samples of its parts.", code="audio_damaged")

    async def _sweep(self, claim: Claim, parts: Sequence[AudioPart]) -> None:
        """Deletes the blobs that no row names: the parts that were merged, and what crashes and old sessions left.

        What a session writes that came back meanwhile has a newer fence in its name, and stays.
        """
        named = {part.blob_key for part in parts}
        keys = await self._blobs.keys(_folder(claim))
        left = [key for key in keys if key not in named and _is_of_the_past(key, claim.fence)]
        if left:
            await self._blobs.delete(left)


def _folder(claim: Claim) -> str:
    return f"{blob_prefix(claim.recording_id)}/audio"


def _key_of(claim: Claim) -> str:
    """A name that no other attempt has: one that lost its claim can neither replace nor delete this one's file."""
    return f"{_folder(claim)}/{0:012d}-{claim.samples:012d}-{claim.fence}-{claim.attempt}{FLAC}"


def _is_one_file(parts: Sequence[AudioPart]) -> bool:
    return not parts or (len(parts) == 1 and parts[0].blob_key.endswith(FLAC))


def _is_of_the_past(key: str, fence: int) -> bool:
    """Written under `fence` or one before, so that nobody writes it any more. Names of unknown form are left alone."""
    written = _WRITTEN_UNDER.match(PurePosixPath(key).name)
    return written is not None and int(written["fence"] or 0) <= fence


@contextlib.asynccontextmanager
async def _temporary_file() -> AsyncIterator[BinaryIO]:
    """A file without a name, of which a crash leaves nothing. To close it frees its space, which takes a while."""
    file = await asyncio.to_thread(tempfile.TemporaryFile)
    try:
        yield file
    finally:
        await to_its_end(file.close)


async def _encode(blocks: AsyncIterator[Samples], file: BinaryIO) -> None:
    """Blocks of int16 mono at 16 kHz as one FLAC in `file`. Raises BackendError where the disk is full."""
    own = os.dup(file.fileno())  # libsndfile writes and closes it; through Python's file, errors would get lost
    try:
        flac = soundfile.SoundFile(own, "w", SAMPLE_RATE, channels=1, subtype="PCM_16", format="FLAC")
        try:
            async for block in blocks:
                await to_its_end(partial(flac.write, block))
        finally:
            await to_its_end(flac.close)
    except (soundfile.SoundFileError, AssertionError) as error:  # soundfile asserts that all was written
        raise BackendError(f"No temporary file can be written: {error}", code="storage_unavailable") from error


async def _equal(some: AsyncIterator[Samples], others: AsyncIterator[Samples]) -> bool:
    """Both give the same samples, wherever their blocks were cut."""
    ahead = np.empty(0, np.int16)
    async for block in some:
        while len(ahead) < len(block):
            more = await anext(others, None)
            if more is None:
                return False
            ahead = np.concatenate([ahead, more])
        if not np.array_equal(block, ahead[: len(block)]):
            return False
        ahead = ahead[len(block) :]
    return not len(ahead) and await anext(others, None) is None


async def _gently(blocks: AsyncIterator[Samples]) -> AsyncIterator[Samples]:
    """The blocks, with a pause after each as long as the work on it: live sessions come first."""
    started = time.perf_counter()
    async for block in blocks:
        yield block
        await asyncio.sleep(min(time.perf_counter() - started, _LONGEST_PAUSE_S))
        started = time.perf_counter()
