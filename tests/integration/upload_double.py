"""Stands in for PostgreSQL and object storage behind resumable uploads: the same promises, kept in memory."""

from collections.abc import Callable
from typing import BinaryIO
from uuid import uuid4

from gateway.tus import NewUpload, Upload
from parley.errors import NotFound


class UploadsInMemory:
    """`before_append` runs before a part is kept, so that a test can let another one win."""

    def __init__(self) -> None:
        self.uploads: dict[str, Upload] = {}
        self.bytes: dict[str, bytes] = {}
        self.completed: list[str] = []
        self.before_append: Callable[[], None] = lambda: None

    async def check(self, new: NewUpload) -> None:
        """It takes any."""

    async def create(self, new: NewUpload) -> Upload:
        upload = Upload(uuid4().hex, new.length, 0, new.metadata, new.expires_at)
        self.uploads[upload.id], self.bytes[upload.id] = upload, b""
        return upload

    async def get(self, upload_id: str) -> Upload:
        if upload_id not in self.uploads:
            raise NotFound(f"There is no upload {upload_id!r}.")
        return self.uploads[upload_id]

    async def append(self, before: Upload, after: Upload, file: BinaryIO) -> Upload | None:
        self.before_append()
        if self.uploads[before.id].offset != before.offset:
            return None
        self.bytes[after.id] += file.read()
        assert len(self.bytes[after.id]) == after.offset
        self.uploads[after.id] = after
        if after.complete:
            self.completed.append(after.id)
        return after

    async def delete(self, upload_id: str) -> None:
        del self.uploads[upload_id], self.bytes[upload_id]
