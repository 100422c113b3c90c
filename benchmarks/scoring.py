"""How well text was written down: word errors, and what of the text on the screen had to change. Pure.

Words are compared as OpenAI compares them for Whisper (https://arxiv.org/abs/2212.04356, appendix C): case,
punctuation, fillers and, in English, contractions, spellings and the writing of numbers make no error. Churn is what a
reader sees change, so there numbers and contractions stay as they are written; case and punctuation are no change.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from rapidfuzz.distance import LCSseq, Levenshtein
from whisper_normalizer.basic import BasicTextNormalizer
from whisper_normalizer.english import EnglishTextNormalizer

_WITHOUT_BLANKS = frozenset({"ja", "lo", "my", "th", "yue", "zh"})
"""Languages written without blanks: their characters are scored in place of words, as OpenAI does."""

Pair = tuple[Sequence[str], Sequence[str]]
"""Words that were said, words that were written."""


@dataclass(slots=True)
class Shown:
    """What a reader saw of one segment: `partials`, each its committed and its tentative text, and then the `final`."""

    partials: list[tuple[str, str]] = field(default_factory=list)
    final: str = ""

    @property
    def committed(self) -> str:
        """As last shown before the final."""
        return self.partials[-1][0] if self.partials else ""


def committed_text(segments: Iterable[Shown]) -> str:
    return " ".join(segment.committed for segment in segments)


def final_text(segments: Iterable[Shown]) -> str:
    return " ".join(segment.final for segment in segments)


def scored_words(text: str, language: str) -> list[str]:
    """The words that count for the word error rate."""
    return _words(_normalizer(language)(text))


def plain_words(text: str) -> list[str]:
    """The words as a reader sees them, without case and punctuation."""
    return _words(_basic(split_letters=False)(text))


def word_error_rate(pairs: Iterable[Pair]) -> float | None:
    """Substitutions, deletions and insertions for each word that was said; None where nothing was said."""
    errors = words = 0
    for said, written in pairs:
        errors += Levenshtein.distance(said, written)
        words += len(said)
    return errors / words if words else None


def overturned(shown: Sequence[str], later: Sequence[str]) -> set[int]:
    """The places in `shown` of the words that are not, in order, in `later` too."""
    kept = [block for block in LCSseq.opcodes(shown, later) if block.tag == "equal"]
    return set(range(len(shown))).difference(*(range(block.src_start, block.src_end) for block in kept))


@dataclass(frozen=True, slots=True)
class Churn:
    """`words` that were shown, `changed` of them."""

    words: int = 0
    changed: int = 0

    def __add__(self, other: "Churn") -> "Churn":
        return Churn(self.words + other.words, self.changed + other.changed)

    @property
    def share(self) -> float | None:
        return self.changed / self.words if self.words else None


def committed_churn(segments: Iterable[Shown], offline: str) -> Churn:
    """The committed words of a clip, and those of them that its offline decode does not have."""
    committed = plain_words(committed_text(segments))
    return Churn(len(committed), len(overturned(committed, plain_words(offline))))


def tentative_churn(segment: Shown) -> Churn:
    """The words that were shown as tentative, and those that were gone before they were committed or final.

    A word counts once, from the partial that first shows it until it is committed, final or gone.
    """
    words = changed = 0
    before: list[str] = []
    settled = 0  # of the words before
    displays = [(plain_words(committed), plain_words(tentative)) for committed, tentative in segment.partials]
    for committed, tentative in [*displays, (plain_words(segment.final), [])]:
        now = committed + tentative
        changed += sum(place >= settled for place in overturned(before, now))
        words += sum(place >= len(committed) for place in overturned(now, before))
        before, settled = now, len(committed)
    return Churn(words, changed)


def differences(said: Sequence[str], written: Sequence[str]) -> str:
    """`said`, with `{was → is}` where `written` differs."""
    pieces = []
    for block in Levenshtein.opcodes(said, written):
        was = " ".join(said[block.src_start : block.src_end])
        instead = " ".join(written[block.dest_start : block.dest_end])
        pieces.append(was if block.tag == "equal" else f"{{{was} → {instead}}}")
    return " ".join(pieces)


def _words(normalized: str) -> list[str]:
    return [word for word in normalized.split() if any(char.isalnum() for char in word)]


@cache
def _english() -> EnglishTextNormalizer:
    return EnglishTextNormalizer()


@cache
def _basic(*, split_letters: bool) -> BasicTextNormalizer:
    return BasicTextNormalizer(split_letters=split_letters)


def _normalizer(language: str) -> EnglishTextNormalizer | BasicTextNormalizer:
    return _english() if language == "en" else _basic(split_letters=language in _WITHOUT_BLANKS)
