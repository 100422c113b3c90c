"""What searches found, remembered in Redis for each owner until something of theirs changes.

rag says when (`forget`); an entry names the owner's version at which it was found, so that what was found before a
change is never taken for what is there after it. Where Redis is away, nothing is remembered, and search goes on.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from parley.logs import get_logger

_KEPT_S = 60
_PATIENCE_S = 0.25
_EPOCH = "parley:search:epoch"
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the answer to a question belongs, and the answer, where it is known. `key` empty: nowhere."""

    key: str = ""
    answer: bytes | None = None


class SearchCache:
    """No call waits for longer than a moment, or raises."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def look_up(self, owner: str, question: str) -> Slot:
        """What is remembered of this owner's question."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                epoch, version = await self._redis.mget(_EPOCH, _version(owner))
                hashed = hashlib.sha256(f"{epoch!r} {version!r} {question}".encode()).hexdigest()
                key = f"parley:search:{owner}:{hashed}"
                answer: Any = await self._redis.get(key)
                return Slot(key, answer.encode() if isinstance(answer, str) else answer)
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("the memory of searches is away", what="look up", error=str(error))
            return Slot()

    async def remember(self, slot: Slot, answer: bytes) -> None:
        if slot.key:
            async with _unimportant("remember"):
                await self._redis.set(slot.key, answer, ex=_KEPT_S)

    async def forget(self, owner: str) -> None:
        """Something of this owner's changed."""
        async with _unimportant("forget"):
            await self._redis.incr(_version(owner))

    async def forget_all(self) -> None:
        """A rag service begins: what changed while none was there, nobody told."""
        async with _unimportant("forget"):
            await self._redis.incr(_EPOCH)


def _version(owner: str) -> str:
    return f"parley:search:version:{owner}"


@asynccontextmanager
async def _unimportant(what: str) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            yield
    except (RedisError, OSError, TimeoutError) as error:
        _log.warning("the memory of searches is away", what=what, error=str(error))
