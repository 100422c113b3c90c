"""REST for webhooks: who is told what becomes of jobs, and the log of telling them."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from spectree import Response as Responses
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admission import owner_of
from gateway.cursors import from_cursor, to_cursor
from gateway.openapi import ErrorBody, body_of, describe, query_of
from gateway.wiring import Gateway
from parley.fetch import check_written_address, checked_url
from parley.posting import policy_of
from parley.store.webhooks import Delivery, Webhook, Webhooks
from parley.webhooks import EVENTS, DeliveryState, Event

_MODEL = ConfigDict(frozen=True, extra="forbid")
Url = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Secret = Annotated[str, StringConstraints(min_length=16, max_length=200, pattern=r"^[!-~]+$")]
"""ASCII without blanks: it is used as it stands, and typed into other programs."""
Events = Annotated[tuple[Event, ...], Field(min_length=1, max_length=len(EVENTS))]


class WebhookBody(BaseModel):
    """A webhook. `why_off` says why it is not active, where its owner did not switch it off."""

    model_config = _MODEL
    id: str
    url: str
    events: tuple[Event, ...]
    active: bool
    why_off: str | None
    created_at: datetime


class CreatedWebhook(WebhookBody):
    """The one time that its secret is shown."""

    secret: str


class WebhookList(BaseModel):
    """In the order in which they were made."""

    model_config = _MODEL
    webhooks: tuple[WebhookBody, ...]


class NewWebhook(BaseModel):
    """Without a `secret` one is made; without `events` it is told of all."""

    model_config = _MODEL
    url: Url
    events: Events = EVENTS
    secret: Secret | None = None
    active: bool = True


class WebhookChange(BaseModel):
    """What is left out stays as it is."""

    model_config = _MODEL
    url: Url | None = None
    events: Events | None = None
    secret: Secret | None = None
    active: bool | None = None


class SigningKey(BaseModel):
    """What deliveries to an address that a job itself named (`webhook_url`) are signed with."""

    model_config = _MODEL
    secret: str


class DeliveryBody(BaseModel):
    """One event on its way. `webhook_id` is null for the address that a job itself named; then it is `url`.

    `status`, `duration_ms`, `response` (its beginning) and `error` are those of the last attempt. `next_at`: when the
    next one is due, null while one is under way and when it is over.
    """

    model_config = _MODEL
    id: str
    webhook_id: str | None
    url: str | None
    job_id: str | None
    event: str
    payload: dict[str, Any]
    state: DeliveryState
    attempts: int
    next_at: datetime | None
    status: int | None
    duration_ms: int | None
    response: str | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryBody":
        return cls(**{name: getattr(delivery, name) for name in cls.model_fields})


class DeliveryPage(BaseModel):
    """The newest first; `next_cursor` gives the page after this one, null on the last."""

    model_config = _MODEL
    deliveries: tuple[DeliveryBody, ...]
    next_cursor: str | None


class DeliveryQuery(BaseModel):
    model_config = _MODEL
    job: Annotated[str, Field(max_length=100)] | None = None
    state: DeliveryState | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None


@describe(resp=Responses(HTTP_200=WebhookList), tags=["webhooks"])
async def list_webhooks(request: Request) -> Response:
    """The webhooks, without their secrets."""
    return _json(WebhookList(webhooks=tuple(_shown(webhook) for webhook in await _webhooks(request).all())))


@describe(
    json=NewWebhook, resp=Responses(HTTP_201=CreatedWebhook, HTTP_400=ErrorBody, HTTP_409=ErrorBody), tags=["webhooks"]
)
async def create_webhook(request: Request) -> Response:
    """Makes a webhook. Its secret, with which receivers check the signature, is shown in this answer only."""
    body = await body_of(request, NewWebhook)
    _check_url(request, body.url)
    made = await _webhooks(request).create(body.url, _once(body.events), secret=body.secret, active=body.active)
    return _json(CreatedWebhook(**_shown(made).model_dump(), secret=made.secret), 201)


@describe(resp=Responses(HTTP_200=WebhookBody, HTTP_404=ErrorBody), tags=["webhooks"])
async def get_webhook(request: Request) -> Response:
    """One webhook, without its secret."""
    return _json(_shown(await _webhooks(request).get(_id(request))))


@describe(
    json=WebhookChange, resp=Responses(HTTP_200=WebhookBody, HTTP_400=ErrorBody, HTTP_404=ErrorBody), tags=["webhooks"]
)
async def change_webhook(request: Request) -> Response:
    """Changes a webhook. A new secret signs from the next attempt on."""
    body = await body_of(request, WebhookChange)
    if body.url is not None:
        _check_url(request, body.url)
    changed = await _webhooks(request).update(
        _id(request),
        url=body.url,
        events=_once(body.events) if body.events else None,
        secret=body.secret,
        active=body.active,
    )
    return _json(_shown(changed))


@describe(resp=Responses("HTTP_204", HTTP_404=ErrorBody), tags=["webhooks"])
async def delete_webhook(request: Request) -> Response:
    """Deletes a webhook with its log. What waits for it is not delivered any more."""
    await _webhooks(request).delete(_id(request))
    return Response(status_code=204)


@describe(resp=Responses(HTTP_202=DeliveryBody, HTTP_404=ErrorBody), tags=["webhooks"])
async def test_webhook(request: Request) -> Response:
    """Sends the event `webhook.test`, once; its delivery says how it went, within a few seconds."""
    return _json(DeliveryBody.of(await _webhooks(request).test(_id(request))), 202)


@describe(query=DeliveryQuery, resp=Responses(HTTP_200=DeliveryPage, HTTP_404=ErrorBody), tags=["webhooks"])
async def list_deliveries(request: Request) -> Response:
    """What a webhook was told, newest first, a page at a time."""
    return await _delivery_page(request, _id(request))


@describe(query=DeliveryQuery, resp=Responses(HTTP_200=DeliveryPage, HTTP_400=ErrorBody), tags=["webhooks"])
async def list_all_deliveries(request: Request) -> Response:
    """What all webhooks were told, and the addresses that jobs themselves named; `job` narrows it down to one."""
    return await _delivery_page(request, None)


@describe(resp=Responses(HTTP_202=DeliveryBody, HTTP_404=ErrorBody, HTTP_409=ErrorBody), tags=["webhooks"])
async def redeliver(request: Request) -> Response:
    """Delivers once more what was delivered or given up, under the same id and with all attempts anew."""
    return _json(DeliveryBody.of(await _webhooks(request).redeliver(str(request.path_params["delivery"]))), 202)


@describe(resp=Responses(HTTP_200=SigningKey), tags=["webhooks"])
async def get_key(request: Request) -> Response:
    """The secret with which deliveries to a job's own `webhook_url` are signed."""
    return _json(SigningKey(secret=await _webhooks(request).key()))


