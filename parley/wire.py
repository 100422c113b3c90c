"""The wire protocol of `/ws/s2t`, version 1: every message of it, and nothing else.

Text messages are JSON objects with a `type`; binary messages are audio in the format that `start` named.
`docs/protocol.md` shows each message; a test parses every example on that page. Times are milliseconds from the
beginning of the recording, `samples` counts are at 16 kHz.

    client                                server
      start ──────────────────────────────▶
      ◀────────────────────────────── ready
      (audio) (audio) … ──────────────────▶
      ◀────── ack · speech_start · partial… · final   (as they come)
      finalize, ping ─────────────────────▶
      stop ───────────────────────────────▶
      ◀───────────── final… · ack · closed
"""

import json
import re
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from parley.audio import AudioFormat, Encoding
from parley.errors import ClientError, ParleyError
from parley.transcript import Recognizer, Segment, Word, samples_to_ms

PROTOCOL_VERSION = 1
MAX_TEXT_CHARACTERS = 262_144
"""Characters of one text message at most: the longest final has a few ten thousand."""

_TAGS = ("start", "finalize", "stop", "ping")
"""Pydantic names the message type in front of a field's place."""
_PLAIN = {
    "extra_forbidden": "there is no such field",
    "missing": "it is missing",
    "union_tag_not_found": "type is missing",
    "union_tag_invalid": "there is no message of this type",
    "tuple_type": "it must be a list",
}
"""Pydantic's errors in plainer words."""

_M = TypeVar("_M")


def _one_line(title: str) -> str:
    if "\0" in title:
        raise ValueError("it must not hold NUL, which cannot be kept")
    if not (line := " ".join(title.split())):
        raise ValueError("it must not be empty")
    return line


def _language(code: str) -> str:
    if not re.fullmatch("[a-z]{2,3}", code):
        raise ValueError("it must be a code of two or three small letters, such as en")
    return code


Title = Annotated[str, Field(max_length=200), AfterValidator(_one_line)]
"""A recording's title: 1 to 200 characters on one line; blanks and line breaks in a row count as one blank."""
Language = Annotated[str, AfterValidator(_language)]
"""An ISO 639 code of two or three letters."""
Vocabulary = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=100)], ...], Field(max_length=200)]
"""Words to expect."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def to_json(self) -> str:
        """The message as it goes over the wire; absent optional fields are left out."""
        return self.model_dump_json(exclude_none=True)


# --- client → server


class Start(_Message):
    """The first message.

    `language` is an ISO 639 code of two or three letters, absent to detect it; `vocabulary` are words to expect.
    `resume`, the token of `ready`, goes on with that recording in place of a new one, as it was begun (language, task,
    vocabulary, title); finals from `next_segment` on that are stored already are sent again.
    """

    type: Literal["start"] = "start"
    sample_rate: StrictInt
    encoding: Encoding = "pcm_s16le"
    channels: StrictInt = 1
    language: Language | None = None
    task: Literal["transcribe", "translate"] = "transcribe"
    vocabulary: Vocabulary = ()
    title: Title | None = None
    resume: str | None = Field(default=None, max_length=500)
    next_segment: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.next_segment and self.resume is None:
            raise ValueError(f"next_segment is {self.next_segment}, but there is no resume")
        return self

    def audio_format(self) -> AudioFormat:
        """Raises ClientError for a rate, an encoding or a number of channels out of range."""
        return AudioFormat(self.sample_rate, self.encoding, self.channels)


class Finalize(_Message):
    """End the open segment now; its final follows as soon as it is decoded."""

    type: Literal["finalize"] = "finalize"


class Stop(_Message):
    """No more audio. The server sends the last finals, the last ack and `closed`, then closes the connection."""

    type: Literal["stop"] = "stop"


class Ping(_Message):
    """Keeps a session alive while no audio is sent; the server answers `pong`."""

    type: Literal["ping"] = "ping"


ClientMessage = Start | Finalize | Stop | Ping

# --- server → client


class RecognizerInfo(_Message):
    """Which recogniser writes. `fallback` says that a better one was asked for; then `reason` and `remedy` say more."""

    name: str
    model: str
    device: str
    fallback: bool
    reason: str
    remedy: str = ""

    @classmethod
    def of(cls, recognizer: Recognizer) -> "RecognizerInfo":
        return cls(
            name=recognizer.name,
            model=recognizer.model,
            device=recognizer.device,
            fallback=recognizer.fallback,
            reason=recognizer.reason,
            remedy=recognizer.remedy,
        )


class Ready(_Message):
    """The session is open. Send audio from `next_sample` on (0 unless it was resumed).

    `resume_token` is good for this recording only, and for a time. `recognizer` is absent while no engine is at hand:
    the audio is kept, the text comes later.
    """

    type: Literal["ready"] = "ready"
    protocol: int = PROTOCOL_VERSION
    recording_id: str
    resume_token: str
    next_sample: int
    recognizer: RecognizerInfo | None = None


class Ack(_Message):
    """Audio up to `samples` (at 16 kHz, from the beginning of the recording) is durable."""

    type: Literal["ack"] = "ack"
    samples: int


class SpeechStart(_Message):
    """Speech was found: segment `segment` begins at `start_ms`."""

    type: Literal["speech_start"] = "speech_start"
    segment: int
    start_ms: int


class Partial(_Message):
    """What segment `segment` says so far. It replaces the partial before it; `committed` never shrinks.

    `lag_ms` is the audio that was received but is not yet covered by this partial.
    """

    type: Literal["partial"] = "partial"
    segment: int
    revision: int
    start_ms: int
    committed: str
    tentative: str
    lag_ms: int


class FinalWord(_Message):
    """A word of a final, `confidence` a probability in [0, 1]."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float

    @classmethod
    def of(cls, word: Word) -> "FinalWord":
        return cls(
            text=word.text,
            start_ms=samples_to_ms(word.start),
            end_ms=samples_to_ms(word.end),
            confidence=round(word.confidence, 3),
        )


