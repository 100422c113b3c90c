"""From segments to passages: what is embedded, indexed and found. Pure: the same segments give the same passages.

A passage is a run of whole segments of 150 to 250 words; it ends at a pause, where one comes in time, and the next one
begins with about its last sixth again, so that what is said across an edge is found too. Segments that come later
change the last passage only.
"""

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

LEAST_WORDS, MOST_WORDS = 150, 250
OVERLAP = 0.175
"""Of a passage's words, begun with again: whole segments, so the nearest that they come to it."""
PAUSE_MS = 1500
"""Silence that ends a passage which is long enough."""
_FORM = 1
"""Grows when passages are built or embedded in another way: then all of them are new."""

# Scripts that put no blanks between words, and about how many of their characters make one.
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")
_SYLLABLES = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")  # Thai, Lao, Burmese, Khmer
_IDEOGRAPHS_A_WORD, _SYLLABLES_A_WORD = 2, 5


@dataclass(frozen=True, slots=True)
class Spoken:
    """One segment: its number in the recording, its times in ms on the recording's clock, what was said."""

    number: int
    start_ms: int
    end_ms: int
    text: str
    language: str
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """The recording that passages are of."""

    owner: str
    recording_id: str
    title: str | None
    created_at: datetime
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """Neighbouring segments of one recording. `id` is a hash of all that is in it: another content, another id."""

    id: str
    source: Source
    segments: tuple[Spoken, ...]

    @property
    def start_ms(self) -> int:
        return self.segments[0].start_ms

    @property
    def end_ms(self) -> int:
        return self.segments[-1].end_ms

    @property
    def text(self) -> str:
        return " ".join(segment.text for segment in self.segments)

    @property
    def language(self) -> str:
        """The one with the most words."""
        return _most((segment.language, words_in(segment.text)) for segment in self.segments) or ""

    @property
    def speaker(self) -> str | None:
        return _most((segment.speaker, words_in(segment.text)) for segment in self.segments)

    @property
    def embedded_text(self) -> str:
        """What is embedded, and weighed word by word: the title and the day stand in front."""
        day = f"{self.source.created_at:%d %B %Y}".lstrip("0")
        heading = f"{self.source.title}, {day}" if self.source.title else day
        return f"{heading}\n{self.text}"


def _most(weighed: Iterable[tuple[str | None, int]]) -> str | None:
    weights: Counter[str | None] = Counter()
    for value, weight in weighed:
        weights[value] += weight
    return weights.most_common(1)[0][0] if weights else None


def words_in(text: str) -> int:
    """How many words a text has, about, in every script; 1 at least where it has anything."""
    blanked = _SYLLABLES.sub(" ", _IDEOGRAPHS.sub(" ", text))
    ideographs, syllables = len(_IDEOGRAPHS.findall(text)), len(_SYLLABLES.findall(text))
    return len(blanked.split()) + math.ceil(ideographs / _IDEOGRAPHS_A_WORD) + math.ceil(syllables / _SYLLABLES_A_WORD)


def passages_of(source: Source, segments: Sequence[Spoken]) -> list[Passage]:
    """The passages of a recording, in order. `segments` are in order; those without words are left out."""
    return [Passage(_id_of(source, run), source, run) for run in _runs([s for s in segments if s.text.strip()])]


def _runs(segments: Sequence[Spoken]) -> Iterator[tuple[Spoken, ...]]:
    run: list[Spoken] = []
    for segment in segments:
        if run and _ends_before(run, segment):
            yield tuple(run)
            run = _tail(run)
            if _weight(run) + words_in(segment.text) > MOST_WORDS:
                run = []
        run.append(segment)
    if run:
        yield tuple(run)


def _ends_before(run: Sequence[Spoken], segment: Spoken) -> bool:
    weight = _weight(run)
    if weight + words_in(segment.text) > MOST_WORDS:
        return True
    return weight >= LEAST_WORDS and segment.start_ms - run[-1].end_ms >= PAUSE_MS


def _tail(run: Sequence[Spoken]) -> list[Spoken]:
    """The last segments that come nearest to the overlap; none where even one is far from it, and never all."""
    wanted = OVERLAP * _weight(run)
    tails = (run[start:] for start in range(len(run), 0, -1))
    return list(min(tails, key=lambda tail: abs(_weight(tail) - wanted)))


def _weight(run: Iterable[Spoken]) -> int:
    return sum(words_in(segment.text) for segment in run)


def _id_of(source: Source, run: Sequence[Spoken]) -> str:
    said = [[s.number, s.start_ms, s.end_ms, s.text, s.language, s.speaker] for s in run]
    about = [source.owner, source.recording_id, source.title, source.created_at.isoformat(), sorted(source.tags)]
    content = json.dumps([_FORM, about, said], ensure_ascii=False, separators=(",", ":"))
    return str(UUID(bytes=hashlib.sha256(content.encode()).digest()[:16], version=5))
