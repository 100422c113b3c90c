"""An export as the parts of a document: headings, paragraphs, list items. Pure.

Markdown, Word and PDF are written from these parts, so all of them say the same in the same order: the title, the
notes if there are any, the transcript in paragraphs with the time of each.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from gateway.exports.export import SUSPECT, Export, clock, line
from parley.audio import SAMPLE_RATE
from parley.notes import ActionItem, Notes, Point
from parley.transcript import Segment, samples_to_ms

_PAUSE_S = 2
"""A pause this long begins a paragraph."""
_ENOUGH, _MOST = 400, 1200
"""Characters after which a paragraph ends with the next sentence, or with the next segment."""
_SENTENCE_ENDS = (".", "?", "!", "…", "。", "？", "！", "؟", "।")


@dataclass(frozen=True, slots=True)
class Heading:
    """`level` 1 is the document's title."""

    text: str
    level: int


@dataclass(frozen=True, slots=True)
class Run:
    """Text of one kind within a paragraph."""

    text: str
    suspect: bool = False


@dataclass(frozen=True, slots=True)
class Paragraph:
    """`time` is when it begins, empty for what was not said at one time."""

    runs: tuple[Run, ...]
    time: str = ""

    @property
    def text(self) -> str:
        return " ".join(run.text for run in self.runs)


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a list, `time` as in a paragraph."""

    text: str
    time: str = ""


@dataclass(frozen=True, slots=True)
class Remark:
    """Small print: what is not of the recording itself."""

    text: str


Block = Heading | Paragraph | Item | Remark


def document(export: Export) -> list[Block]:
    """The whole document."""
    blocks: list[Block] = [Heading(line(export.title), 1), Remark(export.about)]
    blocks += notes(export)
    if not export.transcript:
        return blocks
    if export.notes:
        blocks.append(Heading("Transcript", 2))
    if any(segment.suspect for segment in export.spoken):
        blocks.append(Remark(f"{SUSPECT} marks words that may have been misheard."))
    return [*blocks, *(paragraph(segments) for segments in paragraphs(export.spoken))]


def from_right(text: str) -> bool:
    """Whether `text` is read from the right: its first letter says (Unicode Standard Annex 9, rules P2 and P3)."""
    letters = map(unicodedata.bidirectional, text)
    return next((direction for direction in letters if direction in ("L", "R", "AL")), "L") != "L"


def notes(export: Export) -> list[Block]:
    """Only the parts that the notes are, none if there are none."""
    if export.notes is None:
        return []
    starts = {segment.number: segment.start for segment in export.segments}
    return [Remark(_written_by(export.notes)), *_sections(export.notes, starts)]


def paragraphs(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Segments that are read as one paragraph: it ends with its language, at a pause, and once long with a sentence."""
    found: list[list[Segment]] = []
    for segment in segments:
        if found and not _ends(found[-1], segment):
            found[-1].append(segment)
        else:
            found.append([segment])
    return found


def _joined(segments: Sequence[Segment]) -> str:
    """Their text with blanks between, but for scripts that are written without."""
    blanks = ["" if any(word.joins for word in segment.words) else " " for segment in segments]
    return "".join(f"{blank}{segment.text}" for blank, segment in zip(blanks, segments, strict=True)).lstrip(" ")


def _ends(current: Sequence[Segment], following: Segment) -> bool:
    last, length = current[-1], sum(len(segment.text) for segment in current)
    if following.language != last.language or following.start - last.end >= _PAUSE_S * SAMPLE_RATE or length >= _MOST:
        return True
    return length >= _ENOUGH and last.text.endswith(_SENTENCE_ENDS)


def paragraph(segments: Sequence[Segment]) -> Paragraph:
    """The paragraph of `segments`, those in doubt apart from the others."""
    runs = tuple(
        Run(_joined(list(group)), suspect) for suspect, group in groupby(segments, key=lambda segment: segment.suspect)
    )
    return Paragraph(runs, clock(samples_to_ms(segments[0].start)))


def _sections(notes: Notes, starts: Mapping[int, int]) -> Iterator[Block]:
    prose = [Paragraph((Run(line(point.text)),), _time(point, starts)) for point in notes.summary]
    yield from _section("Summary", prose)
    for name, points in (("Key points", notes.key_points), ("Decisions", notes.decisions)):
        yield from _section(name, [Item(line(point.text), _time(point, starts)) for point in points])
    # Without a language model, what looks like a task is only a candidate.
    tasks = "Action items" if notes.method == "llm" else "Possible action items"
    yield from _section(tasks, [Item(_action(item), _time(item, starts)) for item in notes.action_items])
    yield from _section("Chapters", [Item(line(chapter.title), clock(chapter.start_ms)) for chapter in notes.chapters])
    prose = [Paragraph((Run(line(point.text)),), _time(point, starts)) for point in notes.diary]
    yield from _section("Diary", prose)


def _section(name: str, blocks: Sequence[Block]) -> Iterator[Block]:
    if blocks:
        yield Heading(name, 2)
        yield from blocks


def _written_by(notes: Notes) -> str:
    if notes.method == "extractive":
        return "These notes are sentences taken from the transcript; no language model wrote them."
    author = " ".join(filter(None, (notes.provider, notes.model))) or "a language model"
    return line(f"These notes were written by {author}. The times say what each rests on.")


def _action(item: ActionItem) -> str:
    about = [*([item.owner] if item.owner else []), *([f"due {item.due.isoformat()}"] if item.due else [])]
    return line(f"{item.text} ({', '.join(about)})" if about else item.text)


def _time(point: Point, starts: Mapping[int, int]) -> str:
    """When the first of the segments that `point` rests on begins, empty if none of them is in the export."""
    known = [starts[number] for number in point.segments if number in starts]
    return clock(samples_to_ms(min(known))) if known else ""
