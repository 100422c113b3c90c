"""What a part of an embedded server is, and the list of them for given settings."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from parley.embedded import nginx, postgres, redis_server
from parley.embedded.health import Check, PostgresAccepts, ProxyAnswers, RedisAnswers, ServiceReady
from parley.embedded.process import Account
from parley.embedded.sockets import Place, is_loopback
from parley.settings import Settings

Hook = Callable[[], Awaitable[None]]

RAG_MODULES = ("torch", "sentence_transformers", "qdrant_edge", "qdrant_client")
"""Without one of them there is no rag service."""
RECOVERY_TIMEOUT_S = 600.0
"""Seconds for a store to accept: after a crash it reads its log first."""


async def nothing() -> None:
    """The hook of a part that needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process to keep running.

    Parts of one `kin` (a gateway, another gateway) do the same: one goes on without another, and they stop together.
    `before` runs before each start; `once_ready` after each time the part has become healthy, before the parts that
    need it start. `start_timeout_s`: seconds to become healthy, None: as long as it takes (a model downloads).
    `optional`: the others do without it; nobody waits for it to begin, and it is never given up.
    `vital` False: all wait for it to begin; once all were ready, it is never given up.
    `death_signal` is what the kernel sends when we are killed; services lose nothing by SIGKILL, by design.
    """

    name: str
    title: str
    kin: str
    command: tuple[str, ...]
    check: Check
    env: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    before: Hook = nothing
    once_ready: Hook = nothing
    pass_fds: tuple[int, ...] = ()
    cwd: Path | None = None
    account: Account | None = None
    start_timeout_s: float | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_timeout_s: float = 5.0
    death_signal: signal.Signals = signal.SIGKILL
    optional: bool = False
    vital: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where this server lives: absolute folders, and where each part listens. `proxy`: nginx, before the gateways."""

    data: Path
    sockets: Path
    gateways: tuple[Place, ...]
    engines: tuple[Place, ...]
    workers: tuple[Place, ...] = ()
    rag: Place | None = None
    proxy: Place | None = None
    secret_key: str
    rag_token: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """`http://host:port` of each place that a client may turn to."""
        return tuple(place.address for place in ((self.proxy,) if self.proxy else self.gateways))

    @property
    def places(self) -> dict[str, str]:
        """The address of each service, by the name of its part."""
        alone = {"nginx": self.proxy, "rag": self.rag}
        named = {name: place for name, place in alone.items() if place}
        for kin, places in (("engine", self.engines), ("worker", self.workers), ("gateway", self.gateways)):
            named |= {numbered(kin, index): place for index, place in enumerate(places)}
        return {name: place.address for name, place in named.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What runs as the services, and what brings the database up to date. Tests put scripted ones here."""

    gateway: tuple[str, ...] = (sys.executable, "-m", "gateway")
    engine: tuple[str, ...] = (sys.executable, "-m", "stream_engine")
    worker: tuple[str, ...] = (sys.executable, "-m", "batch")
    rag: tuple[str, ...] = (sys.executable, "-m", "rag")
    migrate: Callable[[str], Awaitable[None]]


def build_parts(settings: Settings, site: Site, services: Services) -> tuple[Part, ...]:
    """The parts; they stop in the reverse of this order. A part whose URL is set is not started.

    So the gateways stop before nginx does, which still carries what they say to their sessions.
    """
    env = service_env(settings, site)
    parts: list[Part] = []
    if not settings.database_url:
        parts.append(postgres_part(site))
    if not settings.redis_url:
        parts.append(redis_part(site))
    stores = tuple(part.name for part in parts)
    if starts_engine(settings):
        parts += engine_parts(settings, site, services, env)
    beside = tuple(dict.fromkeys(part.kin for part in parts))

    async def migrate() -> None:
        await services.migrate(env["PARLEY_DATABASE_URL"])

    up_to_date = once(migrate)
    if site.rag:
        parts.append(rag_part(site.rag, services, env, needs=stores, before=up_to_date))
    parts += worker_parts(site, services, env, needs=stores, before=up_to_date)
    if site.proxy:
        parts.append(nginx_part(site, site.proxy))
    return (*parts, *gateway_parts(settings, site, services, env, needs=stores, before=up_to_date, beside=beside))


def starts_engine(settings: Settings) -> bool:
    """False where the settings name engines that run elsewhere."""
    return "engine_urls" not in settings.gateway.model_fields_set


def starts_rag(settings: Settings) -> bool:
    """False where the settings name one that runs elsewhere or want none, or its packages are not installed."""
    if settings.up.rag is not None:
        return settings.up.rag
    return not settings.rag.url and all(find_spec(name) for name in RAG_MODULES)


def service_env(settings: Settings, site: Site) -> dict[str, str]:
    """What the services learn by environment: where everything is."""
    env = {
        "PARLEY_DATA": str(site.data),
        "PARLEY_DATABASE_URL": settings.database_url or postgres.url(site.sockets),
        "PARLEY_REDIS_URL": settings.redis_url or redis_server.url(site.sockets),
        "PARLEY_BLOB_URL": settings.blob_url or (site.data / "blobs").as_uri(),
        "PARLEY_SECRET_KEY": settings.secret_key or site.secret_key,
        "PYTHONUNBUFFERED": "1",
    }
    if starts_engine(settings):
        env["PARLEY_GATEWAY__ENGINE_URLS"] = json.dumps([engine.address for engine in site.engines])
    if site.rag:
        env |= {"PARLEY_RAG__URL": site.rag.address, "PARLEY_RAG__TOKEN": settings.rag.token or site.rag_token}
    return env


def numbered(kin: str, index: int) -> str:
    """The name of the first part of its kin, of the second …: `gateway`, `gateway-2`."""
    return kin if not index else f"{kin}-{index + 1}"


def shares(cores: int, count: int) -> list[int]:
    """The cores of each of `count` engines, one at least."""
    return [max(1, cores // count + (index < cores % count)) for index in range(count)]


def postgres_part(site: Site) -> Part:
    sockets = postgres.socket_folder(site.sockets)
    cluster = postgres.Cluster(site.data / "postgres", sockets, len(site.gateways), len(site.workers))
    return Part(
        name="postgres",
        title="PostgreSQL",
        kin="postgres",
        command=cluster.command(),
        check=PostgresAccepts(cluster.sockets),
        before=cluster.prepare,
        once_ready=cluster.ensure_database,
        cwd=site.data,
        account=cluster.account,
        start_timeout_s=RECOVERY_TIMEOUT_S,
        stop_signal=signal.SIGINT,  # "fast shutdown": sessions are ended, then a checkpoint
        stop_timeout_s=8.0,
        death_signal=signal.SIGQUIT,  # "immediate shutdown": the next start replays the log
    )


def redis_part(site: Site) -> Part:
    return Part(
        name="redis",
        title="Redis",
        kin="redis",
        command=redis_server.command(site.data / "redis", redis_server.socket_path(site.sockets)),
        check=RedisAnswers(redis_server.socket_path(site.sockets)),
        start_timeout_s=RECOVERY_TIMEOUT_S,
        stop_timeout_s=3.0,
        death_signal=signal.SIGTERM,
    )


def engine_parts(settings: Settings, site: Site, services: Services, env: dict[str, str]) -> list[Part]:
    """The engines. Several share the cores, and the GPUs where there are enough."""
    count, gpus = len(site.engines), settings.engine.gpus
    cores = shares(settings.engine.cores or os.cpu_count() or 1, count)
    parts = []
    for index, place in enumerate(site.engines):
        own = {"PARLEY_ENGINE__HOST": place.bind, "PARLEY_ENGINE__PORT": str(place.port)}
        if count > 1:
            own |= {
                "PARLEY_ENGINE__CORES": str(cores[index]),
                "PARLEY_ENGINE__GPUS": json.dumps(gpus[index::count] or gpus),
            }
        parts.append(_service_part("engine", index, place, services.engine, env | own, stop_timeout_s=6.0))
    return parts


def rag_part(place: Place, services: Services, env: dict[str, str], *, needs: tuple[str, ...], before: Hook) -> Part:
    """The rag service. Nobody waits for it: until it is ready, search says that it is away."""
    own = {"PARLEY_RAG__HOST": place.bind, "PARLEY_RAG__PORT": str(place.port)}
    return replace(
        _service_part("rag", 0, place, services.rag, env | own, stop_timeout_s=6.0),
        title="Search",
        needs=needs,
        before=before,
        optional=True,
    )


def gateway_parts(
    settings: Settings,
    site: Site,
    services: Services,
    env: dict[str, str],
    *,
    needs: tuple[str, ...],
    before: Hook,
    beside: tuple[str, ...],
) -> list[Part]:
    """The gateways. `beside`: the kinds of parts that speak for themselves while they are not ready."""
    hosts = _hosts_behind(settings, site)
    return [
        replace(
            _service_part(
                "gateway",
                index,
                place,
                services.gateway,
                env | hosts | {"PARLEY_GATEWAY__HOST": place.bind, "PARLEY_GATEWAY__PORT": str(place.port)},
                stop_timeout_s=11.0,
            ),
            needs=needs,
            before=before,
            check=ServiceReady(place.address, silent_about=beside),
        )
        for index, place in enumerate(site.gateways)
    ]


def worker_parts(
    site: Site, services: Services, env: dict[str, str], *, needs: tuple[str, ...], before: Hook
) -> list[Part]:
    """The workers of the batch path. One that is asked to stop gives its steps back. Live sessions need none."""
    return [
        replace(
            _service_part(
                "worker",
                index,
                place,
                services.worker,
                env | {"PARLEY_BATCH__HOST": place.bind, "PARLEY_BATCH__PORT": str(place.port)},
                stop_timeout_s=20.0,
            ),
            vital=False,
            needs=needs,
            before=before,
            check=ServiceReady(place.address, silent_about=("database", "broker")),
        )
        for index, place in enumerate(site.workers)
    ]


def _hosts_behind(settings: Settings, site: Site) -> dict[str, str]:
    """A gateway behind nginx listens on a loopback address, but is called by the names of the address before it."""
    if site.proxy is None or settings.gateway.allowed_hosts or is_loopback(settings.gateway.host):
        return {}
    return {"PARLEY_GATEWAY__ALLOWED_HOSTS": '["*"]'}


def _service_part(
    kin: str, index: int, place: Place, command: tuple[str, ...], env: dict[str, str], *, stop_timeout_s: float
) -> Part:
    fds = () if place.fd is None else (place.fd,)
    return Part(
        name=numbered(kin, index),
        title=kin.title() if not index else f"{kin.title()} {index + 1}",
        kin=kin,
        command=(*command, *(word for fd in fds for word in ("--fd", str(fd)))),
        env=env,
        check=ServiceReady(place.address),
        pass_fds=fds,
        stop_timeout_s=stop_timeout_s,
    )


def nginx_part(site: Site, place: Place) -> Part:
    folder = site.data / "nginx"

    async def configure() -> None:
        nginx.render_embedded(folder, place, site.gateways)

    return Part(
        name="nginx",
        title="nginx",
        kin="nginx",
        command=nginx.command(folder),
        env={"NGINX": f"{place.fd};"},
        before=configure,
        check=ProxyAnswers(place.address),
        pass_fds=() if place.fd is None else (place.fd,),
        start_timeout_s=20.0,
        stop_timeout_s=3.0,
        death_signal=signal.SIGTERM,  # SIGKILL would end the master alone, and its workers keep the port
    )


def once(hook: Hook) -> Hook:
    """`hook` for several parts: the first that starts runs it, the others wait for that. What failed is tried again."""
    lock, done = asyncio.Lock(), False

    async def run() -> None:
        nonlocal done
        async with lock:
            if not done:
                await hook()
            done = True

    return run
