"""A small recording in many scripts, with notes, for the tests of exports."""

from datetime import UTC, date, datetime

from gateway.exports.export import Export
from parley.audio import SAMPLE_RATE
from parley.notes import ActionItem, Chapter, Notes, Point
from parley.transcript import Recording, Segment, Word

RECORDING = Recording(
    id="00000000-0000-4000-8000-000000000000",
    owner="me",
    title="Größe & <things>",
    state="finished",
    created_at=datetime(2026, 11, 20, 15, 53, tzinfo=UTC),
    samples=754 * SAMPLE_RATE,
    language="en",
)
NOTES = Notes(
    title="The week",
    summary=(Point(text="The week was planned.", segments=(0, 1)),),
    key_points=(Point(text="Costs *fell*.", segments=(1,)),),
    decisions=(Point(text="Ship it.", segments=(2,)),),
    action_items=(ActionItem(text="Write it down", owner="Ann", due=date(2026, 12, 1), segments=(2,)),),
    chapters=(Chapter(title="Planning", start_ms=0, end_ms=9_000, segments=(0, 1)),),
    diary=(Point(text="Today we planned.", segments=(0,)),),
    method="llm",
    provider="ollama",
    model="small",
)


def said(number: int, start_s: float, text: str, *, suspect: bool = False, language: str = "en") -> Segment:
    """A segment whose words take 0.3 s each, with 0.2 s before them and 0.2 s after."""
    start = round(start_s * SAMPLE_RATE)
    step, edge = 3 * SAMPLE_RATE // 10, SAMPLE_RATE // 5
    texts = text.split()
    words = tuple(
        Word(word, start + edge + i * step, start + edge + (i + 1) * step, 0.9) for i, word in enumerate(texts)
    )
    return Segment(number, start, start + 2 * edge + len(texts) * step, words, language, 0.9, suspect)


def export(*segments: Segment, notes: Notes | None = None) -> Export:
    return Export(RECORDING, segments, notes)
