"""REST for files that come whole: as a form, straight to object storage, or by URL. In parts: `gateway/uploads.py`."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field
from spectree import Response as Responses
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admission import owner_of
from gateway.forms import received_form
from gateway.intake import FileRequest, file_name, idempotency_key, wanted_of
from gateway.job_bodies import JobBody, bodies_of
from gateway.openapi import ErrorBody, body_of, describe
from gateway.recordings import RecordingBody
from gateway.wiring import Gateway
from parley.errors import ClientError, NotFound, TooLarge
from parley.fetch import FetchPolicy, check_written_address, checked_url
from parley.jobs import Priority
from parley.media import START_BYTES, check_start
from parley.store.failures import database_errors
from parley.store.intake import Taken, take_in
from parley.store.jobs import Jobs
from parley.store.sources import source_prefix
from parley.store.uploads import UploadRows


class TakenBody(BaseModel):
    """What became of a file: the recording, and its job; null where the request came before, and its job is gone."""

    model_config = ConfigDict(frozen=True)
    recording: RecordingBody
    job: JobBody | None


class FormBody(BaseModel):
    """The fields of the form. `options` is JSON, `pipeline` a name or steps divided by commas."""

    file: bytes
    title: str | None = None
    priority: Priority = "normal"
    pipeline: str | None = None
    options: str | None = None


class ImportBody(FileRequest):
    """`url`: http or https, of an address that is public."""

    url: Annotated[str, Field(min_length=1, max_length=4000)]


class PresignBody(FileRequest):
    """A file of `size` bytes that will be sent straight to object storage."""

    filename: Annotated[str, Field(max_length=1000)] | None = None
    size: Annotated[int, Field(strict=True, ge=0)]


class PresignedBody(BaseModel):
    """Send the file there in one request, with this method and these headers; then POST to `…/uploads/ID/complete`."""

    model_config = ConfigDict(frozen=True)
    upload_id: str
    url: str
    method: Literal["PUT"] = "PUT"
    headers: dict[str, str]
    expires_at: datetime


_TAKEN = Responses(HTTP_202=TakenBody, HTTP_400=ErrorBody, HTTP_413=ErrorBody)


@describe(form=FormBody, resp=_TAKEN, tags=["recordings"])
async def post_recording(request: Request) -> Response:
    """A small file as a form: it becomes a recording. Larger ones are safer in parts (`/api/v1/uploads`).

    `Idempotency-Key`: the same request again gets the same recording.
    """
    gateway = _gateway(request)
    key = idempotency_key(request)
    async with received_form(request, gateway.uploads) as form:
        name = file_name(form.file.filename)
        wanted = await wanted_of(request, FileRequest.of_texts(form.texts), "upload", name=name)
        check_start(await form.file.read(START_BYTES), name=name or "the file")
        await form.file.seek(0)
        size = form.file.size or 0
        if size > gateway.uploads.max_bytes:
            raise _too_large(size, gateway.uploads.max_bytes)
        rows = _rows(request)
        upload = await rows.create("form", size, wanted, expires_at=_expiry(gateway), idempotency_key=key)
        for part in await rows.parts(upload.id):
            await gateway.blobs.put_file(part.blob_key, form.file.file)
    return await _taken(request, await rows.complete(upload.id), upload.id)


@describe(json=ImportBody, resp=_TAKEN, tags=["recordings"])
async def import_recording(request: Request) -> Response:
    """A file at an address becomes a recording: the job fetches it first. Addresses within a network are refused."""
    gateway = _gateway(request)
    key = idempotency_key(request)
    body = await body_of(request, ImportBody)
    policy = FetchPolicy.of(gateway.uploads)
    url = checked_url(body.url, policy)
    check_written_address(url, policy)
    wanted = await wanted_of(request, body, "import", url=str(url))
    owner, recording_id = owner_of(request), str(uuid4())
    async with database_errors(), gateway.pool.acquire() as connection, connection.transaction():
        taken = await take_in(connection, owner, recording_id, wanted, [], idempotency_key=key)
    return await _taken(request, taken, recording_id)


@describe(
    json=PresignBody,
    resp=Responses(HTTP_201=PresignedBody, HTTP_400=ErrorBody, HTTP_413=ErrorBody, HTTP_501=ErrorBody),
    tags=["uploads"],
)
async def presign_upload(request: Request) -> Response:
    """An address for a file's way straight to object storage (S3, GCS, Azure), past the gateway."""
    gateway = _gateway(request)
    key = idempotency_key(request)
    body = await body_of(request, PresignBody)
    if not body.size:
        raise ClientError("An upload of 0 bytes holds no audio.", code="no_audio")
    if body.size > gateway.uploads.max_bytes:
        raise _too_large(body.size, gateway.uploads.max_bytes)
    gateway.blobs.check_signs()
    wanted = await wanted_of(request, body, "upload", name=file_name(body.filename))
    rows = _rows(request)
    upload = await rows.create("presigned", body.size, wanted, expires_at=_expiry(gateway), idempotency_key=key)
    if upload.recording_id is not None:
        raise ClientError(f"Upload {upload.id!r} is complete already.", code="upload_complete")
    good_for = timedelta(seconds=gateway.uploads.presigned_s)
    (part,) = await rows.parts(upload.id)
    signed = await gateway.blobs.sign_put(part.blob_key, good_for)
    answer = PresignedBody(
        upload_id=upload.id, url=signed.url, headers=dict(signed.headers), expires_at=datetime.now(UTC) + good_for
    )
    return _json(answer, 201)


