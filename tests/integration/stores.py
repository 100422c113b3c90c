"""Databases in a test server's own PostgreSQL that are a test's alone."""

import asyncio
import contextlib
from collections.abc import Iterator
from uuid import uuid4

import asyncpg

from parley import store
from parley.embedded import postgres
from parley.embedded.server import RunningServer


@contextlib.contextmanager
def own_database(server: RunningServer) -> Iterator[str]:
    """The URL of a database that no gateway looks into, migrated; it is gone afterwards."""
    url, name = server.database_url, f"test_{uuid4().hex}"
    own_url = url.replace(f"/{postgres.DATABASE}?", f"/{name}?")
    asyncio.run(_execute(url, f"CREATE DATABASE {name}"))
    try:
        asyncio.run(store.migrate(own_url))
        yield own_url
    finally:
        asyncio.run(_execute(url, f"DROP DATABASE {name}"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
