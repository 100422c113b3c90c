"""Whether a part is ready: one small question each, asked again and again by the supervisor.

A check returns at once or within its own short time limit; it raises nothing.
"""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx

ASK_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class NotYet:
    """Not ready. `reason` is worth showing; empty: nothing to say but to wait."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Healthy:
    """Ready. `facts` is what a service said about itself in its /readyz."""

    facts: dict[str, Any]


class Check(Protocol):
    async def __call__(self) -> Healthy | NotYet: ...


@dataclass(frozen=True, slots=True)
class PostgresAccepts:
    """PostgreSQL accepts a connection on its socket in `sockets`."""

    sockets: Path

    async def __call__(self) -> Healthy | NotYet:
        import asyncpg

        try:
            connection = await asyncpg.connect(
                host=str(self.sockets), port=5432, user="postgres", database="postgres", timeout=ASK_TIMEOUT_S
            )
        except asyncpg.CannotConnectNowError as error:
            return NotYet(str(error))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return NotYet()
        await connection.close(timeout=ASK_TIMEOUT_S)
        return Healthy({})


@dataclass(frozen=True, slots=True)
class RedisAnswers:
    """Redis answers PING on the socket `path`."""

    path: Path

    async def __call__(self) -> Healthy | NotYet:
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(str(self.path))
                try:
                    writer.write(b"PING\r\n")
                    answer = (await reader.readline()).decode(errors="replace").strip()
                finally:
                    writer.close()
        except OSError:
            return NotYet()
        return Healthy({}) if answer == "+PONG" else NotYet(answer.lstrip("-"))


@dataclass(frozen=True, slots=True)
class ServiceReady:
    """The service at `address` (http://host:port) answers 200 to /healthz, then to /readyz.

    `silent_about`: those of its parts that speak for themselves while they are not ready.
    """

    address: str
    silent_about: tuple[str, ...] = ()

    async def __call__(self) -> Healthy | NotYet:
        try:
            async with httpx.AsyncClient(
                base_url=self.address, timeout=ASK_TIMEOUT_S, trust_env=False, verify=False
            ) as client:
                alive = await client.get("/healthz")
                if alive.status_code != 200:
                    return NotYet(f"/healthz answers {alive.status_code}")
                answer = await client.get("/readyz")
        except httpx.HTTPError:
            return NotYet()
        facts = _facts(answer)
        if answer.status_code == 200:
            return Healthy(facts)
        return NotYet(_reason(facts, self.silent_about))


@dataclass(frozen=True, slots=True)
class ProxyAnswers:
    """The proxy at `address` (http://host:port) answers for itself, whatever is behind it."""

    address: str

    async def __call__(self) -> Healthy | NotYet:
        try:
            async with httpx.AsyncClient(timeout=ASK_TIMEOUT_S, trust_env=False, verify=False) as client:
                answer = await client.get(f"{self.address}/healthz")
        except httpx.HTTPError:
            return NotYet()
        return Healthy({}) if answer.status_code == 200 else NotYet(f"/healthz answers {answer.status_code}")


def _facts(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _reason(facts: dict[str, Any], silent_about: tuple[str, ...]) -> str:
    """What a service that is not ready says about why, in one line: its `reason`, or its `parts` that are not ok."""
    parts = facts.get("parts")
    if isinstance(parts, dict):
        return " ".join(f"{name}: {said}" for name, said in parts.items() if said != "ok" and name not in silent_about)
    return " ".join(str(facts.get("reason", "")).split())