@describe(resp=Responses(HTTP_200=SigningKey), tags=["webhooks"])
async def replace_key(request: Request) -> Response:
    """Replaces that secret; the new one signs from the next attempt on."""
    return _json(SigningKey(secret=await _webhooks(request).replace_key()))


_ROOT = "/api/v1/webhooks"
routes = [
    Route(_ROOT, list_webhooks, methods=["GET"]),
    Route(_ROOT, create_webhook, methods=["POST"]),
    Route(f"{_ROOT}/key", get_key, methods=["GET"]),
    Route(f"{_ROOT}/key", replace_key, methods=["POST"]),
    Route(f"{_ROOT}/deliveries", list_all_deliveries, methods=["GET"]),
    Route(f"{_ROOT}/deliveries/{{delivery}}/redeliver", redeliver, methods=["POST"]),
    Route(f"{_ROOT}/{{id}}", get_webhook, methods=["GET"]),
    Route(f"{_ROOT}/{{id}}", change_webhook, methods=["PATCH"]),
    Route(f"{_ROOT}/{{id}}", delete_webhook, methods=["DELETE"]),
    Route(f"{_ROOT}/{{id}}/test", test_webhook, methods=["POST"]),
    Route(f"{_ROOT}/{{id}}/deliveries", list_deliveries, methods=["GET"]),
]


def _webhooks(request: Request) -> Webhooks:
    return Webhooks(request.app.state.gateway.pool, owner_of(request))


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _check_url(request: Request, url: str) -> None:
    """Raises ForbiddenURL for what will never be told; what a name stands for is checked when it is connected to."""
    gateway: Gateway = request.app.state.gateway
    policy = policy_of(gateway.webhooks)
    check_written_address(checked_url(url, policy), policy)


def _once(events: tuple[Event, ...]) -> list[Event]:
    return list(dict.fromkeys(events))


def _shown(webhook: Webhook) -> WebhookBody:
    return WebhookBody(**{name: getattr(webhook, name) for name in WebhookBody.model_fields})


async def _delivery_page(request: Request, webhook_id: str | None) -> Response:
    query = query_of(request, DeliveryQuery)
    found = await _webhooks(request).deliveries(
        count=query.limit + 1,
        before=from_cursor(query.cursor),
        webhook_id=webhook_id,
        job_id=query.job,
        state=query.state,
    )
    page = found[: query.limit]
    next_cursor = to_cursor(page[-1].created_at, page[-1].id) if len(found) > query.limit else None
    return _json(DeliveryPage(deliveries=tuple(map(DeliveryBody.of, page)), next_cursor=next_cursor))


def _json(body: BaseModel, status: int = 200) -> Response:
    return Response(body.model_dump_json(), status, media_type="application/json")
