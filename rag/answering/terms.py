"""The terms of a text, as the index counts them (`rag.words`): so a word is met here where BM25 meets it."""

from collections.abc import Collection
from functools import lru_cache

from rag import words
from rag.answering.question import Terms


@lru_cache(16_384)
def of_text(text: str, language: str) -> frozenset[int]:
    """Of a text whose language is known; without its stop words."""
    return frozenset[int]().union(*(place.numbers for place in words.places(text, language)))


def of_question(languages: Collection[str]) -> Terms:
    """For questions, whose language nobody says: a word counts where no language of what was found calls it empty."""
    known = sorted(languages)

    def terms(text: str) -> frozenset[int]:
        numbers: set[int] = set()
        for place in words.places(text, ""):
            by_language = [of_text(text[place.start : place.end], language) for language in known]
            if all(by_language):
                numbers.update(*by_language)
        return frozenset(numbers)

    return terms
