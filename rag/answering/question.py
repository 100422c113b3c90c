"""What a question asks for, by its words: which of them must be met, and what kind of answer it wants. Pure."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from rag.answering.kinds import Kind, kind_of

Terms = Callable[[str], frozenset[int]]
"""The index's own terms of a text: its words without the ones that say nothing, each as its stem. So what counts as a
word met is what BM25 counts."""

_WORD = re.compile(r"\w+(?:[.,:'’-]\w+)*")
_HAS_DIGIT = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Question:
    """A question as it is judged.

    `words`: the terms of each word that says something. `exact`: words that only themselves can meet: numbers, codes.
    `names`: words that are written like names.
    """

    text: str
    words: tuple[frozenset[int], ...]
    exact: tuple[str, ...]
    names: tuple[str, ...]
    wanted: Kind


def read(text: str, terms: Terms) -> Question:
    """Takes a question apart."""
    written = _WORD.findall(text)
    exact = tuple(word for word in written if _HAS_DIGIT.search(word))
    names = tuple(word for word in written[1:] if word[0].isupper() and word not in exact and terms(word))
    counting = tuple(numbers for word in written if (numbers := terms(word)))
    return Question(text, counting, exact, names, kind_of(text))


def has_word(text: str, word: str) -> bool:
    """Whether `word` stands in `text` as a word, in any case."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None
