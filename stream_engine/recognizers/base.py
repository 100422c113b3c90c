"""The one interface of every recogniser: windows of audio in, hypotheses out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from parley.audio import Samples
from parley.transcript import Hypothesis
from parley.transcript import Recognizer as RecognizerInfo

Task = Literal["transcribe", "translate"]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """What one decode hears.

    `samples`: int16, shape (n,), mono, 16 kHz. `padded`: samples (at least n) that the recogniser may fill the window
    up to; windows of one `padded` go well together in a batch. `attempt`: counts from 0; each takes more care than the
    one before, and is worth it where that one's hypothesis was `doubtful`. `timed`: whether the words' times and
    confidences matter; else they may be guesses. `language`: ISO 639-1, None to detect it; `likely`: what to take
    where it is detected with less than the engine's certainty. `vocabulary`: words to expect.
    """

    samples: Samples
    padded: int
    attempt: int = 0
    timed: bool = True
    language: str | None = None
    likely: str | None = None
    task: Task = "transcribe"
    vocabulary: tuple[str, ...] = ()


class Recognizer(Protocol):
    """Turns windows into words. At most `replicas` threads decode at once."""

    @property
    def replicas(self) -> int:
        """How many decodes may run at the same time."""
        ...

    @property
    def info(self) -> RecognizerInfo:
        """Which recogniser this is, and why it was chosen."""
        ...

    def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
        """One hypothesis for each window, in order, the same as if it were alone, but for attempts that sample. Blocks.

        Times are samples from the window's start. Raises EngineError (code `unsupported_language`) for a language
        that the model does not know; whatever else it raises is a failure of the device.
        """
        ...

    def close(self) -> None:
        """Lets go of what outlives the process's memory. It decodes no more afterwards."""
        ...
