"""Notes: what a summary of a recording says, and which segments each part of it rests on. Pure, frozen.

`NotesDraft` is what a summariser writes, a language model (in the form of `batch.notes_form`) or our own extractive
one. `Notes` is a draft with who wrote it, as it is stored and shown. `checked` stands between the two: nothing is kept
that rests on segments which do not exist.

Segments are named by `Segment.number`. Times are milliseconds on the recording's clock.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Method = Literal["llm", "extractive"]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]
Milliseconds = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Point(_Model):
    """One statement."""

    text: Text
    segments: tuple[int, ...]
    """The numbers of the segments that the statement rests on, at least one."""


class ActionItem(Point):
    """Something to be done."""

    owner: Text | None = None
    """Who is to do it, as the recording names them; null if it does not say."""
    due: date | None = None
    """Until when, as YYYY-MM-DD; null if the recording does not say, or not exactly."""


class Chapter(_Model):
    """A stretch of the recording that is about one thing."""

    title: Text
    start_ms: Milliseconds
    """Where it begins, in milliseconds from the recording's start."""
    end_ms: Milliseconds
    """Where it ends, in milliseconds from the recording's start."""
    segments: tuple[int, ...]
    """The numbers of the segments that it consists of, at least one."""

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.end_ms < self.start_ms:
            raise ValueError(f"end_ms {self.end_ms} is before start_ms {self.start_ms}")
        return self


class NotesDraft(_Model):
    """Notes of a recording."""

    title: Text
    """What the recording is about, in a few words."""
    summary: tuple[Point, ...]
    """What was said, in short, paragraph by paragraph."""
    key_points: tuple[Point, ...] = ()
    """What matters most, a sentence each."""
    decisions: tuple[Point, ...] = ()
    """What was decided."""
    action_items: tuple[ActionItem, ...] = ()
    """What is to be done."""
    chapters: tuple[Chapter, ...] = ()
    """The recording's parts, in order."""
    diary: tuple[Point, ...] = ()
    """The same as the speaker's own diary would tell it, in the first person, paragraph by paragraph."""


class Notes(NotesDraft):
    """Notes of a recording, and who wrote them."""

    method: Method
    """`llm`: a language model wrote them. `extractive`: they are sentences of the transcript."""
    provider: str | None = None
    """Whose language model; null if none."""
    model: str | None = None
    """Which language model; null if none."""

    @classmethod
    def of(cls, draft: NotesDraft, method: Method, provider: str | None = None, model: str | None = None) -> Self:
        return cls(**dict(draft), method=method, provider=provider, model=model)


@dataclass(frozen=True, slots=True)
class Unfounded:
    """What `checked` took out of `field`: all of the item if `dropped`, else only its references to `segments`.

    `segments` are the numbers that do not exist; empty where the item named none at all.
    """

    field: str
    text: str
    segments: tuple[int, ...]
    dropped: bool


_ITEMS = ("summary", "key_points", "decisions", "action_items", "chapters", "diary")
_Draft = TypeVar("_Draft", bound=NotesDraft)


def checked(notes: _Draft, known_segments: Collection[int]) -> tuple[_Draft, tuple[Unfounded, ...]]:
    """`notes` with only what rests on `known_segments`, and what was taken out of them.

    An item none of whose segments exist is dropped; one with some that do keeps those, in order, each once.
    """
    known = frozenset(known_segments)
    kept: dict[str, tuple[Point | Chapter, ...]] = {}
    unfounded: list[Unfounded] = []
    for name in _ITEMS:
        items: tuple[Point | Chapter, ...] = getattr(notes, name)
        kept[name] = tuple(founded for item in items if (founded := _founded(item, known)) is not None)
        unfounded += (found for item in items if (found := _unfounded(name, item, known)) is not None)
    return notes.model_copy(update=kept), tuple(unfounded)


def _founded(item: Point | Chapter, known: frozenset[int]) -> Point | Chapter | None:
    segments = tuple(sorted(known.intersection(item.segments)))
    return item.model_copy(update={"segments": segments}) if segments else None


def _unfounded(name: str, item: Point | Chapter, known: frozenset[int]) -> Unfounded | None:
    unknown = tuple(sorted(set(item.segments) - known))
    dropped = known.isdisjoint(item.segments)
    if not unknown and not dropped:
        return None
    return Unfounded(name, item.title if isinstance(item, Chapter) else item.text, unknown, dropped)
