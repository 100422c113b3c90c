"""The words of texts, weighed for BM25: sparse vectors of Qdrant's own encoder, the same as its server's.

Words are brought to their stems by the language of their passage. Nobody says in which language a query is, so a query
is brought to stems by each language that was met so far. Scripts without blanks are cut into overlapping pairs of
characters: the usual n-grams, which need no dictionary.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from qdrant_edge import Bm25, Bm25Config, DisabledStemmer, SparseVector, StopwordsSet

_NAMES = {
    "ar": "arabic", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "fi": "finnish", "fr": "french", "hu": "hungarian", "it": "italian", "nl": "dutch", "no": "norwegian",
    "pt": "portuguese", "ro": "romanian", "ru": "russian", "sv": "swedish", "tr": "turkish",
}  # fmt: skip
"""Languages with a stemmer, by their code. All others are weighed as they are written."""
_AVERAGE_WORDS = 120.0
"""Of a passage, stop words left out: what BM25 measures lengths by."""
_RUNS = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f"
    r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+"
)
_WORDS = re.compile(r"[\w][\w'’\-]*")


@dataclass(frozen=True, slots=True)
class Sparse:
    """Weights by the numbers of words."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where one word stands in a text: characters [start, end); `numbers`: the words that it counts as."""

    start: int
    end: int
    numbers: frozenset[int]


def of_passage(text: str, language: str) -> Sparse:
    return _sparse(_encoder(_known(language)).embed_document(_blanked(text)))


def of_query(text: str, languages: Iterable[str]) -> Sparse:
    """Every word once, whatever language it is of; empty where there is no word but stop words."""
    blanked, names = _blanked(text), {_known(language) for language in languages} or {""}
    numbers = {number for name in names for number in _numbers(blanked, name)}
    return Sparse(tuple(sorted(numbers)), (1.0,) * len(numbers))


def places(text: str, language: str) -> list[Place]:
    """The words of a text, in order; those of scripts without blanks overlap."""
    name, found = _known(language), []
    for match in _WORDS.finditer(text):
        at = 0
        for run in _RUNS.finditer(match.group()):
            found += _word(text, match.start() + at, match.start() + run.start(), name)
            pairs = range(run.start(), max(run.start() + 1, run.end() - 1))
            for start in pairs:
                found += _word(text, match.start() + start, match.start() + min(start + 2, run.end()), name)
            at = run.end()
        found += _word(text, match.start() + at, match.end(), name)
    return found


def _word(text: str, start: int, end: int, name: str) -> list[Place]:
    return [Place(start, end, _numbers(text[start:end], name))] if end > start else []


@lru_cache(65_536)
def _numbers(text: str, name: str) -> frozenset[int]:
    return frozenset(_encoder(name).embed_query(text).indices)


def _blanked(text: str) -> str:
    """The text with blanks between the pairs of characters of scripts that put none between words."""
    return _RUNS.sub(lambda run: f" {' '.join(_pairs(run.group()))} ", text)


def _pairs(run: str) -> list[str]:
    return [run[start : start + 2] for start in range(max(1, len(run) - 1))]


def _known(language: str) -> str:
    return _NAMES.get(language.lower(), "")


@lru_cache
def _encoder(name: str) -> Bm25:
    if name:
        return Bm25(Bm25Config(language=name, avg_len=_AVERAGE_WORDS))
    return Bm25(Bm25Config(stopwords=StopwordsSet(), stemmer=DisabledStemmer(), avg_len=_AVERAGE_WORDS))


def _sparse(vector: SparseVector) -> Sparse:
    return Sparse(tuple(vector.indices), tuple(vector.values))
