"""Where resumable uploads are kept: each part is a blob, and PostgreSQL says which of them count."""

from datetime import timedelta
from typing import BinaryIO

from starlette.requests import Request

from gateway import tus
from gateway.admission import owner_of
from gateway.intake import of_metadata, wanted_of
from gateway.removal import remove_recording
from gateway.tus import Limits, NewUpload, Upload
from gateway.wiring import Gateway
from parley.settings import UploadSettings
from parley.store.intake import Wanted
from parley.store.sources import SourcePart, new_source_key, source_prefix
from parley.store.uploads import DroppedUploads, StoredUpload, UploadRows


def limits_of(settings: UploadSettings) -> Limits:
    return Limits(settings.max_bytes, settings.max_part_bytes, timedelta(seconds=settings.lifetime_s))


class KeptUploads:
    """The uploads of whoever sent `request` (`gateway.uploads.UploadStore`)."""

    def __init__(self, request: Request) -> None:
        gateway: Gateway = request.app.state.gateway
        self._request = request
        self._owner = owner_of(request)
        self._gateway = gateway
        self._blobs = gateway.blobs
        self._rows = UploadRows(gateway.pool, self._owner)

    async def check(self, new: NewUpload) -> None:
        await self._wanted(new)

    async def create(self, new: NewUpload) -> Upload:
        made = await self._rows.create(
            "tus",
            new.length,
            await self._wanted(new),
            expires_at=new.expires_at,
            metadata=new.metadata,
            idempotency_key=new.idempotency_key,
        )
        return _as_tus(made)

    async def _wanted(self, new: NewUpload) -> Wanted:
        name, asked = of_metadata(tus.parse_metadata(new.metadata))
        return await wanted_of(self._request, asked, "upload", name=name)

    async def get(self, upload_id: str) -> Upload:
        return _as_tus(await self._rows.get(upload_id, "tus"))

    async def append(self, before: Upload, after: Upload, file: BinaryIO) -> Upload | None:
        part = SourcePart(before.offset, after.offset, new_source_key(before.id, before.offset))
        await self._blobs.put_file(part.blob_key, file)
        # Where the answer of PostgreSQL is lost, the part may count: its blob stays until the upload goes.
        kept = await self._rows.add_part(before.id, part, after.expires_at)
        if kept is None:
            await self._blobs.delete([part.blob_key])
            return None
        if kept.recording_id is not None:
            await self._tell(kept, kept.recording_id)
        return _as_tus(kept)

    async def _tell(self, kept: StoredUpload, recording_id: str) -> None:
        if recording_id == kept.id:
            await self._gateway.events.publish(self._owner, "created", recording_id)
        else:  # the same request had made one before
            await self._blobs.delete_prefix(source_prefix(kept.id))

    async def delete(self, upload_id: str) -> None:
        if await self._rows.drop(upload_id):
            await self._blobs.delete_prefix(source_prefix(upload_id))
            await DroppedUploads(self._gateway.pool).forget(upload_id)
            return
        upload = await self._rows.get(upload_id, "tus")
        if upload.recording_id == upload.id:
            await remove_recording(self._blobs, self._gateway.recordings(self._owner), upload.id)
            await self._gateway.events.publish(self._owner, "deleted", upload.id)


def _as_tus(upload: StoredUpload) -> Upload:
    return Upload(
        id=upload.id,
        length=upload.length,
        offset=upload.received,
        metadata=upload.metadata,
        expires_at=upload.expires_at,
        recording_id=upload.recording_id,
        job_id=upload.job_id,
    )
