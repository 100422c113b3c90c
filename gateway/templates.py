"""REST for the templates of notes: those that are built in, and the owner's own."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from spectree import Response as Responses
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admission import owner_of
from gateway.openapi import ErrorBody, body_of, describe
from parley.errors import ClientError
from parley.store.templates import Templates
from parley.templates import Instructions, Template, TemplateName, TemplateTitle

_MODEL = ConfigDict(frozen=True, extra="forbid")


class TemplateBody(BaseModel):
    """A template. `instructions` is what a language model is told; `built_in` ones stay as they are."""

    model_config = _MODEL
    name: str
    title: str
    instructions: str
    built_in: bool

    @classmethod
    def of(cls, template: Template) -> "TemplateBody":
        return cls(
            name=template.name,
            title=template.title,
            instructions=template.instructions,
            built_in=template.built_in,
        )


class TemplateList(BaseModel):
    """Those that are built in, then the own ones by name."""

    model_config = _MODEL
    templates: tuple[TemplateBody, ...]


class TemplateChange(BaseModel):
    """Without a `title` the name stands for it."""

    model_config = _MODEL
    title: TemplateTitle | None = None
    instructions: Instructions


class NewTemplate(TemplateChange):
    """A template with a name of its own."""

    name: TemplateName


class _Named(BaseModel):
    name: Annotated[TemplateName, Field()]


@describe(resp=Responses(HTTP_200=TemplateList), tags=["templates"])
async def list_templates(request: Request) -> Response:
    """The templates that notes can be written by."""
    found = await _templates(request).available()
    return _json(TemplateList(templates=tuple(map(TemplateBody.of, found))))


@describe(resp=Responses(HTTP_200=TemplateBody, HTTP_404=ErrorBody), tags=["templates"])
async def get_template(request: Request) -> Response:
    """One template."""
    return _json(TemplateBody.of(await _templates(request).get(_name(request))))


@describe(
    json=NewTemplate, resp=Responses(HTTP_201=TemplateBody, HTTP_400=ErrorBody, HTTP_409=ErrorBody), tags=["templates"]
)
async def create_template(request: Request) -> Response:
    """Makes a template of one's own, by a name that is not taken."""
    body = await body_of(request, NewTemplate)
    template = Template(body.name, body.title or body.name, body.instructions)
    await _templates(request).create(template)
    return _json(TemplateBody.of(template), 201)


@describe(
    json=TemplateChange,
    resp=Responses(HTTP_200=TemplateBody, HTTP_400=ErrorBody, HTTP_409=ErrorBody),
    tags=["templates"],
)
async def put_template(request: Request) -> Response:
    """Makes a template of one's own, or replaces it. Notes that were written by it stay as they are."""
    body = await body_of(request, TemplateChange)
    name = _checked_name(request)
    template = Template(name, body.title or name, body.instructions)
    await _templates(request).put(template)
    return _json(TemplateBody.of(template))


@describe(resp=Responses("HTTP_204", HTTP_404=ErrorBody, HTTP_409=ErrorBody), tags=["templates"])
async def delete_template(request: Request) -> Response:
    """Deletes a template of one's own. Notes that were written by it stay as they are."""
    await _templates(request).delete(_name(request))
    return Response(status_code=204)


routes = [
    Route("/api/v1/templates", list_templates, methods=["GET"]),
    Route("/api/v1/templates", create_template, methods=["POST"]),
    Route("/api/v1/templates/{name}", get_template, methods=["GET"]),
    Route("/api/v1/templates/{name}", put_template, methods=["PUT"]),
    Route("/api/v1/templates/{name}", delete_template, methods=["DELETE"]),
]


def _templates(request: Request) -> Templates:
    return Templates(request.app.state.gateway.pool, owner_of(request))


def _name(request: Request) -> str:
    return str(request.path_params["name"])


def _checked_name(request: Request) -> str:
    """Raises ClientError for what cannot be a template's name."""
    try:
        return _Named(name=_name(request)).name
    except ValueError:
        raise ClientError(
            f"{_name(request)[:100]!r} is no name of a template: lower-case letters, digits, - and _, up to 80, the"
            " first a letter or a digit.",
            code="bad_request",
        ) from None


def _json(body: BaseModel, status: int = 200) -> Response:
    return Response(body.model_dump_json(), status, media_type="application/json")
