"""From what a model wrote to a value of the form asked for, or to words about what is wrong with it. Pure."""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

T = TypeVar("T", bound=BaseModel)

_MOST_ERRORS = 10
_DECODER = json.JSONDecoder()


class WrongForm(ValueError):
    """The answer is not of the form asked for; the message tells the model what is wrong."""


def parsed(answer: str | dict[str, Any], form: type[T]) -> T:
    """`answer` as `form`: an object, or text with one in it, also between words or fences. Raises WrongForm."""
    value = _object_in(answer) if isinstance(answer, str) else answer
    try:
        return form.model_validate_json(json.dumps(value))  # from JSON: dates and tuples are written as such
    except ValidationError as error:
        raise WrongForm(_said(error)) from None


def repair_request(wrong: WrongForm) -> str:
    """What is said to a model whose answer did not fit."""
    return f"Your answer does not fit:\n{wrong}\nAnswer again, in full, with one JSON object of the right form."


def _object_in(text: str) -> dict[str, Any]:
    start = text.find("{")
    while start != -1:
        try:
            value, _end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            pass
        else:
            return dict(value)
        start = text.find("{", start + 1)
    raise WrongForm("there is no JSON object in it")


def _said(error: ValidationError) -> str:
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    lines = [f"- {'.'.join(map(str, each['loc'])) or 'the object'}: {each['msg']}" for each in errors[:_MOST_ERRORS]]
    return "\n".join(lines)
