"""What whoever sends a file says about it and about its job: in JSON, in a form's fields, or in tus's metadata."""

import json
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.requests import Request

from gateway.admission import priority_of
from gateway.wiring import Gateway
from parley import wire
from parley.errors import ClientError
from parley.jobs import JobOptions, PlannedStep, Priority
from parley.pipelines import Artefact
from parley.store.intake import Wanted
from parley.store.jobs import check_pipeline
from parley.store.pipelines import plan
from parley.transcript import Origin
from parley.wire import explain

_KEY = re.compile(r"[!-~]{1,200}")
"""No blanks: Parley's own keys have some, so that nobody can send one of those."""
_NAME_CHARACTERS = 200
_OF_CLIENTS = frozenset({"name", "type", "filetype", "relativePath"})
"""What tus clients say of their own accord; of it, only a name means anything here."""


def _as_list(value: Any) -> Any:
    """In a form or in metadata the steps of a pipeline are divided by commas."""
    return [name.strip() for name in value.split(",")] if isinstance(value, str) and "," in value else value


Pipeline = Annotated[
    Annotated[str, Field(min_length=1, max_length=80)]
    | Annotated[tuple[Annotated[str, Field(min_length=1, max_length=80)], ...], Field(min_length=1, max_length=20)],
    BeforeValidator(_as_list),
]
"""A pipeline's name in the settings, or its steps."""


class JobRequest(BaseModel):
    """A job: its pipeline (a name in the settings, or a list of steps; null: the one for what it is), how urgent it is,
    and how it is done."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    pipeline: Pipeline | None = None
    priority: Priority = "normal"
    options: JobOptions = JobOptions()


class FileRequest(JobRequest):
    """A file that becomes a recording, and its job."""

    title: wire.Title | None = None

    @classmethod
    def of_texts(cls, texts: Mapping[str, str]) -> Self:
        """From a form's fields or tus's metadata: `options` is JSON there. Raises ClientError."""
        fields: dict[str, Any] = {name: text for name, text in texts.items() if name != "options"}
        if "options" in texts:
            fields["options"] = _json("options", texts["options"])
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise ClientError(explain(error)) from None


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ClientError(f"{name} is no JSON (given: {text[:80]!r}).") from None


def of_metadata(metadata: Mapping[str, str]) -> tuple[str | None, FileRequest]:
    """The file's name, and what is wanted of it, as a tus client says it. Raises ClientError."""
    name = metadata.get("filename") or metadata.get("name")
    texts = {key: value for key, value in metadata.items() if key not in _OF_CLIENTS and key != "filename"}
    return file_name(name), FileRequest.of_texts(texts)


def file_name(name: str | None) -> str | None:
    """A name to show for a file, of what its sender calls it: the last part of a path, without control characters."""
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(filter(str.isprintable, last)).strip()[:_NAME_CHARACTERS] or None


def idempotency_key(request: Request) -> str | None:
    """The request's `Idempotency-Key`; the same one again makes nothing new. Raises ClientError for what is none."""
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise ClientError(f"Idempotency-Key is 1 to 200 characters of ASCII without blanks (given: {key[:80]!r}).")
    return key


async def wanted_of(
    request: Request, asked: FileRequest, origin: Origin, *, name: str | None = None, url: str | None = None
) -> Wanted:
    """The recording and the job that `request` asks for. Raises ClientError for a pipeline that cannot be."""
    if url is None:
        steps = await steps_of(request, asked, default="upload", have={"source"})
    else:
        steps = await steps_of(request, asked, default="import", have=(), first="fetch")
    return Wanted(
        origin=origin,
        steps=steps,
        priority=priority_of(request, asked.priority),
        options=asked.options.model_dump(mode="json", exclude_defaults=True),
        title=asked.title,
        name=name,
        url=url,
    )


async def steps_of(
    request: Request, asked: JobRequest, *, default: str, have: Collection[Artefact], first: str | None = None
) -> tuple[PlannedStep, ...]:
    """The steps of the pipeline that is asked for, or of the `default`; `first` is put in front where it is not named.

    `have`: what there is to begin with. Raises ClientError: `unknown_step`, `step_order`, `step_twice`, `no_steps`.
    """
    gateway: Gateway = request.app.state.gateway
    names = _names(gateway.pipelines, asked.pipeline or default)
    if first is not None and first not in names:
        names = (first, *names)
    steps = await plan(gateway.pool, names, have)
    check_pipeline(steps)
    return tuple(steps)


def _names(pipelines: Mapping[str, tuple[str, ...]], pipeline: str | tuple[str, ...]) -> tuple[str, ...]:
    """A single name that is no pipeline's is a step's."""
    return pipelines.get(pipeline, (pipeline,)) if isinstance(pipeline, str) else pipeline
