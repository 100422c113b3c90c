"""Events for whoever watches: a short Redis stream for each owner, so that a reader who was away can catch up.

Events are a courtesy: with Redis away they are dropped (and that is logged), and nothing else stops.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from redis.asyncio import Redis
from redis.exceptions import RedisError

from parley.errors import BackendError
from parley.logs import get_logger

_KEPT = 5000
"""Of one owner, about: of a hundred jobs that run at once the last minute."""
_BLOCK_MS = 15_000
_PUBLISH_TIMEOUT_S = 1.0
_log = get_logger(__name__)


Topic = Literal["recording", "job"]


@dataclass(frozen=True, slots=True)
class Event:
    """`id` orders events and is what a reader resumes from; `data` is what is told of a recording or a job.

    recording: `{recording_id, change}` · job: as `parley.job_events.job_event` makes it
    """

    id: str
    topic: Topic
    data: Mapping[str, Any]


class Events:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def publish(self, owner: str, kind: str, recording_id: str) -> None:
        """Tells whoever watches that `kind` (created, updated, deleted) happened to a recording. Never waits long."""
        await self._add(owner, "recording", [{"recording_id": recording_id, "change": kind}])

    async def publish_jobs(self, owner: str, jobs: Sequence[Mapping[str, Any]]) -> None:
        """Tells whoever watches how each of some jobs is. Never waits long."""
        await self._add(owner, "job", jobs)

    async def _add(self, owner: str, topic: Topic, told: Sequence[Mapping[str, Any]]) -> None:
        """All in one trip to Redis."""
        try:
            async with asyncio.timeout(_PUBLISH_TIMEOUT_S), self._redis.pipeline(transaction=False) as trip:
                for data in told:
                    entry: Any = {"topic": topic, "data": json.dumps(data)}
                    trip.xadd(_key(owner), entry, maxlen=_KEPT, approximate=True)
                await trip.execute()
        except (RedisError, OSError, TimeoutError) as error:
            for data in told:
                _log.warning("event dropped", topic=topic, error=str(error), **data)

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
                    yield _event(entry_id, fields)
        except (RedisError, OSError) as error:
            raise BackendError(f"Redis does not answer: {error}.", code="events_unavailable") from error

    async def since(self, owner: str, last_id: str | None) -> tuple[list[Event], str]:
        """What came after `last_id` (nothing, where that is None), and the position from which `follow` goes on.

        Raises BackendError where Redis does not answer.
        """
        key = _key(owner)
        try:
            if last_id is None:
                return [], await self._newest(key)
            entries: Any = await self._redis.xrange(key, min=f"({last_id}")
        except (RedisError, OSError) as error:
            raise BackendError(f"Redis does not answer: {error}.", code="events_unavailable") from error
        events = [_event(entry_id, fields) for entry_id, fields in entries]
        return events, events[-1].id if events else last_id

    async def _newest(self, key: str) -> str:
        newest: Any = await self._redis.xrevrange(key, count=1)
        return str(newest[0][0]) if newest else "0-0"

    async def check(self) -> None:
        """Raises BackendError unless Redis answers."""
        try:
            await self._redis.ping()
        except (RedisError, OSError) as error:
            raise BackendError(f"Redis does not answer: {error}.", code="events_unavailable") from error


def _event(entry_id: str, fields: Mapping[str, str]) -> Event:
    if "topic" not in fields:  # written before there were topics
        return Event(entry_id, "recording", {"recording_id": fields["recording_id"], "change": fields["kind"]})
    return Event(entry_id, "job" if fields["topic"] == "job" else "recording", json.loads(fields["data"]))


def _key(owner: str) -> str:
    return f"parley:events:{owner}"
