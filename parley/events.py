"""Events for whoever watches: a short Redis stream for each owner, so that a reader who was away can catch up.

Events are a courtesy: with Redis away they are dropped (and that is logged), and nothing else stops.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from parley.errors import BackendError
from parley.logs import get_logger

_KEPT = 1000
_BLOCK_MS = 15_000
_PUBLISH_TIMEOUT_S = 1.0
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """`id` orders events and is what a reader resumes from; `kind` names what happened to `recording_id`."""

    id: str
    kind: str
    recording_id: str


class Events:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def publish(self, owner: str, kind: str, recording_id: str) -> None:
        """Tells whoever watches that `kind` (created, updated, deleted) happened to a recording. Never waits long."""
        try:
            async with asyncio.timeout(_PUBLISH_TIMEOUT_S):
                await self._redis.xadd(
                    _key(owner), {"kind": kind, "recording_id": recording_id}, maxlen=_KEPT, approximate=True
                )
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("event dropped", kind=kind, recording_id=recording_id, error=str(error))

    async def follow(self, owner: str, last_id: str | None = None) -> AsyncIterator[Event | None]:
        """Events after `last_id` (or from now on), for ever; None now and then, when nothing came.

        Raises BackendError where Redis does not answer.
        """
        key = _key(owner)
        try:
            position = last_id or await self._newest(key)
            while True:
                streams: Any = await self._redis.xread({key: position}, block=_BLOCK_MS, count=100)
                if not streams:
                    yield None
                    continue
                for entry_id, fields in streams[0][1]:
                    position = entry_id
                    yield Event(entry_id, fields["kind"], fields["recording_id"])
        except (RedisError, OSError) as error:
            raise BackendError(f"Redis does not answer: {error}.", code="events_unavailable") from error

    async def _newest(self, key: str) -> str:
        newest: Any = await self._redis.xrevrange(key, count=1)
        return str(newest[0][0]) if newest else "0-0"

    async def check(self) -> None:
        """Raises BackendError unless Redis answers."""
        try:
            await self._redis.ping()
        except (RedisError, OSError) as error:
            raise BackendError(f"Redis does not answer: {error}.", code="events_unavailable") from error


def _key(owner: str) -> str:
    return f"parley:events:{owner}"
