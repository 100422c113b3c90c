"""Deletes uploads that were left unfinished, blobs and all. Each gateway looks; the database gives each to one."""

import asyncio

import asyncpg

from parley.blobs import Blobs
from parley.errors import BackendError
from parley.logs import get_logger
from parley.store.sources import source_prefix
from parley.store.uploads import DroppedUploads

_LOOK_EVERY_S = 60.0
_log = get_logger(__name__)


class UploadSweeper:
    """`run` in a task, for as long as the gateway lives."""

    def __init__(self, pool: asyncpg.Pool, blobs: Blobs) -> None:
        self._blobs = blobs
        self._dropped = DroppedUploads(pool)

    async def run(self) -> None:
        while True:
            try:
                while await self.sweep_one():
                    pass
                await self._dropped.forget_complete()
            except BackendError as error:
                _log.warning("not looked for expired uploads", error=error.message)
            except Exception:  # noqa: BLE001 — the task's outer edge: one upload must not keep the others
                _log.exception("expired upload not deleted")
            await asyncio.sleep(_LOOK_EVERY_S)

    async def sweep_one(self) -> bool:
        """Deletes the one that expired first; False where there is none."""
        upload_id = await self._dropped.claim_expired()
        if upload_id is None:
            return False
        await self._blobs.delete_prefix(source_prefix(upload_id))
        await self._dropped.forget(upload_id)
        _log.info("expired upload deleted", upload=upload_id)
        return True
