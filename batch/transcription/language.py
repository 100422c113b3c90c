"""Which language to take for a segment whose own is not certain. Pure.

A segment of two words tells little of its language. So that of the recording's first clear segment goes along with the
later ones, and the engine takes it where what it detects is less certain than its threshold. The first segments are
written down one after the other until one is clear: which one that is depends on the audio alone, and not on what
happened to be decoded together.
"""

from collections.abc import Iterable

from parley.transcript import Segment

FIRST = 8
"""Segments after which none is expected to be clear any more: music, or noise."""
_CLEAR = 0.5
"""Mean confidence of the words from which a segment's language is believed."""


class LikelyLanguage:
    """Tell it the first finals in order. `settled`: later ones change nothing."""

    def __init__(self, given: str | None, first: Iterable[Segment] = ()) -> None:
        """`given`: the language that the owner has named; then there is nothing to find out."""
        self.language: str | None = None
        self._left = 0 if given else FIRST
        for segment in first:
            self.heard(segment)

    @property
    def settled(self) -> bool:
        return self._left == 0

    def heard(self, segment: Segment) -> None:
        if self.settled:
            return
        self._left -= 1
        if segment.words and segment.confidence >= _CLEAR and not segment.suspect:
            self.language, self._left = segment.language, 0
