"""What is given out as a file: how it is named, written beside the live sessions, and which notes go into it."""

from urllib.parse import quote

import anyio.to_thread
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from gateway.exports import FORMATS, Export, FormatName
from parley.errors import NotFound
from parley.jobs import JobState
from parley.store.notes import RecordingNotes, SavedNotes, WritingJob
from parley.transcript import Recording

_writing = anyio.CapacityLimiter(2)
"""Ten hours of speech take a second or two of a processor and up to 240 MB: few at once, and not on the loop."""
_HOW_IT_STANDS: dict[JobState, str] = {
    "queued": "is under way",
    "running": "is under way",
    "waiting": "is under way",
    "succeeded": "is done, and wrote none",
    "failed": "has failed",
    "dead": "used up its attempts, and can be replayed",
    "cancelled": "was cancelled",
}


class FileQuery(BaseModel):
    """`download` asks the browser to save the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    format: FormatName = "json"
    download: bool = False


async def document_response(export: Export, form: FormatName, *, name: str, download: bool) -> Response:
    """The export in this form; `name` ends the file's name."""
    content = await anyio.to_thread.run_sync(FORMATS[form].write, export, limiter=_writing)
    headers = disposition(export.recording, name, download=download)
    return Response(content, media_type=FORMATS[form].media_type, headers=headers)


def disposition(recording: Recording, extension: str, *, download: bool) -> dict[str, str]:
    name = quote(f"{recording.title or recording.created_at.strftime('Recording %Y-%m-%d %H.%M')}.{extension}", safe="")
    return {"Content-Disposition": f"{'attachment' if download else 'inline'}; filename*=UTF-8''{name}"}


async def saved_notes(kept: RecordingNotes, recording_id: str, template: str | None) -> list[SavedNotes]:
    """The notes of the recording by `template`, or all, the newest first.

    Raises NotFound where there are none, which says what becomes of the job that is to write them.
    """
    if found := await kept.of(recording_id, template):
        return found
    raise _no_notes(template, await kept.job(recording_id, template))


def _no_notes(template: str | None, job: WritingJob | None) -> NotFound:
    by = f" by the template {template!r}" if template else ""
    if job is None:
        why = "none was asked for: a job with the step `summarise` writes them"
    else:
        why = f"the job {job.id} that was to write them {_HOW_IT_STANDS[job.state]}"
        if job.delayed:
            why += f", and delayed: {job.delayed.rstrip('.')}"
    coming = job is not None and job.state in ("queued", "running", "waiting")
    return NotFound(f"There are no notes of this recording{by}; {why}.", code="no_notes", retryable=coming)
