"""What was found, as sentences with the time of each. Pure.

Extracts are sentences, so that an answer plays where it is said and not where its passage begins.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parley.rag_wire import Hit

_ENDS = re.compile(r"(?<=[.!?…])[\"'”’»)]*\s+|(?<=[。！？])")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|Nr|No|ca|bzw|z\.\s?B|d\.\s?h|e\.g|i\.e|vs|M|Mme|Sr|Sra)\.$")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of a segment. Times are milliseconds on the recording's clock, by its share of the segment's text.

    `passage` is the place of its passage among those found, 0 the best; of several the best.
    """

    recording_id: str
    segment: int
    start_ms: int
    end_ms: int
    text: str
    passage: int

    @property
    def is_question(self) -> bool:
        return self.text.rstrip("\"'”’») ").endswith(("?", "？"))


def sentences_of(hits: Sequence[Hit]) -> list[Sentence]:
    """The sentences of all passages, by recording and time, each once although passages overlap."""
    found: dict[tuple[str, int], list[Sentence]] = {}
    for place, hit in enumerate(hits):
        for segment in hit.segments:
            key = hit.recording_id, segment.number
            if key not in found:
                found[key] = list(_of_segment(*key, segment.start_ms, segment.end_ms, segment.text, place))
    return [sentence for key in sorted(found) for sentence in found[key]]


def split(text: str) -> list[tuple[int, str]]:
    """The sentences of `text`, each with where it begins: at what ends one, unless that is an abbreviation's point."""
    pieces, begin = [], 0
    for end in _ENDS.finditer(text):
        if _ABBREVIATION.search(text[begin : end.start()]):
            continue
        pieces.append((begin, text[begin : end.end()].strip()))
        begin = end.end()
    pieces.append((begin, text[begin:].strip()))
    return [(start, piece) for start, piece in pieces if piece]


def _of_segment(
    recording_id: str, number: int, start_ms: int, end_ms: int, text: str, passage: int
) -> Iterator[Sentence]:
    ms_per_character = (end_ms - start_ms) / max(len(text), 1)
    for offset, piece in split(text):
        begin = round(start_ms + offset * ms_per_character)
        end = round(start_ms + (offset + len(piece)) * ms_per_character)
        yield Sentence(recording_id, number, begin, end, piece, passage)
