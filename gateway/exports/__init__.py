"""A transcript, with its notes, in the forms that people use: text, subtitles, JSON and documents.

`Export` goes in, the content of a file comes out. `document` says what is in a document and `cues` what is in a
subtitle; each form is written from one of the two. All is pure but for the fonts of a PDF, which are files.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.exports.body import TranscriptBody, as_json
from gateway.exports.export import Export
from gateway.exports.subtitles import as_srt, as_vtt
from gateway.exports.text import as_markdown, as_text

__all__ = ["FORMATS", "Export", "Format", "FormatName", "TranscriptBody"]

FormatName = Literal["json", "txt", "srt", "vtt", "md", "docx", "pdf"]
"""A form's name: its file's extension."""


@dataclass(frozen=True, slots=True)
class Format:
    """A form: its media type, and what writes it. Long recordings take seconds of processor time: not on the loop."""

    media_type: str
    write: Callable[[Export], str | bytes]


def _as_docx(export: Export) -> bytes:
    """Its library is loaded when it is first needed: a gateway that exports nothing starts without it."""
    from gateway.exports.word import as_docx

    return as_docx(export)


def _as_pdf(export: Export) -> bytes:
    """As `_as_docx`."""
    from gateway.exports.pdf import as_pdf

    return as_pdf(export)


FORMATS: Mapping[FormatName, Format] = {
    "json": Format("application/json", as_json),
    "txt": Format("text/plain; charset=utf-8", as_text),
    "srt": Format("application/x-subrip; charset=utf-8", as_srt),
    "vtt": Format("text/vtt; charset=utf-8", as_vtt),
    "md": Format("text/markdown; charset=utf-8", as_markdown),
    "docx": Format("application/vnd.openxmlformats-officedocument.wordprocessingml.document", _as_docx),
    "pdf": Format("application/pdf", _as_pdf),
}
