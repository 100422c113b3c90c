"""REST for recordings: list, get, rename, delete, their audio and their transcript. Each handler is a few lines."""

from datetime import datetime
from functools import partial
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from spectree import Response as Responses
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.admission import owner_of
from gateway.cursors import from_cursor, to_cursor
from gateway.documents import FileQuery, disposition, document_response, saved_notes
from gateway.exports import Export, TranscriptBody
from gateway.openapi import ErrorBody, body_of, describe, query_of
from gateway.removal import remove_recording
from gateway.wav import WavFile, parse_range
from gateway.wiring import Gateway
from parley import wire
from parley.errors import ClientError
from parley.store import Recordings
from parley.store.notes import RecordingNotes
from parley.transcript import Origin, Recording, RecordingState, samples_to_ms

_MODEL = ConfigDict(frozen=True, extra="forbid")


class RecordingBody(BaseModel):
    """A recording. `title` is null until one is given; `preview` is its first words; times in ISO 8601 and ms.

    `origin`: live, upload or import; `source_name`: what the file that it came as was called. `same_as`: its transcript
    is that of another recording of the same audio.
    """

    model_config = _MODEL
    id: str
    title: str | None
    state: RecordingState
    created_at: datetime
    duration_ms: int
    language: str | None
    preview: str
    origin: Origin
    source_name: str | None
    same_as: str | None

    @classmethod
    def of(cls, recording: Recording) -> "RecordingBody":
        return cls(
            id=recording.id,
            title=recording.title,
            state=recording.state,
            created_at=recording.created_at,
            duration_ms=samples_to_ms(recording.samples),
            language=recording.language,
            preview=recording.preview,
            origin=recording.origin,
            source_name=recording.source_name,
            same_as=recording.same_as,
        )


class RecordingPage(BaseModel):
    """The newest first; `next_cursor` gives the page after this one, null on the last."""

    model_config = _MODEL
    recordings: list[RecordingBody]
    next_cursor: str | None


class ListQuery(BaseModel):
    model_config = _MODEL
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None


class Rename(BaseModel):
    """`title` null takes the title away."""

    model_config = _MODEL
    title: wire.Title | None


class TranscriptQuery(FileQuery):
    """`notes`: whether they stand above it, the newest or those by `template`; subtitles have none. `download` asks the
    browser to save the file."""

    notes: bool = False
    template: Annotated[str, Field(min_length=1, max_length=80)] | None = None


class AudioQuery(BaseModel):
    model_config = _MODEL
    download: bool = False


@describe(query=ListQuery, resp=Responses(HTTP_200=RecordingPage, HTTP_400=ErrorBody), tags=["recordings"])
async def list_recordings(request: Request) -> Response:
    """The recordings, newest first, a page at a time."""
    query = query_of(request, ListQuery)
    found = await _recordings(request).page(count=query.limit + 1, before=from_cursor(query.cursor))
    page = found[: query.limit]
    next_cursor = to_cursor(page[-1].created_at, page[-1].id) if len(found) > query.limit else None
    return _json(RecordingPage(recordings=[RecordingBody.of(recording) for recording in page], next_cursor=next_cursor))


@describe(resp=Responses(HTTP_200=RecordingBody, HTTP_404=ErrorBody), tags=["recordings"])
async def get_recording(request: Request) -> Response:
    """One recording."""
    return _json(RecordingBody.of(await _recordings(request).get(_id(request))))


@describe(
    json=Rename, resp=Responses(HTTP_200=RecordingBody, HTTP_400=ErrorBody, HTTP_404=ErrorBody), tags=["recordings"]
)
async def rename_recording(request: Request) -> Response:
    """Gives a recording another title."""
    body = await body_of(request, Rename)
    await _recordings(request).rename(_id(request), body.title)
    recording = await _recordings(request).get(_id(request))
    await _publish(request, "updated", recording.id)
    return _json(RecordingBody.of(recording))


@describe(resp=Responses("HTTP_204", HTTP_404=ErrorBody, HTTP_409=ErrorBody), tags=["recordings"])
async def delete_recording(request: Request) -> Response:
    """Deletes a recording for good: its audio, its file, its transcript, its jobs. One that is being recorded must be
    stopped first."""
    recordings = _recordings(request)
    recording = await recordings.get(_id(request))
    if recording.state == "recording":
        raise ClientError(
            "The recording is still being made; stop it first. If whoever made it is gone, try again in half a minute.",
            code="still_recording",
            retryable=True,
        )
    await remove_recording(_gateway(request).blobs, recordings, recording.id)
    await _publish(request, "deleted", recording.id)
    return Response(status_code=204)


@describe(query=AudioQuery, resp=Responses(HTTP_404=ErrorBody, HTTP_416=ErrorBody), tags=["recordings"])
async def get_audio(request: Request) -> Response:
    """The audio as WAV, 16 kHz mono, whole or by byte range, also while it is being recorded."""
    query = query_of(request, AudioQuery)
    recording = await _recordings(request).get(_id(request))
    wav = WavFile(recording.samples)
    headers = {"Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    headers |= disposition(recording, "wav", download=query.download)
    start, end, status = 0, wav.size, 200
    if (asked := parse_range(request.headers.get("range"), wav.size)) is not None:
        start, end, status = *asked, 206
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{wav.size}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(None, status, headers, media_type="audio/wav")
    list_parts = partial(_recordings(request).parts, recording.id)
    body = wav.read(_gateway(request).blobs, list_parts, start, end)
    return StreamingResponse(body, status, headers, media_type="audio/wav")


@describe(query=TranscriptQuery, resp=Responses(HTTP_200=TranscriptBody, HTTP_404=ErrorBody), tags=["recordings"])
async def get_transcript(request: Request) -> Response:
    """The transcript, with its notes if wanted: JSON with word times, TXT, SRT, WebVTT or Markdown, DOCX or PDF."""
    query = query_of(request, TranscriptQuery)
    recording = await _recordings(request).get(_id(request))
    notes = None
    if query.notes:
        kept = RecordingNotes(_gateway(request).pool, owner_of(request))
        notes = (await saved_notes(kept, recording.id, query.template))[0].notes
    export = Export(recording, await _recordings(request).segments(recording.id), notes)
    return await document_response(export, query.format, name=query.format, download=query.download)


routes = [
    Route("/api/v1/recordings", list_recordings, methods=["GET"]),
    Route("/api/v1/recordings/{id}", get_recording, methods=["GET"]),
    Route("/api/v1/recordings/{id}", rename_recording, methods=["PATCH"]),
    Route("/api/v1/recordings/{id}", delete_recording, methods=["DELETE"]),
    Route("/api/v1/recordings/{id}/audio", get_audio, methods=["GET"]),
    Route("/api/v1/recordings/{id}/transcript", get_transcript, methods=["GET"]),
]


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _recordings(request: Request) -> Recordings:
    return _gateway(request).recordings(owner_of(request))


def _id(request: Request) -> str:
    return str(request.path_params["id"])


async def _publish(request: Request, kind: str, recording_id: str) -> None:
    await _gateway(request).events.publish(owner_of(request), kind, recording_id)


def _json(body: BaseModel) -> Response:
    return Response(body.model_dump_json(), media_type="application/json")
