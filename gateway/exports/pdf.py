"""The document as PDF, typeset by Typst: bidirectional text, shaping, line breaking of every script, an outline, tags.

What is said reaches Typst as data, never as its markup. A character that no font has a glyph for is shown as ▯, and the
first page says how many there are and of which scripts: nothing is lost in silence.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

import typst

from gateway.exports import fonts
from gateway.exports.document import Block, Heading, Item, Paragraph, Remark, Run, document, from_right
from gateway.exports.export import SUSPECT, Export
from gateway.exports.fonts import FontSet

MISSING = "▯"
_TEMPLATE = files("gateway.exports").joinpath("transcript.typ").read_bytes()
_NEED_NO_GLYPH = ("Cc", "Cf", "Zs", "Zl", "Zp")
_VARIATION_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))
_COMPILATIONS_REMEMBERED = 11


def as_pdf(export: Export) -> bytes:
    """The file, the same bytes for the same export. Some 0.8 ms a paragraph, outside the interpreter's lock.

    Eleven hours of speech take 1 s and 240 MB meanwhile.
    """
    blocks = [_composed(block) for block in document(export)]
    chosen, missing = _fonts_for(blocks)
    if missing:
        blocks = _marked(blocks, missing)
    data = {
        "title": blocks[0].text,
        "language": _language(export.recording.language),
        "fonts": fonts.FAMILIES,
        "blocks": [_fields(block) for block in blocks],
    }
    try:
        return _compiled(data, chosen.fonts, round(export.recording.created_at.timestamp()))
    finally:
        _forget(chosen.fonts)


def _fonts_for(blocks: Sequence[Block]) -> tuple[FontSet, frozenset[str]]:
    """The fonts to set `blocks` in, and the characters that even they lack."""
    needed = frozenset(char for block in blocks for char in block.text if _needs_glyph(char)) | {MISSING}
    chosen = fonts.carried()
    if needed - chosen.characters:
        chosen = fonts.all_fonts()
    return chosen, needed - chosen.characters


def _needs_glyph(char: str) -> bool:
    return unicodedata.category(char) not in _NEED_NO_GLYPH and char not in _VARIATION_SELECTORS


def _marked(blocks: Sequence[Block], missing: frozenset[str]) -> list[Block]:
    """`blocks` with `MISSING` for each character without a glyph, and how many there are, small, below the title."""
    count = sum(block.text.count(char) for block in blocks for char in missing)
    scripts = sorted({_script(char) for char in missing})
    remark = Remark(
        f"{count} {'character' if count == 1 else 'characters'} ({', '.join(scripts)}) could not be printed for want of"
        f" a font and stand here as {MISSING}. The other formats have them."
    )
    shown = {ord(char): MISSING for char in missing}
    title, about, *others = [_mapped(block, lambda text: text.translate(shown)) for block in blocks]
    return [title, about, remark, *others]


def _script(char: str) -> str:
    """What `char` belongs to: the names of a script's letters begin with the script's."""
    letter = unicodedata.category(char)[0] in "LM"
    return unicodedata.name(char, "unknown").split()[0].capitalize() if letter else "symbols"


def _composed(block: Block) -> Block:
    """`block` with letters and their accents as one character where there is one, as fonts have them."""
    return _mapped(block, lambda text: unicodedata.normalize("NFC", text))


def _mapped(block: Block, change: Callable[[str], str]) -> Block:
    if isinstance(block, Paragraph):
        return replace(block, runs=tuple(replace(run, text=change(run.text)) for run in block.runs))
    return replace(block, text=change(block.text))


def _fields(block: Block) -> dict[str, Any]:
    """`block` as the template reads it."""
    match block:
        case Heading(text, level):
            fields: dict[str, Any] = {"kind": "heading", "level": level, "text": text}
        case Item(text, time):
            fields = {"kind": "item", "time": time, "runs": [{"text": text, "suspect": False}]}
        case Paragraph(runs, time):
            fields = {"kind": "paragraph", "time": time, "runs": [_run(run) for run in runs]}
        case Remark(text):
            fields = {"kind": "remark", "text": text}
    return fields | {"from_right": from_right(block.text)}


def _run(run: Run) -> dict[str, Any]:
    return {"text": f"{run.text} {SUSPECT}" if run.suspect else run.text, "suspect": run.suspect}


def _language(code: str | None) -> str | None:
    """`code` as Typst takes it: two or three letters."""
    return code if code and re.fullmatch("[a-z]{2,3}", code) else None


def _compiled(data: dict[str, Any], chosen: typst.Fonts, timestamp: int) -> bytes:
    made = typst.compile(
        _TEMPLATE, font_paths=chosen, sys_inputs={"data": json.dumps(data)}, format="pdf", timestamp=timestamp
    )
    assert isinstance(made, bytes)
    return made


def _forget(chosen: typst.Fonts) -> None:
    """Has Typst drop what it remembers of a document, 100 KB a paragraph: its last compilations count, and so this."""
    for _ in range(_COMPILATIONS_REMEMBERED):
        typst.compile(b"", font_paths=chosen, format="pdf")
