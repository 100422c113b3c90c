"""Whoever catches up with a recording ends its segments where its client did, however far the journal has gone on."""

from typing import Any

import numpy as np
import pytest

from gateway import transcriber as module
from gateway.transcriber import Transcriber
from parley.audio import Samples


class ScriptedJournal:
    """Took `end` samples, `durable` of them are written; the client ended a segment at each of `marks`."""

    def __init__(self, end: int, durable: int, marks: tuple[int, ...]) -> None:
        self.end, self.durable, self.marks = end, durable, marks

    async def until_durable(self, sample: int) -> None:
        """Never asked here."""

    def tail(self, start: int) -> tuple[Samples, bool]:
        """As `Journal.tail`: it knows only of marks that are not written."""
        end = next((mark for mark in self.marks if mark > max(start, self.durable)), None)
        return np.zeros((end or self.end) - start, np.int16), end is not None


class ScriptedTranscription:
    """Notes where segments were ended. While it is fed for the first time, the journal writes all it has."""

    def __init__(self, journal: ScriptedJournal) -> None:
        self._journal = journal
        self.end = 0
        self.ended: list[int] = []

    async def feed(self, samples: Samples) -> None:
        self.end += len(samples)
        self._journal.durable = self._journal.end

    async def until_rescued(self) -> None:
        """Its engine is there."""

    async def finalize(self) -> None:
        self.ended.append(self.end)


def transcriber_of(journal: ScriptedJournal, monkeypatch: pytest.MonkeyPatch) -> Transcriber:
    monkeypatch.setattr(module, "Transcription", lambda *_: None)

    async def replay(_gateway: Any, _writer: Any, transcription: ScriptedTranscription, until: int, _: Any) -> None:
        await transcription.feed(np.zeros(until - transcription.end, np.int16))

    monkeypatch.setattr(module, "replay", replay)
    nothing: Any = None
    of_journal: Any = journal
    return Transcriber(nothing, nothing, of_journal, nothing)


async def test_what_is_written_meanwhile_does_not_hide_where_a_segment_was_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = ScriptedJournal(end=800, durable=0, marks=(500,))
    transcription: Any = ScriptedTranscription(journal)
    await transcriber_of(journal, monkeypatch)._catch_up(transcription)
    assert transcription.end == 800
    assert transcription.ended == [500]
