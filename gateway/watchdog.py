"""The watchdog "speech but no words": a speaker should not find out at the end that nothing was written down. Pure."""

from parley.audio import SAMPLE_RATE
from parley.transcript import Segment


class NoWords:
    """Adds up the speech of finals in a row that have no word."""

    def __init__(self, limit_s: float) -> None:
        self._limit = limit_s * SAMPLE_RATE
        self._silent = 0
        self._told = False

    def heard(self, segment: Segment) -> bool:
        """Takes a final. True where the client is to be told: once each time that the limit is passed."""
        if segment.words:
            self._silent, self._told = 0, False
            return False
        self._silent += segment.end - segment.start
        if self._told or self._silent <= self._limit:
            return False
        self._told = True
        return True
