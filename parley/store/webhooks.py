"""An owner's webhooks and the log of what they were told. What delivers is in `batch.deliveries`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from parley.errors import ClientError, NotFound
from parley.store import queries
from parley.store.failures import database_errors
from parley.webhooks import TEST_EVENT, DeliveryState, Event, new_secret

_queries: Any = queries.load(Path(__file__).parent / "webhooks.sql")

MOST_WEBHOOKS = 20
"""Webhooks of one owner."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """`why_off` says why it is not active, where its owner did not switch it off."""

    id: str
    owner: str
    url: str
    secret: str
    events: tuple[Event, ...]
    active: bool
    why_off: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one webhook, or to the `url` that its job named.

    `status`, `duration_ms`, `response` (its beginning) and `error` are those of the last attempt; `next_at` is when the
    next one is due.
    """

    id: str
    webhook_id: str | None
    url: str | None
    job_id: str | None
    event: str
    payload: Mapping[str, Any]
    state: DeliveryState
    attempts: int
    next_at: datetime | None
    status: int | None
    duration_ms: int | None
    response: str | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class Webhooks:
    """All that `owner` may see. The owner is bound here, once, and every query filters by it (invariant 9).

    Every call raises BackendError where PostgreSQL does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, owner: str) -> None:
        self._pool = pool
        self._owner = owner

    async def _query(self, name: str, **values: Any) -> Any:
        async with database_errors():
            return await getattr(_queries, name)(self._pool, owner=self._owner, **values)

    async def _rows(self, name: str, **values: Any) -> list[asyncpg.Record]:
        async with database_errors():
            return [row async for row in getattr(_queries, name)(self._pool, owner=self._owner, **values)]

    async def all(self) -> list[Webhook]:
        """In the order in which they were made."""
        return [_webhook(row) for row in await self._rows("list_webhooks")]

    async def get(self, webhook_id: str) -> Webhook:
        """Raises NotFound, also for another owner's."""
        row = await self._query("get_webhook", id=_uuid(webhook_id, "webhook"))
        if row is None:
            raise _unknown(webhook_id, "webhook")
        return _webhook(row)

    async def create(
        self, url: str, events: Sequence[Event], *, secret: str | None = None, active: bool = True
    ) -> Webhook:
        """A webhook with this secret, or a new one. Raises ClientError where there are too many."""
        values = {"url": url, "secret": secret or new_secret(), "events": list(events), "active": active}
        row = await self._query("create_webhook", most=MOST_WEBHOOKS, **values)
        if row is None:
            raise ClientError(f"There are {MOST_WEBHOOKS} webhooks already, the most there can be.", code="too_many")
        return _webhook(row)

    async def update(
        self,
        webhook_id: str,
        *,
        url: str | None = None,
        events: Sequence[Event] | None = None,
        secret: str | None = None,
        active: bool | None = None,
    ) -> Webhook:
        """Changes what is given. Raises NotFound."""
        values = {"url": url, "secret": secret, "events": list(events) if events else None, "active": active}
        row = await self._query("update_webhook", id=_uuid(webhook_id, "webhook"), **values)
        if row is None:
            raise _unknown(webhook_id, "webhook")
        return _webhook(row)

    async def delete(self, webhook_id: str) -> None:
        """Removes it with its log, and what waits for it. Raises NotFound."""
        if not await self._query("delete_webhook", id=_uuid(webhook_id, "webhook")):
            raise _unknown(webhook_id, "webhook")

    async def test(self, webhook_id: str) -> Delivery:
        """Has the event `webhook.test` delivered, whether it is active or not. Raises NotFound."""
        row = await self._query("insert_test", id=_uuid(webhook_id, "webhook"), event=TEST_EVENT)
        if row is None:
            raise _unknown(webhook_id, "webhook")
        return _delivery(row)

    async def deliveries(
        self,
        *,
        count: int,
        before: tuple[datetime, str] | None = None,
        webhook_id: str | None = None,
        job_id: str | None = None,
        state: DeliveryState | None = None,
    ) -> list[Delivery]:
        """The newest `count`, or those older than `before` (creation time and id of the last one seen).

        Raises NotFound for a webhook that is not the owner's.
        """
        if webhook_id is not None:
            await self.get(webhook_id)
        created, last_id = before or (None, None)
        rows = await self._rows(
            "list_deliveries",
            webhook_id=_uuid(webhook_id, "webhook") if webhook_id else None,
            job_id=_uuid(job_id, "job") if job_id else None,
            state=state,
            before_created=created,
            before_id=_uuid(last_id, "delivery") if last_id else None,
            count=count,
        )
        return [_delivery(row) for row in rows]

    async def redeliver(self, delivery_id: str) -> Delivery:
        """Delivers once more what was delivered or given up, under the same id, with all attempts anew.

        Raises NotFound, and ClientError for what is still being delivered.
        """
        key = {"id": _uuid(delivery_id, "delivery")}
        if (row := await self._query("redeliver", **key)) is not None:
            return _delivery(row)
        if await self._query("get_delivery", **key) is None:
            raise _unknown(delivery_id, "delivery")
        raise ClientError(f"The delivery {delivery_id} is still under way.", code="still_pending")

    async def key(self) -> str:
        """What deliveries to the addresses that jobs themselves name are signed with."""
        return str(await self._query("own_key", secret=new_secret()))

    async def replace_key(self) -> str:
        """Another one, from the next attempt on."""
        return str(await self._query("replace_key", secret=new_secret()))


def _uuid(text: str, what: str) -> UUID:
    try:
        found = UUID(text)
    except ValueError:
        raise _unknown(text, what) from None
    if str(found) != text:
        raise _unknown(text, what)
    return found


def _unknown(text: str, what: str) -> NotFound:
    return NotFound(f"There is no {what} {text[:64]!r}.", code=f"no_such_{what}")


def _webhook(row: asyncpg.Record) -> Webhook:
    return Webhook(**dict(row) | {"id": str(row["id"]), "events": tuple(row["events"])})


def _delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(
        id=str(row["id"]),
        webhook_id=_text(row["webhook_id"]),
        url=row["url"],
        job_id=_text(row["job_id"]),
        event=row["event"],
        payload=row["payload"],
        state=row["state"],
        attempts=row["attempts"],
        next_at=row["not_before"] if row["state"] == "pending" and row["claimed_until"] is None else None,
        status=row["status"],
        duration_ms=row["duration_ms"],
        response=row["response"],
        error=row["error"],
        created_at=row["created_at"],
        finished_at=row["finished_at"],
    )


def _text(value: UUID | None) -> str | None:
    return str(value) if value else None
