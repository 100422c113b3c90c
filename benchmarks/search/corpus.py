"""The evaluation set: invented recordings of three people, and questions about them of which the answers are known.

`set/recordings/NAME.txt`: a heading (owner, title, date, language), a blank line, and a segment a line. Nobody spoke
them, so their times are made: each recording has a pace of its own, with pauses between its segments, the same at every
run. `set/answerable.csv`: questions, and the words that answer each; one of several alternatives (`//`) will do.
`set/unanswerable.csv`: questions that sound as if they could be answered.

Of each kind of question every other one is for calibration: weights and thresholds are fitted on these, figures are of
the others. `set/calibration.csv`: more questions of both sorts, all for calibration.
"""

import csv
import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from parley.audio import SAMPLE_RATE
from parley.transcript import Segment, Word, samples_to_ms

SET = Path(__file__).parent / "set"
Half = Literal["calibration", "test"]
_PACES = (2.1, 3.1)
"""Words a second, of the slowest and of the fastest recording."""
_PAUSES_S = (0.6, 2.5)
_HOUR = 9


@dataclass(frozen=True, slots=True)
class SpokenRecording:
    """A recording as a session would leave it."""

    name: str
    owner: str
    title: str
    created_at: datetime
    language: str
    segments: tuple[Segment, ...]

    @property
    def samples(self) -> int:
        return self.segments[-1].end + SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer is said: the segment, and its words' time in milliseconds."""

    recording: str
    segment: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class Question:
    """`places` are alternatives; none: nothing answers it. `after`: the question that it follows."""

    owner: str
    kind: str
    text: str
    places: tuple[Place, ...]
    after: str
    half: Half


def load_recordings() -> list[SpokenRecording]:
    """All recordings, by name."""
    return [_recording(path) for path in sorted((SET / "recordings").glob("*.txt"))]


def load_questions(recordings: Iterable[SpokenRecording]) -> list[Question]:
    """All questions, in order. Raises ValueError where words of an answer are not said in exactly one segment."""
    by_name = {recording.name: recording for recording in recordings}
    counts: dict[str, int] = defaultdict(int)
    questions = []
    for row in (*_rows("answerable.csv"), *_rows("unanswerable.csv")):
        stratum = f"{bool(row.get('quote'))} {row['kind']}"
        counts[stratum] += 1
        half: Half = "calibration" if counts[stratum] % 2 else "test"
        questions.append(_question(row, by_name, half))
    return [*questions, *(_question(row, by_name, "calibration") for row in _rows("calibration.csv"))]


def _question(row: dict[str, str], recordings: Mapping[str, SpokenRecording], half: Half) -> Question:
    quotes = row["quote"].split("//") if row.get("quote") else []
    places = tuple(_place(recordings[row["recording"]], quote) for quote in quotes)
    return Question(row["owner"], row["kind"], row["question"], places, row["after"], half)


def _rows(name: str) -> list[dict[str, str]]:
    with (SET / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="|"))


def _recording(path: Path) -> SpokenRecording:
    heading, _, text = path.read_text("utf-8").partition("\n\n")
    fields = dict(line.split(": ", 1) for line in heading.splitlines())
    lines = text.strip().splitlines()
    return SpokenRecording(
        name=path.stem,
        owner=fields["owner"],
        title=fields["title"],
        created_at=datetime.fromisoformat(fields["date"]).replace(hour=_HOUR, tzinfo=UTC),
        language=fields["language"],
        segments=_spoken(lines, fields["language"], random.Random(path.stem)),
    )


def _spoken(lines: Sequence[str], language: str, dice: random.Random) -> tuple[Segment, ...]:
    pace, clock_s = dice.uniform(*_PACES), 0.4
    segments = []
    for number, line in enumerate(lines):
        words = []
        for text in line.split():
            length_s = (0.5 + 0.1 * len(text)) / pace  # a word of five letters takes the mean
            words.append(Word(text, round(clock_s * SAMPLE_RATE), round((clock_s + length_s) * SAMPLE_RATE), 0.95))
            clock_s += length_s
        segments.append(Segment(number, words[0].start, words[-1].end, tuple(words), language, 0.95))
        clock_s += dice.uniform(*_PAUSES_S)
    return tuple(segments)


def _place(recording: SpokenRecording, quote: str) -> Place:
    found = [segment for segment in recording.segments if quote in segment.text]
    if len(found) != 1:
        raise ValueError(f"{quote!r} stands in {len(found)} segments of {recording.name}, not in one")
    (segment,) = found
    first = segment.text[: segment.text.index(quote)].count(" ")
    last = first + quote.count(" ")
    start, end = segment.words[first].start, segment.words[last].end
    return Place(recording.name, segment.number, samples_to_ms(start), samples_to_ms(end))
