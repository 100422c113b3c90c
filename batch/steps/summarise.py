"""Writes a recording's notes: by a language model, or of its own sentences where none answers.

Which of the two it was, and why, is in the notes (`method`) and in the step's result (`fallback_reason`).
docs/language-models.md says when a step waits for a model that is away, and when it does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from batch.asking import Asker
from batch.extracts import extracts
from batch.notes_writing import NotesWriter
from batch.pipeline import StepContext, StepResult, step
from parley.errors import BackendError
from parley.llm.attempts import LanguageModelsAway, NoAnswer
from parley.notes import Notes, NotesDraft, Unfounded
from parley.store import notes as notes_store
from parley.store.templates import Templates
from parley.templates import Template
from parley.transcript import Recording, Segment

_MOST_TOLD = 20
"""Items without foundation that a result names; it counts them all."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """`parts`: questions that the transcript was divided into; 0 for extracts. `fallback`: why no model wrote them."""

    notes: Notes
    parts: int = 0
    unfounded: tuple[Unfounded, ...] = ()
    fallback: NoAnswer | LanguageModelsAway | None = None


@step("summarise", kind="llm", needs={"transcript"}, gives={"notes"})
async def summarise(context: StepContext) -> StepResult:
    """Raises LanguageModelsAway while there is patience left, BackendError where rag or PostgreSQL is away, NotFound
    for an unknown template."""
    options = context.options
    template = await Templates(context.tools.pool, context.owner).get(options.template)
    recording = await context.recordings.get(context.recording_id)
    segments = [segment for segment in await context.recordings.segments(recording.id) if segment.text.strip()]
    if not segments:
        return StepResult({"method": None, "template": template.name, "reason": "no_words"})
    asker = Asker(context, "summarise")
    outcome = await _outcome(context, asker, recording, segments, template)

    async def write(connection: Any) -> None:
        await notes_store.save(connection, context.owner, recording.id, template.name, outcome.notes)
        await asker.done(connection)

    return StepResult(_told(outcome, template), asker.usage(), write)


async def _outcome(
    context: StepContext, asker: Asker, recording: Recording, segments: Sequence[Segment], template: Template
) -> _Outcome:
    day = recording.created_at.date()
    try:
        written = await NotesWriter(asker, segments, template, day, context.lease.progress).write()
    except NoAnswer as none:
        fallback: NoAnswer | LanguageModelsAway = none
    except LanguageModelsAway as away:
        if not await asker.out_of_patience():
            raise
        fallback = away
    else:
        notes = Notes.of(written.draft, "llm", written.provider, written.model)
        return _Outcome(notes, written.parts, written.unfounded)
    draft = await _extracts(context, asker, segments)
    return _Outcome(Notes.of(draft, "extractive"), fallback=fallback)


async def _extracts(context: StepContext, asker: Asker, segments: Sequence[Segment]) -> NotesDraft:
    """With rag's embeddings, where there is a rag; it is waited for until patience ends."""
    await context.lease.progress(0.5, "extracts")
    try:
        return await extracts(context.tools.rag, segments)
    except BackendError:
        if not await asker.out_of_patience():
            raise
        return await extracts(None, segments)


def _told(outcome: _Outcome, template: Template) -> Mapping[str, Any]:
    """What the job's owner sees of it, in JSON."""
    fallback = outcome.fallback
    return {
        "method": outcome.notes.method,
        "provider": outcome.notes.provider,
        "model": outcome.notes.model,
        "template": template.name,
        "parts": outcome.parts,
        "fallback_reason": {"code": fallback.code, "message": fallback.message} if fallback else None,
        "unfounded": [asdict(each) for each in outcome.unfounded[:_MOST_TOLD]],
        "unfounded_count": len(outcome.unfounded),
    }
