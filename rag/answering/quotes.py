"""Whether a quote stands in a text, and where. Pure.

Models quote with other quotation marks, other dashes, without a comma, in another case. So letters and digits are
compared and nothing else; what is shown is always the transcript's own text.
"""

import unicodedata

LEAST_CHARACTERS = 8
"""Letters and digits of a quote, unless it is all that the text has: `the` stands everywhere."""


def find(quote: str, text: str) -> tuple[int, int] | None:
    """Where `quote` stands in `text`: characters [start, end) of `text`; None where it does not, or is too short."""
    wanted, _ = _plain(quote)
    said, places = _plain(text)
    if not wanted or (len(wanted) < LEAST_CHARACTERS and wanted != said):
        return None
    if (at := said.find(wanted)) == -1:
        return None
    start, last = places[at], places[at + len(wanted) - 1]
    return _word_start(text, start), _word_end(text, last + 1)


def _plain(text: str) -> tuple[str, list[int]]:
    """Letters and digits of a text in one case, and the place of each in it."""
    characters, places = [], []
    for place, character in enumerate(text):
        for plain in unicodedata.normalize("NFKC", character).casefold():
            if plain.isalnum():
                characters.append(plain)
                places.append(place)
    return "".join(characters), places


def _word_start(text: str, start: int) -> int:
    while start and text[start - 1].isalnum() and _is_spaced(text[start - 1]):
        start -= 1
    return start


def _word_end(text: str, end: int) -> int:
    while end < len(text) and not text[end].isspace() and _is_spaced(text[end]):
        end += 1
    return end


def _is_spaced(character: str) -> bool:
    """Whether a word may go on with it: not so in scripts that put no blanks between words."""
    return not ("\u2e80" <= character <= "\u9fff" or "\uff00" <= character <= "\uffef")
