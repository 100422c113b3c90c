"""Passages as search would give them, from lines of text."""

from datetime import UTC, datetime

from parley.rag_wire import Hit, Piece, Scores, SegmentHit

RECORDING = "8d2f6d0e-5f5b-4c5e-9f2a-0f3f4f1b2c3d"


def hit(*lines: str, recording_id: str = RECORDING, first: int = 0, title: str | None = "A talk") -> Hit:
    """A passage whose segments are `lines`, numbered from `first`; one begins every ten seconds and lasts five."""
    segments = tuple(
        SegmentHit(number=number, start_ms=number * 10_000, end_ms=number * 10_000 + 5000, pieces=(Piece(text=line),))
        for number, line in enumerate(lines, first)
    )
    return Hit(
        passage_id=f"{recording_id}-{first}",
        recording_id=recording_id,
        title=title,
        created_at=datetime(2026, 3, 2, 9, tzinfo=UTC),
        language="en",
        start_ms=segments[0].start_ms,
        end_ms=segments[-1].end_ms,
        at_ms=segments[0].start_ms,
        segments=segments,
        scores=Scores(fused=1.0, dense=0.5, words=1.0),
    )
