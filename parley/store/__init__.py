"""PostgreSQL, the record of everything: connection, migrations, and one repository per noun."""

import contextlib
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
from pogo_core.util import migrate as pogo

from parley.store.failures import backend_errors
from parley.store.recordings import Recordings
from parley.store.writing import RecordingWriter, Superseded

__all__ = ["RecordingWriter", "Recordings", "Superseded", "connect", "migrate"]

MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x7061726C6579  # "parley": any one number that every migrating process agrees on
_log = logging.getLogger(__name__)


async def _set_codecs(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def _leave_as_it_is(_connection: asyncpg.Connection) -> None:
    """Nothing here changes a session's settings; asyncpg's own reset is a round trip after every query."""


async def connect(database_url: str, *, max_size: int = 10) -> asyncpg.Pool:
    """A pool of connections. Raises BackendError where the database does not answer."""
    with backend_errors("PostgreSQL does not answer"):
        return await asyncpg.create_pool(
            database_url,
            min_size=1,
            max_size=max_size,
            init=_set_codecs,
            reset=_leave_as_it_is,
            timeout=10,
            command_timeout=10,
        )


async def migrate(database_url: str) -> None:
    """Brings the schema up to date. Several processes may call it at once: one works, the others wait for it."""
    async with _single_connection(database_url) as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _MIGRATION_LOCK)
        await pogo.apply(connection, MIGRATIONS, schema_name="public", logger=_log)


@contextlib.asynccontextmanager
async def _single_connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    with backend_errors("PostgreSQL does not answer"):
        connection = await asyncpg.connect(database_url, timeout=10)
    try:
        yield connection
    finally:
        await connection.close()