@describe(
    resp=Responses(HTTP_202=TakenBody, HTTP_400=ErrorBody, HTTP_404=ErrorBody, HTTP_409=ErrorBody), tags=["uploads"]
)
async def complete_upload(request: Request) -> Response:
    """The file is in object storage: it becomes a recording, where it is there and has the size that was announced."""
    gateway, rows = _gateway(request), _rows(request)
    upload = await rows.get(str(request.path_params["id"]), "presigned")
    if upload.recording_id is None:
        if datetime.now(UTC) >= upload.expires_at:
            raise ClientError(f"Upload {upload.id!r} expired; begin anew.", code="upload_expired")
        (part,) = await rows.parts(upload.id)
        await _check_arrived(gateway, part.blob_key, upload.length)
    return await _taken(request, await rows.complete(upload.id), upload.id)


async def _check_arrived(gateway: Gateway, key: str, length: int) -> None:
    try:
        size = await gateway.blobs.size(key)
    except NotFound:
        message = "The file is not in object storage yet: send it to the address of the upload first."
        raise ClientError(message, code="not_uploaded", retryable=True) from None
    if size != length:
        message = f"In object storage are {size} bytes, not the {length} that were announced; send the file again."
        raise ClientError(message, code="wrong_size", retryable=True)
    check_start(await gateway.blobs.get_range(key, 0, START_BYTES), name="the file")


async def _taken(request: Request, taken: Taken, own_id: str) -> Response:
    """The answer; what lies under `own_id` is deleted where the same request had made a recording before."""
    gateway, owner = _gateway(request), owner_of(request)
    if taken.recording_id != own_id:
        await gateway.blobs.delete_prefix(source_prefix(own_id))
    elif not taken.before:
        await gateway.events.publish(owner, "created", taken.recording_id)
    recording = await gateway.recordings(owner).get(taken.recording_id)
    jobs = [await Jobs(gateway.pool, owner).get(taken.job_id)] if taken.job_id else []
    bodies = await bodies_of(gateway.job_events.rates, jobs)
    return _json(TakenBody(recording=RecordingBody.of(recording), job=bodies[0] if bodies else None), 202)


routes = [
    Route("/api/v1/recordings", post_recording, methods=["POST"]),
    Route("/api/v1/recordings/import", import_recording, methods=["POST"]),
    Route("/api/v1/uploads/presigned", presign_upload, methods=["POST"]),
    Route("/api/v1/uploads/{id}/complete", complete_upload, methods=["POST"]),
]


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _rows(request: Request) -> UploadRows:
    return UploadRows(_gateway(request).pool, owner_of(request))


def _expiry(gateway: Gateway) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=gateway.uploads.lifetime_s)


def _too_large(size: int, max_bytes: int) -> TooLarge:
    return TooLarge(f"The file has {size} bytes; the limit is {max_bytes}.")


def _json(body: BaseModel, status: int) -> Response:
    return Response(
        body.model_dump_json(by_alias=True),
        status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
