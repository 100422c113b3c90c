"""Which words of a transcript stand on the screen together, and when: subtitles by the trade's rules. Pure.

A cue is at most two lines of 42 columns, on the screen for 1 to 7 s, and where speech allows it is read at no more than
20 columns a second; it ends with a sentence, or at least a clause, where one ends nearby; cues never overlap. The times
are those of the words. Source: Netflix, Timed Text Style Guide, General Requirements and English (42 characters, two
lines, at most 7 s, 20 characters a second for adults); BBC Subtitle Guidelines, chapters on line breaks and timing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, zip_longest
from unicodedata import combining, east_asian_width

from parley.audio import SAMPLE_RATE
from parley.transcript import Segment, Word, join_words, samples_to_ms

LINE_COLUMNS = 42
SHORTEST_MS = 1000
LONGEST_MS = 7000
COLUMNS_PER_S = 20

_SENTENCE_ENDS = tuple(".?!…。？！؟।")
_CLAUSE_ENDS = tuple(",;:–—、，；：،؛")
_CLOSING = "\"'”’»)]）」』"

# What a division costs, in units of one cue: a cue more is worth less than a sentence cut in two.
_CUE = 1.0
_CLAUSE_CUT = 0.6
_WORD_CUT = 2.0
_TOO_SHORT = 3.0
_TOO_FAST = 3.0
_TOO_LONG = 50.0


@dataclass(frozen=True, slots=True)
class Cue:
    """What stands on the screen from `start_ms` until `end_ms`, later than `start_ms`: one or two lines."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    suspect: bool = False


def cues(segments: Sequence[Segment]) -> list[Cue]:
    """The cues of `segments`, in order and never overlapping. A cue holds words of one segment only."""
    spoken = [segment for segment in segments if segment.words]
    pairs = zip_longest(spoken, spoken[1:])
    return list(_apart([cue for segment, following in pairs for cue in _cues_of(segment, following)]))


def _cues_of(segment: Segment, following: Segment | None) -> Iterator[Cue]:
    """The cues of one segment, over before the one that follows."""
    words = _narrow(_timed(segment))
    limit = following.start if following else None
    for first, end in _divided(words, limit):
        next_start = words[end].start if end < len(words) else limit
        yield _cue(words[first:end], next_start, segment.suspect)


