"""Where the words of a query stand in a text, by the same stems by which they are found."""

from collections.abc import Collection

from parley.rag_wire import Piece
from rag import words


def marked(text: str, language: str, wanted: Collection[int]) -> tuple[tuple[Piece, ...], int]:
    """The text in pieces, and how many of the wanted words are in it. `wanted`: numbers, of `words.of_query`."""
    spans: list[tuple[int, int]] = []
    met: set[int] = set()
    for place in words.places(text, language):
        if hits := place.numbers.intersection(wanted):
            met |= hits
            if spans and place.start <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(spans[-1][1], place.end))
            else:
                spans.append((place.start, place.end))
    return _cut(text, spans), len(met)


def _cut(text: str, spans: list[tuple[int, int]]) -> tuple[Piece, ...]:
    pieces, at = [], 0
    for start, end in spans:
        pieces += [Piece(text=text[at:start]), Piece(text=text[start:end], match=True)]
        at = end
    return tuple(piece for piece in (*pieces, Piece(text=text[at:])) if piece.text)
