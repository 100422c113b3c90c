"""The wire between a gateway and an engine (`/v1/stream`): one WebSocket per session, one segment open at a time.

Text messages are JSON objects with a `type`. Binary messages are int16 little-endian mono audio at 16 kHz and belong
to the segment that was begun last. Counts and times are samples at 16 kHz **from the beginning of the segment**, so
the engine knows nothing of the recording's clock.

    gateway                               engine
      open ───────────────────────────────▶
      ◀───────────────────────────── opened
      begin 0 · (audio) (audio) … ────────▶
      ◀──────────────────────── partial 0 …
      pause 0 ────────────────────────────▶     it may end here: decode its final in advance
      end 0 ──────────────────────────────▶     ends the segment; `samples` cuts it shorter than what was sent
      begin 1 · (audio) … ────────────────▶     finals may come while the next segment is open
      ◀──────────────────── final 0 · partial 1 …
      ◀────────────────────────────── alive     where nothing else was said for some seconds
      (close)                                   forgets the session; what waits is dropped

In the batch lane there are no partials. Many ended segments are decoded together, and each final is sent as soon as it
is there: one that is heard again holds up no other.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from parley.transcript import Recognizer, Word

Lane = Literal["live", "batch"]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> str:
        return self.model_dump_json(exclude_none=True)


class Open(_Message):
    """The first message: what holds for the whole session. `language` absent: detected for each segment."""

    type: Literal["open"] = "open"
    session: str
    lane: Lane = "live"
    language: str | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    vocabulary: tuple[str, ...] = ()


class Begin(_Message):
    """`likely`: the language of this segment where none is given for the session and what is heard is not certain."""

    type: Literal["begin"] = "begin"
    segment: int
    likely: str | None = None


class Pause(_Message):
    """The open segment will end with its first `samples` samples unless speech goes on: its final may be decoded in
    advance. Void when another `pause`, or an `end` with another count, follows.
    """

    type: Literal["pause"] = "pause"
    segment: int
    samples: int


class End(_Message):
    """The open segment is over; it keeps its first `samples` samples, the rest of what was sent is dropped."""

    type: Literal["end"] = "end"
    segment: int
    samples: int


class Opened(_Message):
    type: Literal["opened"] = "opened"
    recognizer: Recognizer


class Partial(_Message):
    """`samples` is how much of the segment's audio the hypothesis covers; `revision` counts from 0 in the segment."""

    type: Literal["partial"] = "partial"
    segment: int
    revision: int
    committed: str
    tentative: str
    samples: int


class Final(_Message):
    """The segment as it stays. Word times are samples from the segment's beginning."""

    type: Literal["final"] = "final"
    segment: int
    words: tuple[Word, ...]
    language: str
    confidence: float
    suspect: bool

    @classmethod
    def nothing(cls, segment: int) -> "Final":
        """The final of a segment that could not be decoded: empty, and marked as such."""
        return cls(segment=segment, words=(), language="", confidence=0.0, suspect=True)


class Error(_Message):
    """The session cannot go on (`segment` absent) or one segment could not be decoded."""

    type: Literal["error"] = "error"
    code: str
    message: str
    retryable: bool
    retry_after_s: float | None = None
    segment: int | None = None


ALIVE_AFTER_S = 5.0
"""An engine that has said nothing for so many seconds says `alive`, so silence tells that it hangs."""


class Alive(_Message):
    """The engine lives, however long its decodes take. A ping would not tell: an engine that is full reads nothing."""

    type: Literal["alive"] = "alive"


GatewayMessage = Open | Begin | Pause | End
EngineMessage = Opened | Partial | Final | Error | Alive

gateway_messages: TypeAdapter[GatewayMessage] = TypeAdapter(Annotated[GatewayMessage, Field(discriminator="type")])
engine_messages: TypeAdapter[EngineMessage] = TypeAdapter(Annotated[EngineMessage, Field(discriminator="type")])
