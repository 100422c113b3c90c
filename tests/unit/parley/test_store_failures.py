"""Whatever the driver raises when PostgreSQL goes away is one error, which may be tried again."""

import asyncpg
import pytest

from parley.errors import BackendError
from parley.store.failures import backend_errors


@pytest.mark.parametrize(
    "raised",
    [
        ConnectionRefusedError(111, "Connection refused"),
        TimeoutError(),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.CrashShutdownError("terminating connection because of crash of another server process"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        asyncpg.DiskFullError("could not extend file"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_database_that_is_away_may_be_asked_again(raised: Exception) -> None:
    with pytest.raises(BackendError) as caught, backend_errors("PostgreSQL does not answer"):
        raise raised
    assert caught.value.code == "database_unavailable"
    assert caught.value.retryable


def test_what_is_wrong_with_a_query_is_no_outage() -> None:
    with pytest.raises(asyncpg.UndefinedColumnError), backend_errors("PostgreSQL does not answer"):
        raise asyncpg.UndefinedColumnError("column does not exist")
