"""What the PostgreSQL driver raises when the database is away, in Parley's own terms."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import asyncpg

from parley.errors import BackendError

_QUERY_S = 10.0
"""Seconds for one query, the wait for a connection included: where PostgreSQL hangs, whoever waits in line is told."""


@contextlib.asynccontextmanager
async def database_errors() -> AsyncIterator[None]:
    """Around one query, or a few that belong together. Raises BackendError where PostgreSQL does not answer in time."""
    with backend_errors("PostgreSQL does not answer"):
        async with asyncio.timeout(_QUERY_S):
            yield


@contextlib.contextmanager
def backend_errors(what: str) -> Iterator[None]:
    """Turns what the driver raises when the database is away into BackendError; what was wrong in a query passes."""
    try:
        yield
    except (
        OSError,
        TimeoutError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,  # a connection lost between two steps of a query
        asyncpg.PostgresConnectionError,
        asyncpg.InsufficientResourcesError,
        asyncpg.OperatorInterventionError,
        asyncpg.PostgresSystemError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.ReadOnlySQLTransactionError,  # a replica, until it is promoted
        asyncpg.TransactionRollbackError,  # a deadlock, among others: the same again may succeed
    ) as error:
        raise BackendError(f"{what}: {str(error) or type(error).__name__}.", code="database_unavailable") from error
