"""Notes rest on segments that exist, or are taken out and said to be."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from parley.notes import ActionItem, Chapter, Notes, NotesDraft, Point, Unfounded, checked


def point(text: str, *segments: int) -> Point:
    return Point(text=text, segments=segments)


DRAFT = NotesDraft(
    title="The week",
    summary=(point("The week was planned.", 0, 1),),
    key_points=(point("Costs fell.", 1), point("Invented.", 7)),
    decisions=(point("Ship it.", 2, 9, 2),),
    action_items=(ActionItem(text="Write it down", owner="Ann", segments=()),),
    chapters=(Chapter(title="Nowhere", start_ms=0, end_ms=0, segments=(8,)),),
)


def test_what_rests_on_segments_that_exist_stays_as_it_is() -> None:
    notes = NotesDraft(title="Fine", summary=(point("All of it.", 0, 3),), diary=(point("Mine.", 3),))
    assert checked(notes, range(4)) == (notes, ())


def test_what_rests_on_nothing_that_exists_is_dropped_and_named() -> None:
    notes, unfounded = checked(DRAFT, {0, 1, 2})
    assert [item.text for item in notes.key_points] == ["Costs fell."]
    assert (notes.action_items, notes.chapters) == ((), ())
    assert unfounded == (
        Unfounded("key_points", "Invented.", (7,), dropped=True),
        Unfounded("decisions", "Ship it.", (9,), dropped=False),
        Unfounded("action_items", "Write it down", (), dropped=True),
        Unfounded("chapters", "Nowhere", (8,), dropped=True),
    )


def test_an_item_keeps_the_segments_that_exist_in_order_each_once() -> None:
    notes, _ = checked(NotesDraft(title="x", summary=(point("Said.", 5, 2, 9, 2),)), {2, 5})
    assert notes.summary == (point("Said.", 2, 5),)


def test_checked_notes_keep_who_wrote_them() -> None:
    notes, _ = checked(Notes.of(DRAFT, "llm", "ollama", "small"), {0, 1, 2})
    assert (notes.method, notes.provider, notes.model) == ("llm", "ollama", "small")


@given(st.lists(st.lists(st.integers(-3, 9), max_size=4)), st.sets(st.integers(0, 9)))
def test_whatever_was_written_only_existing_segments_are_left(cited: list[list[int]], known: set[int]) -> None:
    draft = NotesDraft(title="x", summary=tuple(point(str(i), *segments) for i, segments in enumerate(cited)))
    notes, unfounded = checked(draft, known)
    assert all(item.segments and known.issuperset(item.segments) for item in notes.summary)
    assert len(notes.summary) + sum(found.dropped for found in unfounded) == len(cited)
    assert checked(notes, known) == (notes, ())


def test_the_schema_is_one_that_takes_what_the_models_write() -> None:
    schema = NotesDraft.model_json_schema()
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(json.loads(DRAFT.model_dump_json()))
    assert not {"method", "provider", "model"} & schema["properties"].keys()  # a model does not say who it is


def test_every_item_of_the_schema_must_carry_segments() -> None:
    definitions = NotesDraft.model_json_schema()["$defs"]
    assert definitions.keys() == {"Point", "ActionItem", "Chapter"}
    assert all("segments" in definition["required"] for definition in definitions.values())


def test_the_schema_explains_itself() -> None:
    properties = NotesDraft.model_json_schema()["properties"]
    assert all(field.get("description") for field in properties.values())


def test_notes_come_back_from_json_as_they_were() -> None:
    notes = Notes.of(DRAFT, "extractive")
    assert Notes.model_validate_json(notes.model_dump_json()) == notes


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": "x"},
        {"title": "", "summary": []},
        {"title": "x", "summary": ["text"]},
        {"title": "x", "summary": [{"text": "no segments"}]},
        {"title": "x", "summary": [{"text": "  ", "segments": [1]}]},
        {"title": "x", "summary": [], "mood": "good"},
        {"title": "x", "summary": [], "action_items": [{"text": "a", "due": "next Friday", "segments": [1]}]},
        {"title": "x", "summary": [], "chapters": [{"title": "a", "start_ms": 5, "end_ms": 4, "segments": [1]}]},
        {"title": "x", "summary": [], "chapters": [{"title": "a", "start_ms": -1, "end_ms": 4, "segments": [1]}]},
    ],
)
def test_what_is_not_notes_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NotesDraft.model_validate(wrong)