class Final(_Message):
    """Segment `segment` as it stays. It is stored before it is sent. Empty `text`: there were no words in it."""

    type: Literal["final"] = "final"
    segment: int
    start_ms: int
    end_ms: int
    text: str
    words: tuple[FinalWord, ...]
    language: str
    confidence: float
    suspect: bool

    @classmethod
    def of(cls, segment: Segment) -> "Final":
        return cls(
            segment=segment.number,
            start_ms=samples_to_ms(segment.start),
            end_ms=samples_to_ms(segment.end),
            text=segment.text,
            words=tuple(FinalWord.of(word) for word in segment.words),
            language=segment.language,
            confidence=round(segment.confidence, 3),
            suspect=segment.suspect,
        )


class RecognizerChange(_Message):
    """Another recogniser writes than `ready` told of, or the first, where it told of none."""

    type: Literal["recognizer"] = "recognizer"
    recognizer: RecognizerInfo


class Pong(_Message):
    """The answer to `ping`; also sent unasked, so that an open session is never silent for more than 5 s."""

    type: Literal["pong"] = "pong"


class Error(_Message):
    """Something was wrong. Whether the session goes on depends on `code`: docs/protocol.md says it of each."""

    type: Literal["error"] = "error"
    code: str
    message: str
    retryable: bool = False
    retry_after_s: float | None = None

    @classmethod
    def of(cls, error: ParleyError) -> "Error":
        return cls(code=error.code, message=error.message, retryable=error.retryable, retry_after_s=error.retry_after_s)


class Closed(_Message):
    """The last message of a session: the recording is complete and stored."""

    type: Literal["closed"] = "closed"
    recording_id: str
    duration_ms: int


ServerMessage = Ready | Ack | SpeechStart | Partial | Final | RecognizerChange | Pong | Error | Closed

_CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(Annotated[ClientMessage, Field(discriminator="type")])
_SERVER: TypeAdapter[ServerMessage] = TypeAdapter(Annotated[ServerMessage, Field(discriminator="type")])


def parse_client_message(text: str) -> ClientMessage:
    """One text message of the client. Raises ClientError that names the field and the value that was wrong."""
    return _parse(_CLIENT, text)


def parse_server_message(text: str) -> ServerMessage:
    """One text message of the server. Raises ClientError for what is no message of this protocol."""
    return _parse(_SERVER, text)


def _parse(adapter: TypeAdapter[_M], text: str) -> _M:
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ClientError(
            f"The message has {len(text)} characters; {MAX_TEXT_CHARACTERS} is the limit.", code="malformed_message"
        )
    try:
        value: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise ClientError(f"The message is no JSON: {error}.", code="malformed_message") from None
    except (ValueError, RecursionError):
        raise ClientError(
            "The message is no JSON that can be read: too deep, or too large a number.", code="malformed_message"
        ) from None
    if not isinstance(value, dict):
        raise ClientError(
            f"The message is a JSON {type(value).__name__}; it must be an object with a type.",
            code="malformed_message",
        )
    if "\\u" in text and not _is_encodable(value):
        raise ClientError("The message holds half a character (a lone surrogate).", code="malformed_message")
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise ClientError(explain(error), code="malformed_message") from None


def _is_encodable(value: Any) -> bool:
    """Whether the strings in `value` are whole characters: an escape can make a half."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def explain(error: ValidationError) -> str:
    """One sentence for a validation error: the field, the value that was wrong, and what was expected."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"] if part not in _TAGS)
    wrong = _PLAIN.get(first["type"], first["msg"].removeprefix("Value error, ").rstrip("."))
    given = first.get("input")
    if isinstance(given, bytes):
        given = given.decode(errors="replace")
    shown = json.dumps(given, default=str, ensure_ascii=False)
    shown = shown if len(shown) <= 80 else shown[:77] + "…"
    return f"{where}: {wrong} (given: {shown})." if where else f"{wrong} (given: {shown})."
