"""DOCX and PDF are opened again by another program's reader, and say the same."""

import io
import re
import unicodedata
import zipfile
from collections.abc import Callable
from datetime import datetime

import docx
import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.exports import Export, fonts
from gateway.exports.document import paragraphs
from gateway.exports.pdf import MISSING, as_pdf
from gateway.exports.word import as_docx
from parley.transcript import Segment, Word
from tests.unit.gateway.exporting import NOTES, RECORDING, export, said

SCRIPTS = {
    "Latin": "Größe, ça va, zażółć, tiếng Việt",
    "Greek": "Καλημέρα σας",
    "Cyrillic": "Доброе утро, щука",
    "Georgian": "გამარჯობა",
    "Thai": "สวัสดี",
    "Chinese": "简体中文與繁體中文",
    "Japanese": "会議を始めましょう",
    "Korean": "안녕하세요",
}
ARABIC = "مرحبا بالعالم"
BENGALI = "বাংলা"


def pdf_text(file: bytes) -> str:
    """All text of a PDF, as PDFium reads it."""
    document = pypdfium2.PdfDocument(file)
    try:
        return "\n".join(page.get_textpage().get_text_range() for page in document)
    finally:
        document.close()


def docx_text(file: bytes) -> str:
    return "\n".join(paragraph.text for paragraph in docx.Document(io.BytesIO(file)).paragraphs)


def flat(text: str) -> str:
    """`text` without regard to where its lines broke."""
    return re.sub(r"[\s￾]+", "", text)


SEGMENTS = [said(i, i * 10, text) for i, text in enumerate(SCRIPTS.values())]


@pytest.fixture
def carried_fonts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with no fonts of its own."""
    monkeypatch.setattr(fonts, "all_fonts", fonts.carried)


@pytest.mark.parametrize(("read", "write"), [(docx_text, as_docx), (pdf_text, as_pdf)])
def test_documents_say_what_was_said_and_noted(read: Callable[[bytes], str], write: Callable[[Export], bytes]) -> None:
    found = flat(read(write(export(*SEGMENTS, said(9, 90, "Perhaps.", suspect=True), notes=NOTES))))
    for text in (*SCRIPTS.values(), "Größe & <things>", "2026-11-20 15:53 UTC · 0:12:34 · en", "Perhaps. [?]"):
        assert flat(text) in found
    for text in ("The week was planned.", "Costs *fell*.", "Write it down (Ann, due 2026-12-01)", "Today we planned."):
        assert flat(text) in found
    assert found.index("Summary") < found.index("Transcript") < found.index("Größe,")


@pytest.mark.usefixtures("carried_fonts_only")
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_carried_fonts_have_the_script(script: str) -> None:
    assert MISSING not in pdf_text(as_pdf(export(said(0, 0, SCRIPTS[script]))))


@pytest.mark.usefixtures("carried_fonts_only")
def test_a_character_without_a_glyph_is_marked_and_counted() -> None:
    text = pdf_text(as_pdf(export(said(0, 0, f"before {BENGALI} after"))))
    assert f"{len(BENGALI)} characters (Bengali) could not be printed" in text
    assert flat(f"before {MISSING * len(BENGALI)} after") in flat(text)


def test_arabic_runs_from_the_right() -> None:
    arabic = export(said(0, 0, ARABIC, language="ar"))
    text = pdf_text(as_pdf(arabic))
    assert MISSING not in text
    assert sorted(flat(ARABIC)) == sorted(char for char in flat(text) if unicodedata.bidirectional(char) == "AL")
    xml = zipfile.ZipFile(io.BytesIO(as_docx(arabic))).read("word/document.xml").decode()
    assert xml.count("<w:bidi/>") == 1
    assert ARABIC in xml


def test_a_pdf_is_the_same_each_time() -> None:
    assert as_pdf(export(*SEGMENTS)) == as_pdf(export(*SEGMENTS))


def test_documents_carry_title_and_date() -> None:
    properties = docx.Document(io.BytesIO(as_docx(export()))).core_properties
    assert properties.title == RECORDING.title
    assert properties.created == datetime.fromisoformat("2026-11-20T15:53:00+00:00")
    document = pypdfium2.PdfDocument(as_pdf(export()))
    assert document.get_metadata_value("Title") == RECORDING.title
    assert document.get_metadata_value("CreationDate").startswith("D:20261120155300")
    document.close()


def test_a_pdf_has_an_outline_of_its_headings() -> None:
    document = pypdfium2.PdfDocument(as_pdf(export(*SEGMENTS, notes=NOTES)))
    assert "Transcript" in [bookmark.get_title() for bookmark in document.get_toc()]
    document.close()


@settings(max_examples=25, deadline=None)
@given(st.text(min_size=1, max_size=60))
def test_no_text_is_too_odd_for_a_document(text: str) -> None:
    odd = export(Segment(0, 0, 16_000, (Word(text, 0, 16_000, 0.9),), "xx", 0.9))
    assert as_pdf(odd).startswith(b"%PDF-")
    assert as_docx(odd).startswith(b"PK")


def test_a_paragraph_ends_at_a_pause_with_its_language_or_once_it_is_long() -> None:
    sentence = "word " * 24 + "end."
    segments = [said(i, 10 * i, sentence) for i in range(8)]
    assert [len(group) for group in paragraphs(segments)] == [1] * 8
    joined = [said(i, 9 * i, sentence) for i in range(8)]
    assert [len(group) for group in paragraphs(joined)] == [4, 4]
    assert [len(group) for group in paragraphs([said(0, 0, "Yes."), said(1, 1, "Oui.", language="fr")])] == [1, 1]
    assert [len(group) for group in paragraphs([said(0, 0, "Yes."), said(1, 1, "No.")])] == [2]
