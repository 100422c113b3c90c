"""Who turns pieces of speech into finals: the engines' batch lane, or somebody else's service. Chosen by settings."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from batch.transcription.speech import Piece
from parley.jobs import JobOptions, Priority
from parley.segmenter import Checkpoint
from parley.transcript import Segment

Quality = Literal["fast", "accurate"]
_BY_PRIORITY: Mapping[Priority, Quality] = {"urgent": "fast", "normal": "accurate", "bulk": "accurate"}


@dataclass(frozen=True, slots=True)
class Final:
    """A segment as it is to be stored, and where the search for the one after it begins."""

    segment: Segment
    checkpoint: Checkpoint


class Purse(Protocol):
    """Pays and books for one attempt."""

    async def check(self) -> None:
        """Raises QuotaSpent where nothing more may be paid."""
        ...

    async def book(self, provider: str, model: str, audio_s: float, cost: float = 0.0) -> None: ...


@dataclass(frozen=True, slots=True)
class Order:
    """How a recording is to be written down. `first`: its first finals, which an earlier attempt has stored."""

    options: JobOptions
    quality: Quality
    purse: Purse
    first: Sequence[Segment] = ()


class Run(Protocol):
    """One attempt at one recording."""

    def finals(self, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Final, None]:
        """A final of each piece, in order.

        Raises EngineError, AtCapacity or BackendError where whoever writes is away or full, ClientError where the order
        can never be carried out.
        """
        ...

    @property
    def writer(self) -> Mapping[str, Any]:
        """Who writes, for the step's result; fits in JSON."""
        ...

    @property
    def usage(self) -> Mapping[str, Any]:
        """What was used so far, for the step's usage."""
        ...


class Transcriber(Protocol):
    """Makes runs. One a worker."""

    def label(self, quality: Quality) -> str:
        """Whom the result depends on: part of what makes two jobs the same."""
        ...

    async def check(self, quality: Quality) -> None:
        """Raises what a run would raise, where it is known beforehand that nobody writes now."""
        ...

    def run(self, order: Order) -> Run: ...


def quality_of(options: JobOptions, priority: Priority) -> Quality:
    """What was asked for, else that of the priority: what is urgent must be quick, the rest should be good."""
    return options.quality or _BY_PRIORITY[priority]
