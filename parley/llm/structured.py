"""From what a model wrote to a value of the form asked for, or to words about what is wrong with it. Pure."""

import json
from collections.abc import Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

T = TypeVar("T", bound=BaseModel)

_MOST_ERRORS = 10
_DECODER = json.JSONDecoder()


class WrongForm(ValueError):
    """The answer is not of the form asked for; the message tells the model what is wrong."""


def parsed(answer: str | dict[str, Any], form: type[T]) -> T:
    """`answer` as `form`: an object, or text with one in it, also between words, fences and thoughts.

    Raises WrongForm.
    """
    wrong = WrongForm("there is no JSON object in it")
    for value in _objects_in(answer) if isinstance(answer, str) else [answer]:
        try:
            return form.model_validate_json(json.dumps(value))  # from JSON: dates and tuples are written as such
        except ValidationError as error:
            wrong = WrongForm(_said(error))
    raise wrong


def repair_request(wrong: WrongForm) -> str:
    """What is said to a model whose answer did not fit."""
    return f"Your answer does not fit:\n{wrong}\nAnswer again, in full, with one JSON object of the right form."


def _objects_in(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in `text`, one after the other."""
    start = text.find("{")
    while start != -1:
        end = start + 1
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            pass
        else:
            yield value
        start = text.find("{", end)


def _said(error: ValidationError) -> str:
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [f"- {'.'.join(map(str, each['loc'])) or 'the object'}: {each['msg']}" for each in errors[:_MOST_ERRORS]]
    return "\n".join(lines)
