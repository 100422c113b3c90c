"""What the PostgreSQL driver raises when the database is away, in Parley's own terms."""

import contextlib
from collections.abc import Iterator

import asyncpg

from parley.errors import BackendError


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
    ) as error:
        raise BackendError(f"{what}: {error or type(error).__name__}.", code="database_unavailable") from error
