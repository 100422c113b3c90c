"""Templates of notes: what a language model is asked to pay attention to. Pure; the form of notes is always the same.

A template fills in the same `NotesDraft` as any other: its instructions say what to write into which part, and which
parts to leave out. An owner's own stand beside those that are built in (`parley.store.templates`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, StringConstraints

TemplateName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,79}$")]
"""Lower-case letters and digits, with - and _ between: it stands in addresses and in a job's options."""
TemplateTitle = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Instructions = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8000)]
"""Some 2,000 tokens at most: they are sent with every part of a long transcript."""


@dataclass(frozen=True, slots=True)
class Template:
    """`title` is what people choose it by; `instructions` is what a language model is told, in any language."""

    name: str
    title: str
    instructions: str
    built_in: bool = False


STANDARD = "standard"

BUILT_IN: Mapping[str, Template] = {
    template.name: template
    for template in (
        Template(
            STANDARD,
            "Standard",
            "Write the notes that someone needs who was not there: a summary in one to five short paragraphs, the"
            " points that matter most, every decision, every task with who does it and until when where that was said,"
            " and the chapters of the recording in order. Leave the diary empty.",
            built_in=True,
        ),
        Template(
            "meeting",
            "Meeting",
            "Write the minutes of a meeting: what it was for, in one paragraph; as key points, what each topic came to;"
            " as decisions, what was agreed, with the reason where one was given; as action items, who does what until"
            " when; as chapters, the topics in order. Name people only as the recording names them. Leave the diary"
            " empty.",
            built_in=True,
        ),
        Template(
            "interview",
            "Interview",
            "Write notes of an interview: in the summary, who was asked about what; as key points, the answers, each"
            " close to the words in which it was given; as chapters, the questions in order. Do not judge the answers."
            " Leave the diary empty.",
            built_in=True,
        ),
        Template(
            "lecture",
            "Lecture",
            "Write notes to learn from: in the summary, the argument from beginning to end; as key points,"
            " definitions, results and examples, each to be understood by itself; as action items, only what the"
            " audience was told to read or do; as chapters, the parts of the lecture in order. Leave the diary empty.",
            built_in=True,
        ),
        Template(
            "diary",
            "Diary",
            "Write a diary entry out of what the speaker says: in the diary, in the first person and the past tense, in"
            " the speaker's own words where possible, what happened and how it was felt, paragraph by paragraph. Add"
            " nothing that was not said. Keep the summary to one paragraph, and the key points to what the speaker will"
            " want to find again.",
            built_in=True,
        ),
    )
}
