"""The sentences of a transcript, each with the segments that it is spoken in. Pure.

Segments end where somebody paused, which is not where sentences end: one can go over several, and several stand in
one. What ends a sentence is its punctuation; where a recogniser writes none, or somebody never comes to an end, a pause
does, or the sentence's length.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from parley.audio import SAMPLE_RATE
from parley.transcript import Segment, Word, join_words, samples_to_ms

_Item = TypeVar("_Item")

_ENDS = (".", "?", "!", "…", "。", "｡", "？", "！", "؟", "।", "۔", "።")
_CLAUSE_ENDS = (",", ";", ":", "、", "，", "；", "：", "،", "؛", "—", "–")
_CLOSING = "\"'”’»)]）」』"
_PAUSE_S = 1.0
"""A pause this long between two segments ends a sentence, punctuated or not."""
_ENOUGH, _MOST = 250, 500
"""Characters after which a sentence ends with its next clause or segment, or with its next word."""
_TITLES = frozenset({"mr.", "mrs.", "ms.", "dr.", "prof.", "st.", "vs.", "e.g.", "i.e.", "z.b.", "d.h.", "bzw.", "ca."})
"""Words whose full stop ends nothing."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """`segments` are the numbers of those that it is spoken in, in order; `suspect`: a guard doubts one of them."""

    text: str
    segments: tuple[int, ...]
    start_ms: int
    end_ms: int
    language: str = ""
    suspect: bool = False


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A word in its segment, and the pause behind it, in samples; None within a segment."""

    word: Word
    segment: Segment
    pause: int | None


def sentences_of(segments: Sequence[Segment]) -> list[Sentence]:
    """The sentences of `segments`, which are in order. Every word is in exactly one."""
    found: list[Sentence] = []
    current: list[_Spoken] = []
    characters = 0
    for spoken, following in _with_next(_words(segments)):
        current.append(spoken)
        characters += len(spoken.word.text) + 1
        if following is None or _ends(spoken, following, characters):
            found.append(_sentence(current))
            current, characters = [], 0
    return found


def _words(segments: Sequence[Segment]) -> Iterator[_Spoken]:
    spoken = [segment for segment in segments if segment.words]
    for segment, following in _with_next(iter(spoken)):
        *inner, last = segment.words
        yield from (_Spoken(word, segment, None) for word in inner)
        yield _Spoken(last, segment, following.words[0].start - last.end if following else 0)


def _with_next(items: Iterator[_Item]) -> Iterator[tuple[_Item, _Item | None]]:
    current = next(items, None)
    while current is not None:
        following = next(items, None)
        yield current, following
        current = following


def _ends(spoken: _Spoken, following: _Spoken, characters: int) -> bool:
    if spoken.segment.language != following.segment.language or characters >= _MOST:
        return True
    text = spoken.word.text.rstrip(_CLOSING)
    if text.endswith(_ENDS) and not _goes_on(text, following.word.text):
        return True
    if spoken.pause is not None and (spoken.pause >= _PAUSE_S * SAMPLE_RATE or characters >= _ENOUGH):
        return True
    return characters >= _ENOUGH and text.endswith(_CLAUSE_ENDS)


def _goes_on(text: str, following: str) -> bool:
    """Whether a full stop behind `text` ends no sentence: that of an abbreviation, an initial, an ordinal."""
    if not text.endswith("."):
        return False
    initial = len(text) == 2 and text[0].isalpha() and text[0].isupper() and text != "I."
    return initial or text.lower() in _TITLES or following[:1].islower()


def _sentence(spoken: Sequence[_Spoken]) -> Sentence:
    segments = {each.segment.number: each.segment for each in spoken}
    first = spoken[0].word
    return Sentence(
        text=join_words([each.word for each in spoken]),
        segments=tuple(segments),
        start_ms=samples_to_ms(first.start),
        end_ms=max(samples_to_ms(first.start), samples_to_ms(spoken[-1].word.end)),
        language=spoken[0].segment.language,
        suspect=any(segment.suspect for segment in segments.values()),
    )
