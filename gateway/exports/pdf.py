"""The document as PDF, typeset by Typst: bidirectional text, shaping, line breaking of every script, an outline, tags.

What is said reaches Typst as data, never as its markup. A character that no font has a glyph for is shown as ▯, and the
first page says how many there are and of which scripts: nothing is lost in silence.
"""

import json
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict
from importlib.resources import files
from threading import Lock
from typing import Any

import typst

from gateway.exports import fonts
from gateway.exports.document import Block, Remark, document
from gateway.exports.export import Export

MISSING = "▯"
_TEMPLATE = files("gateway.exports").joinpath("transcript.typ").read_bytes()
_NEED_NO_GLYPH = ("Cc", "Cf", "Zs", "Zl", "Zp", "Mn", "Me")
_KEPT_COMPILATIONS = 11  # what Typst remembers goes once this many compilations have not used it
_one_at_a_time = Lock()


def as_pdf(export: Export) -> bytes:
    """The file, the same bytes for the same export. Some 0.4 ms a paragraph, outside the interpreter's lock.

    One is made at a time: ten hours of speech take 300 MB meanwhile.
    """
    blocks = [_fields(block) for block in document(export)]
    with _one_at_a_time:
        chosen = _fonts_for(_characters(blocks))
        data = {"title": export.title, "blocks": _marked(blocks, fonts.characters(chosen))}
        try:
            return _compile(data, chosen, round(export.recording.created_at.timestamp()))
        finally:
            _forget(chosen)
