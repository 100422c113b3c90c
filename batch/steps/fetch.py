"""The step `fetch`: what stands at a URL becomes the recording's file."""

import asyncio
import contextlib
import tempfile
from typing import BinaryIO

from batch.claims import LeaseLost
from batch.pipeline import StepContext, StepResult, step
from parley.errors import BackendError, ClientError
from parley.fetch import Fetched, FetchFailed, FetchPolicy, Resolve, fetch, lookup
from parley.media import START_BYTES, check_start
from parley.store.sources import Source, SourcePart, Sources, add_parts, name_source, new_source_key
from parley.tasks import background

_TELL_EVERY_S = 1.0
_MEGABYTE = 1_000_000


@step("fetch", kind="stt", gives={"source"})
async def fetch_source(context: StepContext) -> StepResult:
    """Raises ClientError for what no other attempt would bring: an address that is not fetched, a file that is too
    large or no sound, a refusal of the other side."""
    return await fetch_by(lookup, context)


async def fetch_by(resolve: Resolve, context: StepContext) -> StepResult:
    """`resolve` finds the addresses of hosts."""
    sources = Sources(context.tools.pool, context.owner)
    if await sources.parts(context.recording_id):  # an attempt before this one came to its end, and could not say so
        return StepResult()
    source = await sources.get(context.recording_id)
    with tempfile.TemporaryFile() as file:
        fetched = await _fetched(context, source, file, resolve)
        await _keep(context, fetched, file)
    return StepResult({"name": fetched.name, "bytes": fetched.size_bytes})


async def _fetched(context: StepContext, source: Source, file: BinaryIO, resolve: Resolve) -> Fetched:
    """The file, at its beginning."""
    if source.url is None:
        raise ClientError("The recording did not come with an address to fetch it from.", code="no_address")
    policy = FetchPolicy.of(context.tools.settings.uploads)
    progress = _Progress()
    try:
        async with background(progress.tell(context)):
            fetched = await fetch(source.url, file, policy, progress=progress, resolve=resolve)
    except FetchFailed as error:
        if error.retryable:
            raise
        raise ClientError(error.message, code=error.code) from None
    file.seek(0)
    check_start(file.read(START_BYTES), name=fetched.name or "the file")
    file.seek(0)
    return fetched


async def _keep(context: StepContext, fetched: Fetched, file: BinaryIO) -> None:
    """The file is durable, and the recording's, when this returns."""
    part = SourcePart(0, fetched.size_bytes, new_source_key(context.recording_id, 0))
    await context.tools.blobs.put_file(part.blob_key, file)
    try:
        async with context.lease.transaction() as connection:
            if await add_parts(connection, context.owner, context.recording_id, [part]):
                await name_source(connection, context.owner, context.recording_id, fetched.name)
    except LeaseLost:
        with contextlib.suppress(BackendError):
            await context.tools.blobs.delete([part.blob_key])
        raise


class _Progress:
    """How far a fetch is: noted for each chunk, told now and then."""

    def __init__(self) -> None:
        self._received = 0
        self._total: int | None = None

    def __call__(self, received: int, total: int | None) -> None:
        self._received, self._total = received, total

    async def tell(self, context: StepContext) -> None:
        while True:
            await asyncio.sleep(_TELL_EVERY_S)
            share = self._received / self._total if self._total else 0.0
            with contextlib.suppress(BackendError):  # the fetch goes on
                await context.lease.progress(share, f"fetched {self._received / _MEGABYTE:.0f} MB")
