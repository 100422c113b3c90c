"""A file that comes as a form (multipart/form-data): to disk as it arrives, and no further than its limit."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from parley.errors import ClientError, TooLarge
from parley.settings import UploadSettings

_FIELDS, _FIELD_BYTES = 16, 65_536


@dataclass(frozen=True, slots=True)
class Form:
    """The field `file`, and the others by name."""

    file: UploadFile
    texts: Mapping[str, str]


@contextlib.asynccontextmanager
async def received_form(request: Request, settings: UploadSettings) -> AsyncIterator[Form]:
    """The whole form; its file lies on disk until the block ends. Raises ClientError, TooLarge."""
    kind = request.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data"):
        message = f"A file comes as multipart/form-data, in the field 'file' (the Content-Type was {kind[:80]!r})."
        raise ClientError(message, code="form_expected")
    _check_length(request, settings.max_form_bytes)
    body = _bounded(request, settings.max_form_bytes, settings.stalled_after_s)
    parser = MultiPartParser(request.headers, body, max_files=1, max_fields=_FIELDS, max_part_size=_FIELD_BYTES)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ClientError(f"The form cannot be read: {error.message.rstrip('.')}.", code="bad_form") from None
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(form.close)
        yield _form_of(form.multi_items())


def _form_of(items: list[tuple[str, str | UploadFile]]) -> Form:
    file: UploadFile | None = None
    texts: dict[str, str] = {}
    for name, value in items:
        if isinstance(value, UploadFile):
            if name != "file":
                raise ClientError(f"The file is in the field {name[:40]!r}; it belongs in 'file'.", code="bad_form")
            file = value
        elif name in texts:
            raise ClientError(f"The form has the field {name[:40]!r} twice.", code="bad_form")
        else:
            texts[name] = value
    if file is None:
        raise ClientError("The form has no file in its field 'file', or breaks off in it.", code="bad_form")
    return Form(file, texts)


def _check_length(request: Request, max_bytes: int) -> None:
    """Before anything is read, where the length is said."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_bytes:
        raise _too_large(int(length), max_bytes)


async def _bounded(request: Request, max_bytes: int, stalled_after_s: float) -> AsyncGenerator[bytes, None]:
    """The body, while it is no longer than it may be, and its sender sends."""
    received, body = 0, request.stream()
    while True:
        try:
            async with asyncio.timeout(stalled_after_s):
                chunk = await anext(body, b"")
        except TimeoutError:
            message = f"Nothing came for {stalled_after_s:g} s; the form breaks off after {received} bytes."
            raise ClientError(message, code="upload_stalled", retryable=True) from None
        except ClientDisconnect:
            raise ClientError("The connection broke before the form ended.", code="bad_form", retryable=True) from None
        if not chunk:
            return
        received += len(chunk)
        if received > max_bytes:
            raise _too_large(received, max_bytes)
        yield chunk


def _too_large(size: int, max_bytes: int) -> TooLarge:
    return TooLarge(
        f"The form has {size} bytes or more; the limit is {max_bytes}. Larger files are sent to /api/v1/uploads (tus)."
    )
