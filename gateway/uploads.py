"""Resumable upload over HTTP: the thin shell around `gateway/tus.py`, which decides."""

import asyncio
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import BinaryIO, Protocol

from spectree import Response as Responses
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from gateway import tus
from gateway.intake import idempotency_key
from gateway.openapi import ErrorBody, describe
from gateway.tus import Limits, NewUpload, Part, Upload
from parley.errors import ClientError

_WRITE_BYTES = 1024 * 1024


class UploadStore(Protocol):
    """One owner's uploads. Raises NotFound for those that are not there or another's, BackendError where it is away."""

    async def check(self, new: NewUpload) -> None:
        """Raises ClientError for an upload that `create` would refuse; creates nothing."""

    async def create(self, new: NewUpload) -> Upload:
        """Gives the upload an id. An empty upload, at offset 0, is durable when this returns; or it is the one that was
        made of the same request before. Raises ClientError for metadata that are wrong.
        """

    async def get(self, upload_id: str) -> Upload:
        """The upload as it is kept. One that expired may be gone already."""

    async def append(self, before: Upload, after: Upload, file: BinaryIO) -> Upload | None:
        """Keeps what `file` holds from its position on: the bytes from `before.offset` to `after.offset`.

        The upload as it is when they are durable. None, with nothing changed, when it is no longer at `before.offset`:
        of two parts for one place, one wins. Where `after.complete`, what follows from the upload (a recording and its
        job) is written in the same transaction, and the upload says what it is.
        """

    async def delete(self, upload_id: str) -> None:
        """Removes the upload and what it kept; where it was complete, what was made of it, too."""


class Uploads:
    """The endpoints. `store_of` gives the uploads of whoever asks."""

    def __init__(
        self,
        store_of: Callable[[Request], UploadStore],
        limits: Limits,
        *,
        stalled_after_s: float = 60.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store_of = store_of
        self._limits = limits
        self._stalled_after_s = stalled_after_s
        self._now = now

    def routes(self, path: str) -> list[Route]:
        """Those for new uploads at `path` and for each at `path/ID`."""
        new = describe(resp=Responses("HTTP_201", HTTP_400=ErrorBody, HTTP_413=ErrorBody), tags=["uploads"])
        one = describe(resp=Responses("HTTP_204", HTTP_404=ErrorBody, HTTP_409=ErrorBody), tags=["uploads"])
        return [
            _TusRoute(path, new(self._all), methods=["OPTIONS", "POST"]),
            _TusRoute(path + "/{id}", one(self._one), methods=["OPTIONS", "HEAD", "PATCH", "DELETE", "POST"]),
        ]

    async def _all(self, request: Request) -> Response:
        """A new resumable upload, by tus 1.0. `Upload-Metadata` may name `filename`, `title`, `priority`, `pipeline`
        and `options` (JSON)."""
        return await self._dispatch(request, {"POST": self._create})

    async def _one(self, request: Request) -> Response:
        """A resumable upload: how far it is (HEAD), one more part at the offset (PATCH), away with it (DELETE). Once it
        is complete, answers name what it became: `Parley-Recording-Id`, `Parley-Job-Id`."""
        return await self._dispatch(request, {"HEAD": self._head, "PATCH": self._patch, "DELETE": self._delete})

    async def _dispatch(
        self, request: Request, handlers: Mapping[str, Callable[[Request], Awaitable[Response]]]
    ) -> Response:
        method = tus.method_of(request.method, request.headers)
        if method == "OPTIONS":
            return Response(None, 204, tus.options(self._limits))
        tus.check_version(request.headers)
        if method not in handlers:
            raise ClientError(f"{method} is not possible at {request.url.path}.", code="method_not_allowed")
        return await handlers[method](request)

    async def _create(self, request: Request) -> Response:
        new = tus.new_upload(request.headers, self._limits, self._now())
        new = replace(new, idempotency_key=idempotency_key(request))
        part = tus.first_part(request.headers, new, self._limits)
        store = self._store_of(request)
        if part is None:
            upload = await store.create(new)
        else:
            await store.check(new)  # before its part is read
            async with self._received(request, part) as (file, size):
                upload = await store.create(new)
                if not upload.offset:  # else the same request had come before
                    upload = await self._append(store, upload, file, size)
        location = f"{request.url.path.rstrip('/')}/{upload.id}"
        return Response(None, 201, {**tus.describe(upload), "Location": location})

    async def _head(self, request: Request) -> Response:
        return Response(None, 200, tus.describe(await self._get(request)))

    async def _patch(self, request: Request) -> Response:
        upload = await self._get(request)
        part = tus.part_of(request.headers, upload, self._limits)
        async with self._received(request, part) as (file, size):
            upload = await self._append(self._store_of(request), upload, file, size)
        return Response(None, 204, tus.describe(upload))

    async def _delete(self, request: Request) -> Response:
        upload = await self._get(request)
        await self._store_of(request).delete(upload.id)
        return Response(None, 204)

    async def _get(self, request: Request) -> Upload:
        upload = await self._store_of(request).get(str(request.path_params["id"]))
        tus.check_alive(upload, self._now())
        return upload

    async def _append(self, store: UploadStore, upload: Upload, file: BinaryIO, size: int) -> Upload:
        if not size:
            return upload
        after = tus.advanced(upload, size, self._limits, self._now())
        if (kept := await store.append(upload, after, file)) is None:
            raise tus.wrong_offset(upload.id, upload.offset)
        return kept

    @contextlib.asynccontextmanager
    async def _received(self, request: Request, part: Part) -> AsyncIterator[tuple[BinaryIO, int]]:
        """A part's body in a temporary file, at its beginning, and how much of it counts."""
        with tempfile.TemporaryFile() as file:
            received, digest, whole = await self._spool(request, part, file)
            size = tus.kept(part, received, digest, whole=whole)
            file.seek(0)
            yield file, size

    async def _spool(self, request: Request, part: Part, file: BinaryIO) -> tuple[int, bytes | None, bool]:
        """Bytes that were received, their hash where one was announced, and whether the body came to its end."""
        digest = hashlib.new(part.checksum.algorithm, usedforsecurity=False) if part.checksum else None
        waiting = bytearray()

        def write() -> None:  # in a thread: a disk may take its time
            file.write(waiting)
            if digest:
                digest.update(waiting)
            waiting.clear()

        received, whole, body = 0, True, request.stream()
        try:
            while chunk := await self._next(body):
                received += len(chunk)
                if received > part.max_bytes:
                    raise tus.over_limit(part, received)
                waiting += chunk
                if len(waiting) >= _WRITE_BYTES:
                    await asyncio.to_thread(write)
        except (ClientDisconnect, TimeoutError):
            whole = False
        await asyncio.to_thread(write)
        return received, digest.digest() if digest else None, whole

    async def _next(self, body: AsyncGenerator[bytes, None]) -> bytes:
        """The next chunk; the empty one at the end. Raises TimeoutError where a client stalls."""
        async with asyncio.timeout(self._stalled_after_s):
            return await anext(body, b"")


class _TusRoute(Route):
    """Names the version in every answer, also in those that refuse: it stands outside of a route's error handling."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Tus-Resumable"] = headers["Tus-Version"] = tus.VERSION
            await send(message)

        await super().handle(scope, receive, send_with_version)
