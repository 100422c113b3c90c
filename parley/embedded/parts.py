"""What a part of an embedded server is, and the list of them for given settings."""

import json
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from parley.embedded import postgres, redis_server
from parley.embedded.health import Check, PostgresAccepts, RedisAnswers, ServiceReady
from parley.embedded.process import Account
from parley.settings import Settings

Hook = Callable[[], Awaitable[None]]

RECOVERY_TIMEOUT_S = 600.0
"""Seconds for a store to accept: after a crash it reads its log first."""


async def nothing() -> None:
    """The hook of a part that needs none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process to keep running.

    `before` runs before each start; `once_ready` after each time the part has become healthy, before the parts that
    need it start. `start_timeout_s`: seconds to become healthy, None: as long as it takes (a model downloads).
    `death_signal` is what the kernel sends when we are killed; services lose nothing by SIGKILL, by design.
    """

    name: str
    title: str
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where this server lives: absolute folders, and the sockets that are already bound.

    `gateway_address` and `engine_address` are `http://host:port` as this machine reaches them.
    """

    data: Path
    sockets: Path
    gateway_fd: int
    gateway_address: str
    gateway_port: int
    engine_fd: int
    engine_address: str
    secret_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What runs as the services, and what brings the database up to date. Tests put scripted ones here."""

    gateway: tuple[str, ...] = (sys.executable, "-m", "gateway")
    engine: tuple[str, ...] = (sys.executable, "-m", "stream_engine")
    migrate: Callable[[str], Awaitable[None]]


def build_parts(settings: Settings, site: Site, services: Services) -> tuple[Part, ...]:
    """The parts, in the order in which they start; they stop in reverse. A part whose URL is set is not started."""
    env = service_env(settings, site)
    parts: list[Part] = []
    if not settings.database_url:
        parts.append(postgres_part(site))
    if not settings.redis_url:
        parts.append(redis_part(site))
    stores = tuple(part.name for part in parts)
    if starts_engine(settings):
        parts.append(engine_part(site, services, env))
    parts.append(gateway_part(site, services, env, needs=stores, beside=tuple(part.name for part in parts)))
    return tuple(parts)


def starts_engine(settings: Settings) -> bool:
    """False where the settings name engines that run elsewhere."""
    return "engine_urls" not in settings.gateway.model_fields_set


def service_env(settings: Settings, site: Site) -> dict[str, str]:
    """What the services learn by environment: where everything is."""
    env = {
        "PARLEY_DATA": str(site.data),
        "PARLEY_DATABASE_URL": settings.database_url or postgres.url(site.sockets),
        "PARLEY_REDIS_URL": settings.redis_url or redis_server.url(site.sockets),
        "PARLEY_BLOB_URL": settings.blob_url or (site.data / "blobs").as_uri(),
        "PARLEY_SECRET_KEY": settings.secret_key or site.secret_key,
        "PARLEY_GATEWAY__HOST": settings.gateway.host,
        "PARLEY_GATEWAY__PORT": str(site.gateway_port),
        "PYTHONUNBUFFERED": "1",
    }
    if starts_engine(settings):
        env["PARLEY_GATEWAY__ENGINE_URLS"] = json.dumps([site.engine_address])
    return env


def postgres_part(site: Site) -> Part:
    cluster = postgres.Cluster(site.data / "postgres", postgres.socket_folder(site.sockets))
    return Part(
        name="postgres",
        title="PostgreSQL",
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
        command=redis_server.command(site.data / "redis", redis_server.socket_path(site.sockets)),
        check=RedisAnswers(redis_server.socket_path(site.sockets)),
        start_timeout_s=RECOVERY_TIMEOUT_S,
        stop_timeout_s=3.0,
        death_signal=signal.SIGTERM,
    )


def engine_part(site: Site, services: Services, env: dict[str, str]) -> Part:
    return Part(
        name="engine",
        title="Engine",
        command=(*services.engine, "--fd", str(site.engine_fd)),
        env=env,
        check=ServiceReady(site.engine_address),
        pass_fds=(site.engine_fd,),
        stop_timeout_s=6.0,
    )


def gateway_part(
    site: Site, services: Services, env: dict[str, str], *, needs: tuple[str, ...], beside: tuple[str, ...]
) -> Part:
    async def migrate() -> None:
        await services.migrate(env["PARLEY_DATABASE_URL"])

    return Part(
        name="gateway",
        title="Gateway",
        command=(*services.gateway, "--fd", str(site.gateway_fd)),
        env=env,
        needs=needs,
        before=migrate,
        check=ServiceReady(site.gateway_address, silent_about=beside),
        pass_fds=(site.gateway_fd,),
        stop_timeout_s=11.0,
    )
