"""The transcript as JSON: the API's own form, with the times of words."""

from pydantic import BaseModel, ConfigDict

from gateway.exports.export import Export
from parley import wire
from parley.notes import Notes


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TranscriptSegment(_Model):
    """A final, as the wire protocol has it."""

    segment: int
    start_ms: int
    end_ms: int
    text: str
    words: tuple[wire.FinalWord, ...]
    language: str
    confidence: float
    suspect: bool


class TranscriptBody(_Model):
    """All finals of a recording that have words, in order, and its notes if there are any."""

    recording_id: str
    segments: tuple[TranscriptSegment, ...]
    notes: Notes | None = None


def as_json(export: Export) -> str:
    """`TranscriptBody` as JSON."""
    finals = [wire.Final.of(segment).model_dump(exclude={"type"}) for segment in export.segments if segment.words]
    body = TranscriptBody(
        recording_id=export.recording.id,
        segments=tuple(TranscriptSegment(**final) for final in finals),
        notes=export.notes,
    )
    return body.model_dump_json()
