"""How many tokens a text has, about. Pure.

Every model has its own tokenizer, and most are not to be had here. So this counts too much on purpose in most
languages, since what is said to fit must fit; in a few it is up to a twentieth too little. (docs/language-models.md has
what was measured.)
"""

import math
import re
from collections.abc import Sequence

_PIECE = re.compile(r"[A-Za-z]+|[0-9]|[^\sA-Za-z0-9]|\n")
_LETTERS_A_TOKEN = 3
"""With 4, Finnish had a fifth fewer than GPT-4's tokenizer counts."""


def estimate(text: str) -> int:
    """Tokens of `text`: one for each three letters of a word begun, for each digit, sign and line; for what is not
    ASCII by its length in UTF-8, since tokenizers fall back to bytes."""
    return sum(_tokens(piece) for piece in _PIECE.findall(text))


def _tokens(piece: str) -> int:
    if piece.isascii():
        return math.ceil(len(piece) / _LETTERS_A_TOKEN)
    return max(1, len(piece.encode("utf-8", "replace")) - 1)


def packed(sizes: Sequence[int], room: int) -> list[range]:
    """Runs of neighbours that fit into `room` together, as few as can be, of like size. Raises ValueError where one
    alone does not fit.

    Of like size, since a short last part would make poor notes.
    """
    if any(size > room for size in sizes):
        raise ValueError(f"one has {max(sizes)} tokens, and there is room for {room}")
    best = _filled(sizes, room)
    if len(best) <= 1:
        return best
    low, high = max(max(sizes), math.ceil(sum(sizes) / len(best))), room
    while low < high:  # the smallest room that needs no more runs
        middle = (low + high) // 2
        if len(_filled(sizes, middle)) > len(best):
            low = middle + 1
        else:
            high = middle
    return _filled(sizes, low)


def _filled(sizes: Sequence[int], room: int) -> list[range]:
    runs: list[range] = []
    start, used = 0, 0
    for number, size in enumerate(sizes):
        if used + size > room and number > start:
            runs.append(range(start, number))
            start, used = number, 0
        used += size
    return [*runs, range(start, len(sizes))] if sizes else []
