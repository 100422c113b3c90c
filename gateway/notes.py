"""REST for the notes of a recording: as JSON with the segments that each item rests on, as text, as a document."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from spectree import Response as Responses
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admission import owner_of
from gateway.documents import disposition, document_response, saved_notes
from gateway.exports import Export
from gateway.openapi import ErrorBody, describe, query_of
from gateway.wiring import Gateway
from parley.notes import Notes
from parley.store.notes import RecordingNotes

_MODEL = ConfigDict(frozen=True, extra="forbid")
NotesFormat = Literal["json", "txt", "md", "docx", "pdf"]
Template = Annotated[str, Field(min_length=1, max_length=80)]


class NotesQuery(BaseModel):
    """`template`: by which; without one the newest of all. `download` asks the browser to save the file."""

    model_config = _MODEL
    template: Template | None = None
    format: NotesFormat = "json"
    download: bool = False


class NotesBody(BaseModel):
    """Notes of a recording. `templates`: all by which it has some, the newest first."""

    model_config = _MODEL
    recording_id: str
    template: str
    templates: tuple[str, ...]
    created_at: datetime
    notes: Notes


@describe(
    query=NotesQuery, resp=Responses(HTTP_200=NotesBody, HTTP_400=ErrorBody, HTTP_404=ErrorBody), tags=["recordings"]
)
async def get_notes(request: Request) -> Response:
    """Notes of a recording as JSON, TXT or Markdown, or as a DOCX or PDF document."""
    query = query_of(request, NotesQuery)
    gateway: Gateway = request.app.state.gateway
    recordings, kept = gateway.recordings(owner_of(request)), RecordingNotes(gateway.pool, owner_of(request))
    recording = await recordings.get(str(request.path_params["id"]))
    saved, *_ = await saved_notes(kept, recording.id, query.template)
    name = f"notes.{query.format}"
    if query.format != "json":
        export = Export(recording, await recordings.segments(recording.id), saved.notes, transcript=False)
        return await document_response(export, query.format, name=name, download=query.download)
    body = NotesBody(
        recording_id=recording.id,
        template=saved.template,
        templates=tuple(each.template for each in await kept.of(recording.id)),
        created_at=saved.created_at,
        notes=saved.notes,
    )
    headers = disposition(recording, name, download=query.download)
    return Response(body.model_dump_json(), media_type="application/json", headers=headers)


routes = [Route("/api/v1/recordings/{id}/notes", get_notes, methods=["GET"])]
