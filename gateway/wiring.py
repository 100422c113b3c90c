"""The one function that turns settings into the gateway's objects."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import asyncpg
from itsdangerous import URLSafeTimedSerializer
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.sessions import Sessions
from gateway.vad import VoiceActivityDetector
from parley import store
from parley.blobs import Blobs
from parley.engine_pool import EnginePool
from parley.errors import SetupError
from parley.events import Events
from parley.job_events import JobEvents
from parley.rag_client import RagClient
from parley.search_cache import SearchCache
from parley.settings import GatewaySettings, Settings, UploadSettings, WebhookSettings
from parley.silero import SileroModel, model_path
from parley.tasks import background


@dataclass(frozen=True, slots=True)
class Gateway:
    """Everything that the routes share; nothing in it belongs to one session alone."""

    settings: GatewaySettings
    pool: asyncpg.Pool
    blobs: Blobs
    events: Events
    detector: VoiceActivityDetector
    engines: EnginePool
    resume_tokens: URLSafeTimedSerializer
    sessions: Sessions
    webhooks: WebhookSettings
    monthly_budget: float | None
    """What paid calls of language models may cost an owner in a month; None: there is no limit."""
    uploads: UploadSettings
    pipelines: Mapping[str, tuple[str, ...]]
    """The steps of jobs, by the pipeline's name."""
    job_events: JobEvents
    rag: RagClient
    searches: SearchCache

    def recordings(self, owner: str) -> store.Recordings:
        """All recordings that `owner` may see."""
        return store.Recordings(self.pool, owner)


@contextlib.asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """Opens what the gateway needs and closes it again. Raises SetupError or BackendError where that fails."""
    for name in ("database_url", "redis_url", "blob_url", "secret_key"):
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
    engines = EnginePool(settings.gateway.engine_urls)
    events = Events(redis)
    try:
        async with background(engines.run()), RagClient(settings.rag.url, settings.rag.token) as rag:
            yield Gateway(
                settings=settings.gateway,
                pool=pool,
                blobs=Blobs(settings.blob_url),
                events=events,
                detector=VoiceActivityDetector(SileroModel(model_path()), tick_ms=settings.gateway.vad_tick_ms),
                engines=engines,
                resume_tokens=URLSafeTimedSerializer(settings.secret_key, salt="resume"),
                sessions=Sessions(),
                webhooks=settings.webhooks,
                monthly_budget=settings.llm.monthly_budget,
                uploads=settings.uploads,
                pipelines=settings.batch.pipelines,
                job_events=JobEvents(pool, events),
                rag=rag,
                searches=SearchCache(redis),
            )
    finally:
        await redis.aclose()
        pool.terminate()
