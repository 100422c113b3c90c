"""Delivers webhooks: a loop beside the steps, in each worker that serves the queue `notify`.

Deliveries are rows that PostgreSQL wrote in the transaction in which they became true (an outbox): one that a step
`notify` or a job's failure wrote is delivered by whichever worker takes it, at least once, under one id. An attempt is
claimed for a while; a worker that dies behind it leaves it to the next. Workers serve all owners, so nothing here
filters by owner (invariant 9); a row says whose it is, and its secret is that owner's.
"""

import asyncio
import contextlib
import json
import random
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from batch.delivery_outcome import Outcome, outcome
from parley.errors import BackendError, ParleyError
from parley.logs import get_logger
from parley.posting import Answer, PostFailed, policy_of, post
from parley.settings import WebhookSettings
from parley.store import queries
from parley.store.failures import database_errors
from parley.store.webhooks import Webhooks
from parley.webhooks import DELIVERY, EVENT, SIGNATURE, TEST_EVENT, signature

_queries: Any = queries.load(Path(__file__).parent / "deliveries.sql")

_AT_ONCE = 32
"""Attempts under way in one worker."""
_PER_OWNER = 8
"""Attempts under way for one owner, in all workers."""
_LOOK_S = 1.0
_FORGET_EVERY_S = 600.0
_AWAY_S = 2.0
_CLAIMING = 0x776562686F6F6B  # "webhook": any one number that all workers agree on
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claimed:
    """One attempt: whoever has the newest `fence` writes how it went."""

    id: UUID
    fence: int
    owner: str
    webhook_id: UUID | None
    url: str
    secret: str | None
    active: bool
    event: str
    payload: Mapping[str, Any]
    attempts: int


class Deliveries:
    """`luck` rolls the dice of the waits, uniform in [0, 1)."""

    def __init__(
        self, pool: asyncpg.Pool, settings: WebhookSettings, luck: Callable[[], float] = random.random
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._policy = policy_of(settings)
        self._tls: ssl.SSLContext = httpx.create_ssl_context()
        self._luck = luck
        self._free = asyncio.Event()

    async def run(self) -> None:
        """Delivers for ever; while PostgreSQL is away, it waits."""
        forget_at = time.monotonic()
        async with asyncio.TaskGroup() as group:
            under_way: set[asyncio.Task[None]] = set()
            while True:
                self._free.clear()
                try:
                    for claimed in await self._claim(_AT_ONCE - len(under_way)):
                        task = group.create_task(self._attempt(claimed))
                        under_way.add(task)
                        task.add_done_callback(under_way.discard)
                    if time.monotonic() >= forget_at:
                        await self.forget()
                        forget_at = time.monotonic() + _FORGET_EVERY_S
                except BackendError as error:
                    _log.warning("webhooks wait", error=error.message)
                    await asyncio.sleep(_AWAY_S)
                await self._something_to_do()

    async def deliver_due(self) -> int:
        """Makes one attempt of each that is due and whose turn it is; how many there were."""
        claimed = await self._claim(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for each in claimed:
                group.create_task(self._attempt(each))
        return len(claimed)

    async def forget(self) -> None:
        """Deletes what ended longer ago than the log is kept, a thousand at a time."""
        async with database_errors(), self._pool.acquire() as connection:
            _ = [row async for row in _queries.forget(connection, keep_days=self._settings.keep_days)]

    async def _something_to_do(self) -> None:
        """Returns when an attempt has ended, whose target may have more; at the latest after a look's time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                await self._free.wait()

    async def _claim(self, count: int) -> list[Claimed]:
        if count <= 0:
            return []
        # An attempt is over well before another worker may take it for lost.
        values = {"count": count, "per_owner": _PER_OWNER, "lease_s": 3 * self._settings.timeout_s}
        async with database_errors(), self._pool.acquire() as connection, connection.transaction():
            _ = [row async for row in _queries.in_turn(connection, lock=_CLAIMING)]
            return [Claimed(**dict(row)) async for row in _queries.claim(connection, **values)]

    async def _attempt(self, claimed: Claimed) -> None:
        try:
            await self._deliver(claimed)
        except BackendError as error:  # it is made again when its claim is over
            _log.warning("webhook delivery lost sight of", delivery=str(claimed.id), error=error.message)
        finally:
            self._free.set()

    async def _deliver(self, claimed: Claimed) -> None:
        if not claimed.active and claimed.event != TEST_EVENT:
            await self._settle(claimed, Outcome("failed", error="The webhook is switched off."), None, 0)
            return
        began = time.monotonic()
        result = await self._posted(claimed)
        duration_ms = round(1000 * (time.monotonic() - began))
        found = outcome(result, event=claimed.event, attempt=claimed.attempts, luck=self._luck())
        if found.gone and claimed.webhook_id:
            # Before the delivery, and by itself: whoever deletes a webhook locks it first, too.
            async with database_errors():
                await _queries.switch_off(self._pool, webhook_id=claimed.webhook_id, why=found.error)
        await self._settle(claimed, found, result if isinstance(result, Answer) else None, duration_ms)
        _log.info(
            "webhook delivery",
            delivery=str(claimed.id),
            about=claimed.event,
            state=found.state,
            attempt=claimed.attempts,
            ms=duration_ms,
            error=found.error,
        )

    async def _posted(self, claimed: Claimed) -> Answer | ParleyError:
        body = json.dumps(claimed.payload, ensure_ascii=False, separators=(",", ":")).encode()
        secret = claimed.secret or await Webhooks(self._pool, claimed.owner).key()
        headers = {
            "Content-Type": "application/json",
            DELIVERY: str(claimed.id),
            EVENT: claimed.event,
            SIGNATURE: signature(secret, body, int(time.time())),
        }
        try:
            return await post(claimed.url, body, headers, self._policy, tls=self._tls)
        except ParleyError as error:
            return error
        except Exception as error:  # noqa: BLE001 (what nobody foresaw is an attempt that failed)
            _log.error("webhook delivery failed", delivery=str(claimed.id), exc_info=error)
            return PostFailed(f"{type(error).__name__}: {error}"[:500])

    async def _settle(self, claimed: Claimed, found: Outcome, answer: Answer | None, duration_ms: int) -> None:
        """Writes how it went, where no other worker has taken it for lost meanwhile."""
        async with database_errors():
            await _queries.settle(
                self._pool,
                id=claimed.id,
                fence=claimed.fence,
                state=found.state,
                after_s=found.after_s,
                status=answer.status if answer else None,
                duration_ms=duration_ms,
                response=answer.body if answer else None,
                error=found.error,
            )
