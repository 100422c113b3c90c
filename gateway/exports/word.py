"""The document as DOCX, by python-docx: Word's own styles, so that a reader's outline and themes work.

The file names no fonts: Word and LibreOffice take those of the machine that has glyphs for the text.
"""

from datetime import UTC
from io import BytesIO

from docx import Document
from docx.document import Document as WordDocument
from docx.oxml import OxmlElement
from docx.shared import RGBColor
from docx.text.paragraph import Paragraph as WordParagraph

from gateway.exports.document import Block, Heading, Item, Paragraph, Remark, Run, document, from_right
from gateway.exports.export import SUSPECT, Export

_GREY = RGBColor(0x6B, 0x6B, 0x6B)


def as_docx(export: Export) -> bytes:
    """The file. Some 0.3 ms a paragraph."""
    word = Document()
    word.core_properties.title = export.title[:255]  # the most that the format holds
    word.core_properties.author = ""
    word.core_properties.comments = ""
    word.core_properties.created = export.recording.created_at.astimezone(UTC).replace(tzinfo=None)
    for block in document(export):
        _add(word, block)
    file = BytesIO()
    word.save(file)
    return file.getvalue()


def _add(word: WordDocument, block: Block) -> None:
    match block:
        case Heading(text, level):
            _directed(word.add_heading(text, level - 1), text)  # level 0 is Word's "Title"
        case Item(text, time):
            _add_timed(word.add_paragraph(style="List Bullet"), time, (Run(text),))
        case Paragraph(runs, time):
            _add_timed(word.add_paragraph(), time, runs)
        case Remark(text):
            _grey(word.add_paragraph(), text)


def _add_timed(paragraph: WordParagraph, time: str, runs: tuple[Run, ...]) -> None:
    if time:
        _grey(paragraph, f"{time} ")
    for i, run in enumerate(runs):
        text = f"{run.text} {SUSPECT}" if run.suspect else run.text
        paragraph.add_run(f" {text}" if i else text).italic = run.suspect or None
    _directed(paragraph, runs[0].text)


def _grey(paragraph: WordParagraph, text: str) -> None:
    paragraph.add_run(text).font.color.rgb = _GREY


def _directed(paragraph: WordParagraph, text: str) -> None:
    if not from_right(text):
        return
    paragraph._p.get_or_add_pPr().insert_element_before(OxmlElement("w:bidi"), *_AFTER_BIDI)
    for run in paragraph.runs:
        run.font.rtl = True


# The elements of a paragraph's properties have one order (ECMA-376, CT_PPr); these may follow w:bidi.
_AFTER_BIDI = (
    "w:adjustRightInd", "w:snapToGrid", "w:spacing", "w:ind", "w:contextualSpacing", "w:mirrorIndents",
    "w:suppressOverlap", "w:jc", "w:textDirection", "w:textAlignment", "w:textboxTightWrap", "w:outlineLvl", "w:divId",
    "w:cnfStyle", "w:rPr", "w:sectPr", "w:pPrChange",
)  # fmt: skip
