"""What was said: words, hypotheses, segments and recordings, all frozen.

Every time here is a sample index at 16 kHz on the recording's clock (or, where the docstring says so, on the
window's). Milliseconds appear only on the wire.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal

from parley.audio import SAMPLE_RATE

RecordingState = Literal["recording", "processing", "finished", "interrupted"]
Origin = Literal["live", "upload", "import"]


def samples_to_ms(samples: int) -> int:
    """Milliseconds of `samples` at 16 kHz, rounded down."""
    return samples * 1000 // SAMPLE_RATE


def ms_to_samples(ms: float) -> int:
    """Samples at 16 kHz of `ms` milliseconds, rounded to the nearest."""
    return round(ms * SAMPLE_RATE / 1000)


@dataclass(frozen=True, slots=True)
class Word:
    """One word with its place in time.

    `text` carries no surrounding blanks; `joins` is True where it follows the word before it with no blank between
    (Chinese, Japanese). `start` and `end` are samples; `confidence` is a probability in [0, 1].
    """

    text: str
    start: int
    end: int
    confidence: float
    joins: bool = False

    def shifted(self, samples: int) -> "Word":
        return replace(self, start=self.start + samples, end=self.end + samples)


def join_words(words: "tuple[Word, ...] | list[Word]") -> str:
    """The text of `words` as a reader expects it."""
    return "".join(word.text if word.joins or not i else f" {word.text}" for i, word in enumerate(words))


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The result of one decode of one window. Times are samples from the window's start.

    `confidence` is the mean word probability in [0, 1]; `no_speech` the probability that the window holds none.
    `suspect` says that a guard (log-probability, compression, repetition) doubts the text; `doubtful`, that the
    recogniser has a more careful way to hear the window, worth another attempt.
    """

    words: tuple[Word, ...]
    language: str
    confidence: float
    no_speech: float = 0.0
    suspect: bool = False
    doubtful: bool = False

    @property
    def text(self) -> str:
        return join_words(self.words)


@dataclass(frozen=True, slots=True)
class Segment:
    """A final: one stretch of speech between two endpoints, with its words. It never changes.

    `number` counts from 0 within the recording. `start` and `end` bound the segment's audio (pre-roll and trailing
    silence included), in samples on the recording's clock.
    """

    number: int
    start: int
    end: int
    words: tuple[Word, ...] = ()
    language: str = ""
    confidence: float = 0.0
    suspect: bool = False

    @property
    def text(self) -> str:
        return join_words(self.words)


@dataclass(frozen=True, slots=True)
class LastFinal:
    """The newest final of a recording: what comes after it is a function of it and the durable audio (invariant 3)."""

    number: int
    end: int
    resume_at: int
    continues: bool


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as it is listed. `samples` is the durable audio so far; `preview` its first words.

    `source_name`: the file that it came as had this name. `same_as`: its transcript is that of another recording of the
    same audio.
    """

    id: str
    owner: str
    title: str | None
    state: RecordingState
    created_at: datetime
    samples: int
    language: str | None
    preview: str = ""
    origin: Origin = "live"
    source_name: str | None = None
    same_as: str | None = None


@dataclass(frozen=True, slots=True)
class Recognizer:
    """Which recogniser an engine runs, and why: shown in the log, in `doctor`, in `ready` and on the page.

    `fallback` is True where something worse than what was asked for runs; then `reason` says why and `remedy` what
    brings the better one.
    """

    name: str
    model: str
    device: str
    compute_type: str
    reason: str
    fallback: bool = False
    remedy: str = ""
    languages: tuple[str, ...] = field(default=("en",))
    tasks: tuple[str, ...] = ("transcribe",)
