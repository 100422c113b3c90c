"""What is exported: a recording's transcript with its notes, and how times and dates are written. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from parley.notes import Notes
from parley.transcript import Recording, Segment, samples_to_ms

SUSPECT = "[?]"
"""Stands after words that a guard doubts, as transcribers mark what they are not sure to have heard."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Export:
    """A recording with its segments in order, and its notes if there are any.

    `transcript`: whether what was said stands below them, or they stand alone.
    """

    recording: Recording
    segments: Sequence[Segment]
    notes: Notes | None = None
    transcript: bool = True

    @property
    def spoken(self) -> list[Segment]:
        """The segments that have words, each word on one line."""
        return [_printable(segment) for segment in self.segments if segment.text]

    @property
    def title(self) -> str:
        """The title that a person gave, else that of the notes, else when it was recorded."""
        written = self.notes.title if self.notes else None
        return self.recording.title or written or f"Recording {self.recording.created_at:%Y-%m-%d %H.%M}"

    @property
    def about(self) -> str:
        """When it was recorded, how long it is, and its language."""
        recorded = self.recording.created_at
        parts = [
            f"{recorded:%Y-%m-%d %H:%M} {recorded.tzname() or 'UTC'}",
            clock(samples_to_ms(self.recording.samples)),
        ]
        return " · ".join([*parts, *([self.recording.language] if self.recording.language else [])])


def line(text: str) -> str:
    """`text` on one line, with what no format can hold (control characters, half of a pair) as U+FFFD."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", " ".join(text.split()))


def clock(ms: int) -> str:
    """`ms` milliseconds as hours, minutes and seconds: 1:02:03."""
    seconds = ms // 1000
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _printable(segment: Segment) -> Segment:
    """`segment` with its words on one line; almost always as it is."""
    if all(word.text == line(word.text) for word in segment.words):
        return segment
    return replace(segment, words=tuple(replace(word, text=line(word.text)) for word in segment.words))
