"""Plain text and Markdown. Pure."""

import re

from gateway.exports.document import Block, Heading, Item, Paragraph, Remark, Run, document, notes
from gateway.exports.export import SUSPECT, Export

# CommonMark 0.31, section 2.4: any ASCII punctuation may be escaped; these are those that can mean something inline.
_INLINE = re.compile(r"([\\`*_\[\]<>&~|$#])")
# Sections 4 and 5: what else can begin a list, a heading or a break where a line begins.
_AT_START = re.compile(r"^([-+=])")
_NUMBER_AT_START = re.compile(r"^(\d{1,9})([.)])")


def as_text(export: Export) -> str:
    """One line a segment, below the notes if there are any; or these alone."""
    spoken = "".join(f"{segment.text}{f' {SUSPECT}' if segment.suspect else ''}\n" for segment in export.spoken)
    if export.notes is None:
        return spoken
    blocks = [Heading(export.title, 1), *notes(export)]
    if not export.transcript:
        return "".join(_plain(block) for block in blocks)
    return "".join(_plain(block) for block in [*blocks, Heading("Transcript", 2)]) + "\n" + spoken


def as_markdown(export: Export) -> str:
    """CommonMark: what was said is text, whatever characters it has."""
    blocks = document(export)
    return "".join(
        f"{_markdown(block)}\n"
        if isinstance(block, Item) and isinstance(following, Item)
        else f"{_markdown(block)}\n\n"
        for block, following in zip(blocks, [*blocks[1:], None], strict=True)
    )


def _plain(block: Block) -> str:
    match block:
        case Heading(text, level=1):
            return f"{text}\n"
        case Heading(text):
            return f"\n{text}\n"
        case Item(text, time):
            return f"- {text}{f' ({time})' if time else ''}\n"
        case Paragraph(time=time):
            return f"{block.text}{f' ({time})' if time else ''}\n"
        case Remark(text):
            return f"{text}\n"


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_escaped(text)}"
        case Item(text, time):
            return f"- {f'**{time}** ' if time else ''}{_escaped(text)}"
        case Paragraph(runs, time):
            return f"{f'**{time}** ' if time else ''}{' '.join(map(_run, runs))}"
        case Remark(text):
            return f"*{_escaped(text)}*"


def _run(run: Run) -> str:
    return f"*{_escaped(run.text)}* {_escaped(SUSPECT)}" if run.suspect else _escaped(run.text)


def _escaped(text: str) -> str:
    """`text` as itself, wherever in a line it comes to stand."""
    text = _INLINE.sub(r"\\\1", text)
    return _NUMBER_AT_START.sub(r"\1\\\2", _AT_START.sub(r"\\\1", text))
