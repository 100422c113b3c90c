"""A question and what comes back, event by event: from rag to the gateway, and from there to whoever asks.

    status      what is being done                    Status
    passages    what was found, best first            Passages
    claim       one statement of the answer, checked  Claim
    answer      all of it, or that nothing answers    Answer
    error       it broke off; the answer is missing   Failed
    done        the end, always the last              Done

Nothing that a language model wrote is sent before it was checked, so there are claims and no tokens.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from parley.errors import ClientError

LONGEST_QUESTION = 1000
"""Characters. What is longer is refused: a model would read its beginning only."""
MOST_EXCHANGES = 20
SIGN_OF_LIFE_S = 5.0
"""Between two events rag says so often that it lives."""
NOTHING = "Nothing in your recordings answers this."
NOTHING_HERE = "Nothing in this recording answers this."

Milliseconds = Annotated[int, Field(ge=0)]
Method = Literal["llm", "extract"]
Stage = Literal["searching", "thinking", "extracting"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Exchange(_Model):
    """A question asked before in the same conversation, and what was answered."""

    question: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_QUESTION)]
    answer: Annotated[str, StringConstraints(max_length=10_000)] = ""


class AskBody(_Model):
    """A question about one's recordings."""

    question: Annotated[str, StringConstraints(strip_whitespace=True, max_length=20_000)]
    recording_id: str | None = None
    """Only about this recording, which may still be running."""
    history: Annotated[tuple[Exchange, ...], Field(max_length=MOST_EXCHANGES)] = ()
    """What was asked before, the oldest first, for questions that follow up on it."""


class AskRequest(AskBody):
    """The same as the gateway hands it to rag."""

    owner: str


class Citation(_Model):
    """Where something was said: play the recording from `start_ms`. `quote` stands in the transcript, word for word."""

    recording_id: str
    title: str | None
    created_at: datetime
    segments: tuple[int, ...]
    start_ms: Milliseconds
    end_ms: Milliseconds
    quote: str


class Status(_Model):
    """`question`: what is searched for, where that is not what was asked: a follow-up with what it follows."""

    stage: Stage
    question: str | None = None


class FoundPassage(_Model):
    """A passage that the answer may rest on."""

    recording_id: str
    title: str | None
    created_at: datetime
    start_ms: Milliseconds
    end_ms: Milliseconds
    text: str


class Passages(_Model):
    passages: tuple[FoundPassage, ...]


class Claim(_Model):
    """One statement, and where it was said: at least one citation."""

    text: str
    citations: tuple[Citation, ...]


class Answer(_Model):
    """The whole answer. Without claims nothing answers the question, and `text` says so.

    `method`: `llm`, a language model wrote the claims; `extract`, they are sentences of the transcript. `confidence`:
    the probability that there is an answer, as the signals of the search have it. `notice`: what a person should know,
    such as a language model that was away.
    """

    answered: bool
    method: Method
    text: str
    claims: tuple[Claim, ...]
    confidence: Annotated[float, Field(ge=0, le=1)]
    provider: str | None = None
    model: str | None = None
    notice: str | None = None


class Failed(_Model):
    code: str
    message: str
    retryable: bool


class Done(_Model):
    pass


Event = Status | Passages | Claim | Answer | Failed | Done
EVENTS: dict[str, type[Event]] = {
    "status": Status,
    "passages": Passages,
    "claim": Claim,
    "answer": Answer,
    "error": Failed,
    "done": Done,
}


class _Line(_Model):
    event: str
    data: dict[str, Any]


def check_question(question: str) -> None:
    """Raises ClientError for what cannot be looked for: nothing, only signs, or too much."""
    if not question.strip():
        raise ClientError("The question is empty.", code="empty_question")
    if len(question) > LONGEST_QUESTION:
        raise ClientError(
            f"The question has {len(question)} characters; at most {LONGEST_QUESTION} are read.",
            code="question_too_long",
        )
    if not any(character.isalnum() for character in question):
        raise ClientError(f"The question {question[:40]!r} has no words.", code="no_words")


def line_of(event: Event) -> str:
    """An event as rag sends it: one line of JSON."""
    return f'{{"event":"{name_of(event)}","data":{event.model_dump_json()}}}'


def event_of(line: str) -> Event:
    """An event from rag. Raises ValueError for what is none."""
    sent = _Line.model_validate_json(line)
    if (kind := EVENTS.get(sent.event)) is None:
        raise ValueError(f"there is no event {sent.event!r}")
    return kind.model_validate(sent.data, strict=False)


def name_of(event: Event) -> str:
    return next(name for name, kind in EVENTS.items() if type(event) is kind)
