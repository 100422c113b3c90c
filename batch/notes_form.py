"""The form in which a language model writes notes, and the way from there to `NotesDraft`. Pure.

It differs from `NotesDraft` in what a model is bad at: times, which are known here, and long lists of numbers, of which
a chapter needs only the ends.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from parley.notes import ActionItem, Chapter, NotesDraft, Point, Text
from parley.transcript import Segment, samples_to_ms


def _date_or_none(value: Any) -> Any:
    """`value`, unless it is text and no date: "by Friday" is said in the item's own text."""
    if not isinstance(value, str):
        return value
    try:
        return date.fromisoformat(value.strip())
    except ValueError:
        return None


def _text_or_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class WrittenPoint(_Form):
    """One statement."""

    text: Text
    segments: tuple[int, ...]
    """The numbers of the segments that the statement rests on, at least one."""


class WrittenAction(WrittenPoint):
    """Something to be done."""

    owner: Annotated[Text | None, BeforeValidator(_text_or_none)] = None
    """Who is to do it, as the recording names them; null if it does not say."""
    due: Annotated[date | None, BeforeValidator(_date_or_none)] = None
    """Until when, as YYYY-MM-DD; null if the recording does not say, or not exactly."""


class WrittenChapter(_Form):
    """A stretch of the recording that is about one thing."""

    title: Text
    first_segment: int
    """The number of the segment with which it begins."""
    last_segment: int
    """The number of the segment with which it ends."""


class WrittenNotes(_Form):
    """Notes of a recording."""

    title: Text
    """What the recording is about, in a few words."""
    summary: tuple[WrittenPoint, ...]
    """What was said, in short, paragraph by paragraph."""
    key_points: tuple[WrittenPoint, ...] = ()
    """What matters most, a sentence each."""
    decisions: tuple[WrittenPoint, ...] = ()
    """What was decided."""
    action_items: tuple[WrittenAction, ...] = ()
    """What is to be done."""
    chapters: tuple[WrittenChapter, ...] = ()
    """The recording's parts, in order."""
    diary: tuple[WrittenPoint, ...] = ()
    """The same as the speaker's own diary would tell it, in the first person, paragraph by paragraph."""


def to_draft(written: WrittenNotes, segments: Sequence[Segment]) -> NotesDraft:
    """`written` with the times and numbers of `segments`, which are in order; unknown numbers stay, for `checked`."""
    return NotesDraft(
        title=written.title,
        summary=_points(written.summary),
        key_points=_points(written.key_points),
        decisions=_points(written.decisions),
        action_items=tuple(
            ActionItem(text=item.text, segments=item.segments, owner=item.owner, due=item.due)
            for item in written.action_items
        ),
        chapters=tuple(sorted((_chapter(each, segments) for each in written.chapters), key=lambda one: one.start_ms)),
        diary=_points(written.diary),
    )


def _points(written: Sequence[WrittenPoint]) -> tuple[Point, ...]:
    return tuple(Point(text=point.text, segments=point.segments) for point in written)


def _chapter(written: WrittenChapter, segments: Sequence[Segment]) -> Chapter:
    first, last = sorted((written.first_segment, written.last_segment))
    those = [segment for segment in segments if first <= segment.number <= last]
    if not those:
        return Chapter(title=written.title, start_ms=0, end_ms=0, segments=tuple(dict.fromkeys((first, last))))
    return Chapter(
        title=written.title,
        start_ms=samples_to_ms(those[0].start),
        end_ms=samples_to_ms(those[-1].end),
        segments=tuple(segment.number for segment in those),
    )


def brief(draft: NotesDraft) -> Mapping[str, Any]:
    """`draft` as a model reads it: in the form in which it wrote it, without what is empty."""
    plain = draft.model_dump(mode="json", exclude_defaults=True)
    if "chapters" in plain:
        plain["chapters"] = [
            {"title": each.title, "first_segment": each.segments[0], "last_segment": each.segments[-1]}
            for each in draft.chapters
        ]
    return plain
