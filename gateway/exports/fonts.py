"""The fonts that a PDF is set in, and which characters they have.

Two come in wheels: FiraGO (Latin, Greek, Cyrillic, Arabic, Hebrew, Devanagari, Thai, Georgian) and Noto Sans CJK
(Chinese, Japanese, Korean). Only a text with other characters asks for the machine's own fonts. Looking them over takes
some 0.1 s, and happens once.
"""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import pymupdf_fonts
import typst
import uharfbuzz

FAMILIES = ("FiraGO", "Noto Sans CJK JP")
"""What the carried fonts are called, the first preferred."""
_FIRA = {"figo": "FiraGO-Regular.ttf", "figbo": "FiraGO-Bold.ttf", "figit": "FiraGO-Italic.ttf"}
_USES_EACH = b'#set text(font: "FiraGO")\na *a* _a_'


@dataclass(frozen=True, slots=True)
class FontSet:
    """Fonts, and the characters that they have glyphs for."""

    fonts: typst.Fonts
    characters: frozenset[str]


@cache
def carried() -> FontSet:
    """The fonts that came with Parley."""
    return _load(of_the_machine=False)


@cache
def all_fonts() -> FontSet:
    """Those and the machine's own."""
    return _load(of_the_machine=True)


def _load(*, of_the_machine: bool) -> FontSet:
    """FiraGO comes as bytes and Typst reads files, each when it is first used: after that, they may go."""
    with TemporaryDirectory(prefix="parley-fonts-") as folder:
        for name, file in _FIRA.items():
            (Path(folder) / file).write_bytes(pymupdf_fonts.myfont(name))
        found = typst.Fonts(
            include_system_fonts=of_the_machine,
            include_embedded_fonts=False,
            font_paths=[folder, str(files("noto_cjk_sans_jp_regular"))],
        )
        typst.compile(_USES_EACH, font_paths=found, format="pdf")
        return FontSet(found, frozenset(chr(code) for font in found.fonts() for code in _codes(font)))


def _codes(font: typst.FontInfo) -> list[int]:
    assert font.path is not None  # only what is embedded in Typst has none
    face = uharfbuzz.Face(uharfbuzz.Blob.from_file_path(font.path), font.index)
    return list(face.unicodes)
