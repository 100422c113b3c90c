"""The fonts that a PDF is set in, and which characters they have.

Two come in wheels: FiraGO (Latin, Greek, Cyrillic, Arabic, Hebrew, Devanagari, Thai, Georgian) and Noto Sans CJK
(Chinese, Japanese, Korean). Only a text with other characters asks for the machine's own fonts. Looking them over takes
some 0.1 s, and happens once.
"""

import atexit
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import pymupdf_fonts
import typst
import uharfbuzz

FAMILIES = ("FiraGO", "Noto Sans CJK JP")
_FIRA = {"figo": "FiraGO-Regular.ttf", "figbo": "FiraGO-Bold.ttf", "figit": "FiraGO-Italic.ttf"}


@cache
def carried() -> typst.Fonts:
    """The fonts that came with Parley."""
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=_folders())


@cache
def all_fonts() -> typst.Fonts:
    """Those and the machine's own."""
    return typst.Fonts(include_system_fonts=True, include_embedded_fonts=False, font_paths=_folders())


@cache
def characters(fonts: typst.Fonts) -> frozenset[str]:
    """The characters that `fonts` have glyphs for."""
    return frozenset(chr(code) for font in fonts.fonts() for code in _codes(font))


def _codes(font: typst.FontInfo) -> "set[int]":
    assert font.path is not None  # only fonts embedded in typst have none
    return set(uharfbuzz.Face(uharfbuzz.Blob.from_file_path(font.path), font.index).unicodes)


@cache
def _folders() -> list[str]:
    """Where the carried fonts are. FiraGO's come as bytes and typst reads files: they are written once."""
    folder = TemporaryDirectory(prefix="parley-fonts-")
    atexit.register(folder.cleanup)
    for name, file in _FIRA.items():
        (Path(folder.name) / file).write_bytes(pymupdf_fonts.myfont(name))
    return [folder.name, str(files("noto_cjk_sans_jp_regular"))]
