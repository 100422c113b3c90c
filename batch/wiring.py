"""The one function that turns settings into what a worker's steps work with."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from batch.transcription.choose import open_transcriber
from batch.transcription.transcriber import Transcriber
from parley import store
from parley.blobs import Blobs
from parley.errors import SetupError
from parley.events import Events
from parley.llm.router import Router
from parley.rag_client import RagClient
from parley.settings import Settings


@dataclass(frozen=True, slots=True)
class Tools:
    """What the steps of one worker share."""

    settings: Settings
    pool: asyncpg.Pool
    blobs: Blobs
    events: Events
    transcriber: Transcriber
    models: Router
    rag: RagClient | None = None
    """None: there is no rag service."""


@contextlib.asynccontextmanager
async def open_tools(settings: Settings) -> AsyncIterator[Tools]:
    """Opens what a worker needs and closes it again. Raises SetupError or BackendError where that fails."""
    for name in ("database_url", "redis_url", "blob_url"):
        if not getattr(settings, name):
            raise SetupError(f"PARLEY_{name.upper()} is not set; `parley up` sets it, other ways of running need it.")
    redis: Redis = Redis.from_url(
        settings.redis_url,
        decode_responses=True,
        socket_connect_timeout=2,
        socket_timeout=20,
        retry=Retry(NoBackoff(), 1),
    )
    pool = await store.connect(settings.database_url)
    try:
        async with (
            open_transcriber(settings) as transcriber,
            RagClient(settings.rag.url, settings.rag.token) as rag,
        ):
            yield Tools(
                settings=settings,
                pool=pool,
                blobs=Blobs(settings.blob_url),
                events=Events(redis),
                transcriber=transcriber,
                models=Router(settings.llm),
                rag=rag if settings.rag.url else None,
            )
    finally:
        await redis.aclose()
        pool.terminate()
