"""A transcript in another language, in the form in which transcripts are exported. Pure.

Nobody said these words, so none has a time of its own: each gets its share of the time in which the segment was spoken,
by its length. That is what subtitles need, and no more: the JSON form of a translation has no times of words.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from parley.transcript import Segment, Word

_WITHOUT_BLANKS = frozenset({"zh", "ja", "th", "lo", "km", "my", "zho", "jpn", "tha", "lao", "khm", "mya"})
"""Languages that put no blanks between words: there each character is taken for one."""


def translated(segments: Sequence[Segment], texts: Mapping[int, str], language: str) -> list[Segment]:
    """`segments` with `texts`, which are by number, in place of what was said; those without a text are left out."""
    return [
        replace(segment, words=tuple(_words(segment, texts[segment.number], language)), language=language)
        for segment in segments
        if segment.number in texts
    ]


def _words(segment: Segment, text: str, language: str) -> Iterator[Word]:
    joins = language in _WITHOUT_BLANKS
    parts = [character for character in text if not character.isspace()] if joins else text.split()
    start, end = (segment.words[0].start, segment.words[-1].end) if segment.words else (segment.start, segment.end)
    edges = [0, *accumulate(len(part) for part in parts)]
    times = [start + (end - start) * edge // max(1, edges[-1]) for edge in edges]
    for number, part in enumerate(parts):
        yield Word(part, times[number], times[number + 1], segment.confidence, joins and number > 0)
