"""Turns settings into the rag service's objects; nothing else in this package reads a setting of another part."""

import contextlib
from collections.abc import AsyncIterator

from qdrant_client import AsyncQdrantClient
from redis.asyncio import Redis

from parley import store
from parley.errors import SetupError
from parley.llm.router import Router
from parley.search_cache import SearchCache
from parley.settings import Settings
from rag.edge_index import EdgePlace
from rag.embedding import open_embedder
from rag.index import Place
from rag.keeper import Keeper
from rag.record import Record
from rag.server_index import ServerPlace
from rag.service import Service
from rag.shelf import Shelf
from rag.writer import Writer, ledger

_INDEX_TIMEOUT_S = 20
_POOL = 4


def place_of(settings: Settings) -> Place:
    """Where the indexes lie: in the data folder, or on a server. Raises SetupError."""
    if not settings.rag.index_url:
        return EdgePlace(settings.data.expanduser().absolute() / "index")
    client = AsyncQdrantClient(
        url=settings.rag.index_url, api_key=settings.rag.index_key or None, timeout=_INDEX_TIMEOUT_S
    )
    return ServerPlace(client, settings.rag.index_url)


@contextlib.asynccontextmanager
async def open_service(settings: Settings) -> AsyncIterator[Service]:
    """The service as the settings want it, running. Raises SetupError or BackendError where that fails."""
    check(settings)
    place = place_of(settings)
    pool = await store.connect(settings.database_url, max_size=_POOL)
    redis: Redis = Redis.from_url(settings.redis_url, socket_connect_timeout=1, socket_timeout=1)
    try:
        record, cache = Record(pool, place.name), SearchCache(redis)
        shelf = Shelf(record, place, settings.rag.model, lambda model: open_embedder(settings.rag, model))
        keeper = Keeper(settings.database_url, record, shelf, cache.forget)
        writer = Writer(Router(settings.llm), ledger(pool, settings.llm.monthly_budget), settings.rag.answer_deadline_s)
        service = Service(record, shelf, keeper, cache, writer)
        async with service.running():
            yield service
    finally:
        await redis.aclose()
        pool.terminate()


def check(settings: Settings) -> None:
    """Raises SetupError where a setting is missing."""
    missing = {"database_url": settings.database_url, "redis_url": settings.redis_url, "rag__token": settings.rag.token}
    for name, value in missing.items():
        if not value:
            raise SetupError(f"PARLEY_{name.upper()} is not set; `parley up` sets it, other ways of running need it.")
