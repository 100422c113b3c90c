"""REST for translations of a recording: which there are, and one of them as JSON, text, subtitles or a document."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from spectree import Response as Responses
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admission import owner_of
from gateway.documents import FileQuery, disposition, document_response
from gateway.exports import Export
from gateway.exports.translated import translated
from gateway.openapi import ErrorBody, describe, query_of
from gateway.wiring import Gateway
from parley.store.translations import TranslatedSegment, Translations
from parley.transcript import Segment, samples_to_ms

_MODEL = ConfigDict(frozen=True, extra="forbid")


class TranslatedBody(BaseModel):
    """One segment in the other language, at the time at which it was spoken. `provider` and `model`: the language model
    that translated it; null where it was spoken in this language."""

    model_config = _MODEL
    segment: int
    start_ms: int
    end_ms: int
    text: str
    provider: str | None
    model: str | None


class TranslationBody(BaseModel):
    """A recording in another language."""

    model_config = _MODEL
    recording_id: str
    language: str
    segments: list[TranslatedBody]


class TranslationEntry(BaseModel):
    """A translation that there is."""

    model_config = _MODEL
    language: str
    segments: int
    created_at: datetime


class TranslationList(BaseModel):
    """Those of one recording, by language."""

    model_config = _MODEL
    translations: list[TranslationEntry]


@describe(resp=Responses(HTTP_200=TranslationList, HTTP_404=ErrorBody), tags=["recordings"])
async def list_translations(request: Request) -> Response:
    """The languages into which a recording was translated."""
    gateway: Gateway = request.app.state.gateway
    recording = await gateway.recordings(owner_of(request)).get(str(request.path_params["id"]))
    found = await Translations(gateway.pool, owner_of(request)).of(recording.id)
    body = TranslationList(
        translations=[
            TranslationEntry(language=each.language, segments=each.segments, created_at=each.created_at)
            for each in found
        ]
    )
    return Response(body.model_dump_json(), media_type="application/json")


@describe(
    query=FileQuery,
    resp=Responses(HTTP_200=TranslationBody, HTTP_400=ErrorBody, HTTP_404=ErrorBody),
    tags=["recordings"],
)
async def get_translation(request: Request) -> Response:
    """A translation, in the forms of a transcript. In subtitles a word has its share of the time of its segment."""
    query = query_of(request, FileQuery)
    gateway: Gateway = request.app.state.gateway
    recordings = gateway.recordings(owner_of(request))
    recording = await recordings.get(str(request.path_params["id"]))
    language = str(request.path_params["language"])
    lines = await Translations(gateway.pool, owner_of(request)).get(recording.id, language)
    segments = await recordings.segments(recording.id)
    name = f"{language}.{query.format}"
    if query.format != "json":
        export = Export(recording, translated(segments, {each.number: each.text for each in lines}, language))
        return await document_response(export, query.format, name=name, download=query.download)
    body = TranslationBody(recording_id=recording.id, language=language, segments=_bodies(segments, lines))
    headers = disposition(recording, name, download=query.download)
    return Response(body.model_dump_json(), media_type="application/json", headers=headers)


def _bodies(segments: list[Segment], lines: list[TranslatedSegment]) -> list[TranslatedBody]:
    spoken = {segment.number: segment for segment in segments}
    return [
        TranslatedBody(
            segment=line.number,
            start_ms=samples_to_ms(spoken[line.number].start),
            end_ms=samples_to_ms(spoken[line.number].end),
            text=line.text,
            provider=line.provider,
            model=line.model,
        )
        for line in lines
        if line.number in spoken
    ]


routes = [
    Route("/api/v1/recordings/{id}/translations", list_translations, methods=["GET"]),
    Route("/api/v1/recordings/{id}/translations/{language}", get_translation, methods=["GET"]),
]
