"""What a language model is told when it writes notes. Pure.

Ours are the instructions and, after them, the template's, which the owner of the notes wrote or chose. The transcript
is data (`parley.llm.prompt`): each segment is one line that begins with its number, so no segment can pose as another.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from parley.llm.prompt import Prompt
from parley.templates import Template
from parley.transcript import Segment, samples_to_ms

_RULES = """\
You write notes of a recording.
- Write only what was said. Add nothing, guess nothing, and judge nothing.
- Each item rests on segments: name the numbers of those that say it, a few each, and only numbers that are there. What
  no segment says is left out.
- Write in the language that is spoken most, whatever language these rules are in.
- A date goes into `due` only if it follows from what was said. The recording was made on {day}.
- Parts that the instructions below do not ask for stay empty. Be brief: a reader's time is short."""

_TRANSCRIPT = """\
Each line of the data is one segment: its number, the time at which it begins, and what was said."""

_PART = """\
The data is part {number} of {count} of the recording. Write notes of this part; they are put together with the others'
afterwards."""

_REDUCE = """\
The data is a JSON list of notes, each of one part of the recording, in order. Write the notes of the whole recording
out of them: put together what belongs together, say nothing twice, keep every decision and every task, and carry over
the numbers of the segments."""


def line(segment: Segment) -> str:
    """One line for one segment, such as `12 | 0:03:05 | What was said.`"""
    seconds = samples_to_ms(segment.start) // 1000
    return f"{segment.number} | {seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} | {one_line(segment.text)}"


def one_line(text: str) -> str:
    return " ".join(text.split())


def transcript_prompt(
    lines: Sequence[str], template: Template, day: date, *, number: int = 1, count: int = 1
) -> Prompt:
    """Notes of `lines`: part `number` of `count`, from 1."""
    what = [_TRANSCRIPT] if count == 1 else [_TRANSCRIPT, _PART.format(number=number, count=count)]
    return Prompt.of(_instructions(what, template, day), "\n".join(lines))


def reduce_prompt(parts: Sequence[Mapping[str, Any]], template: Template, day: date) -> Prompt:
    """Notes of a whole out of the notes of its parts."""
    return Prompt.of(_instructions([_REDUCE], template, day), json.dumps(parts, ensure_ascii=False))


def _instructions(what: Sequence[str], template: Template, day: date) -> str:
    rules = _RULES.format(day=day.strftime("%A, %Y-%m-%d"))
    return "\n\n".join([rules, *what, f"What these notes are to be:\n{template.instructions}"])
