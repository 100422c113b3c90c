"""Who may come in: the owner behind a request, and pages of other sites kept out."""

from starlette.requests import HTTPConnection

from parley.errors import ClientError
from parley.jobs import Priority
from parley.settings import GatewaySettings

LOCAL_OWNER = "local"
_LOOPBACK = ["localhost", "127.0.0.1", "::1", "[::1]"]


def owner_of(connection: HTTPConnection) -> str:
    """The owner whose recordings a request may see. Until there are accounts, everyone is the one local owner."""
    return LOCAL_OWNER


def priority_of(connection: HTTPConnection, asked: Priority) -> Priority:
    """The priority of a job for which `asked` was asked. Until there are accounts, everyone may ask for any: here an
    account's limit will say who may not ask for `urgent`.
    """
    return asked


def hosts_of(settings: GatewaySettings) -> list[str]:
    """The names by which this gateway answers, in the form of Starlette's TrustedHostMiddleware."""
    if settings.allowed_hosts:
        return list(settings.allowed_hosts)
    return _LOOPBACK if settings.host in _LOOPBACK else ["*"]


def check_origin(connection: HTTPConnection, allowed_origins: tuple[str, ...]) -> None:
    """Raises ClientError when a browser comes from a page of another site, which it would otherwise let do anything.

    Programs send no Origin and pass. Source: RFC 6455, section 10.2.
    """
    origin = connection.headers.get("origin")
    if origin is None or origin in allowed_origins:
        return
    if origin.partition("://")[2] != connection.headers.get("host"):
        raise ClientError(
            f"Pages of {origin} may not connect; PARLEY_GATEWAY__ALLOWED_ORIGINS can allow them.",
            code="forbidden_origin",
        )