def columns(text: str) -> int:
    """How wide `text` is: 2 columns for the wide characters of Chinese, Japanese and Korean, 0 for combining marks."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def _timed(segment: Segment) -> list[Word]:
    """The segment's words with times within the segment that never go back.

    Recognisers give several words in a row one time where they lost the place; those share the time until the next.
    """
    starts = list(accumulate((min(max(word.start, segment.start), segment.end) for word in segment.words), max))
    spread: list[int] = []
    for start, run in groupby(starts):
        count = len(list(run))
        until = starts[len(spread) + count] if len(spread) + count < len(starts) else segment.end
        spread += [start + (until - start) * i // count for i in range(count)]
    return [
        replace(word, start=start, end=max(start, min(word.end, segment.end)))
        for word, start in zip(segment.words, spread, strict=True)
    ]


def _narrow(words: Sequence[Word]) -> list[Word]:
    """`words` with each that is wider than a line cut into pieces that are not."""
    return [piece for word in words for piece in _pieces(word)]


def _pieces(word: Word) -> Iterator[Word]:
    if columns(word.text) <= LINE_COLUMNS:
        yield word
        return
    size = LINE_COLUMNS // 2  # fits even if every character is wide
    texts = [word.text[i : i + size] for i in range(0, len(word.text), size)]
    for i, text in enumerate(texts):
        start, end = (word.start + (word.end - word.start) * k // len(texts) for k in (i, i + 1))
        yield replace(word, text=text, start=start, end=end, joins=word.joins or i > 0)


def _divided(words: Sequence[Word], limit: int | None) -> list[tuple[int, int]]:
    """The cheapest division of `words` into cues, each as the index of its first word and of the word after its last.

    Dynamic programming over the last cue; what fits on two lines bounds how far back it can begin.
    """
    layout = _Layout.of(words)
    line = [layout.reach(first) for first in range(len(words) + 1)]
    cuts = [*(_cut(word) for word in words[:-1]), 0.0]
    best: list[tuple[float, int]] = [(0.0, 0)] + [(float("inf"), 0)] * len(words)
    for first in range(len(words)):
        for end in range(first + 1, line[line[first]] + 1):
            next_start = words[end].start if end < len(words) else limit
            cost = best[first][0] + cuts[end - 1] + _cost(words[first:end], next_start, layout.width(first, end))
            if cost < best[end][0]:
                best[end] = (cost, first)
    return _path([first for _, first in best])


def _path(firsts: Sequence[int]) -> list[tuple[int, int]]:
    end, path = len(firsts) - 1, []
    while end:
        path.append((firsts[end], end))
        end = firsts[end]
    return path[::-1]


def _cost(words: Sequence[Word], next_start: int | None, width: int) -> float:
    """What a cue of `words` costs in itself, `width` columns to read before the sample `next_start`."""
    cost = _CUE
    if words[-1].end - words[0].start > LONGEST_MS * SAMPLE_RATE // 1000:
        cost += _TOO_LONG * (len(words) - 1)  # a single word cannot be divided, however long it lasts
    if next_start is not None:
        seconds = max(next_start - words[0].start, 1) / SAMPLE_RATE
        cost += _TOO_SHORT * max(0.0, 1 - seconds * 1000 / SHORTEST_MS)
        cost += _TOO_FAST * max(0.0, 1 - seconds * COLUMNS_PER_S / max(width, 1))
    return cost


def _cut(last: Word) -> float:
    """What it costs to part the word `last` from the one after it."""
    text = last.text.rstrip(_CLOSING)
    if text.endswith(_SENTENCE_ENDS):
        return 0.0
    return _CLAUSE_CUT if text.endswith(_CLAUSE_ENDS) else _WORD_CUT


def _cue(words: Sequence[Word], next_start: int | None, suspect: bool) -> Cue:
    """The cue of `words`: on the screen as long as reading takes, but not into the next one, and no longer than 7 s."""
    start_ms = samples_to_ms(words[0].start)
    lines = _lines(words)
    reading_ms = -(-sum(map(columns, lines)) * 1000 // COLUMNS_PER_S)
    end_ms = max(samples_to_ms(words[-1].end), start_ms + max(SHORTEST_MS, reading_ms))
    if next_start is not None:
        end_ms = min(end_ms, samples_to_ms(next_start))
    return Cue(start_ms, min(end_ms, start_ms + LONGEST_MS), lines, suspect)


def _lines(words: Sequence[Word]) -> tuple[str, ...]:
    """`words` on one line if they fit, else on two, parted at punctuation if possible and about in the middle."""
    layout = _Layout.of(words)
    if layout.width(0, len(words)) <= LINE_COLUMNS:
        return (join_words(list(words)),)
    fitting = [i for i in range(1, len(words)) if layout.lines_fit(i)]
    middle = min(fitting, key=lambda i: 10 * _cut(words[i - 1]) + abs(layout.width(0, i) - layout.width(i, len(words))))
    return join_words(list(words[:middle])), join_words(list(words[middle:]))


def _apart(found: Sequence[Cue]) -> Iterator[Cue]:
    """`found` with every cue after the one before it, and of at least a millisecond, whatever the words' times were."""
    earliest = 0
    for cue in found:
        start_ms = max(cue.start_ms, earliest)
        earliest = max(cue.end_ms, start_ms + 1)
        yield replace(cue, start_ms=start_ms, end_ms=earliest)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How wide runs of words are. `ends` has where each word ends if all stood on one line, `blanks` what is before."""

    ends: tuple[int, ...]
    blanks: tuple[int, ...]

    @classmethod
    def of(cls, words: Sequence[Word]) -> "_Layout":
        blanks = tuple(0 if word.joins else 1 for word in words)
        widths = (columns(word.text) + blank for word, blank in zip(words, blanks, strict=True))
        return cls(tuple(accumulate(widths, initial=0)), blanks)

    def width(self, first: int, end: int) -> int:
        """Columns of the words from `first` up to but not including `end`, on one line."""
        return self.ends[end] - self.ends[first] - (self.blanks[first] if first < end else 0)

    def reach(self, first: int) -> int:
        """The furthest `end` for which the words from `first` fit on a line."""
        end = first
        while end < len(self.blanks) and self.width(first, end + 1) <= LINE_COLUMNS:
            end += 1
        return end

    def lines_fit(self, middle: int) -> bool:
        return max(self.width(0, middle), self.width(middle, len(self.blanks))) <= LINE_COLUMNS
