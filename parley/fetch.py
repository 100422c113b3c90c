"""A file fetched by URL, without lending a stranger the network that Parley stands in (SSRF).

The guard sits where connections are made. A host is looked up once, every address it has is checked, and a checked
address is the one that is dialled, while Host and TLS keep the name. So neither a redirect, nor another way to write an
address, nor a name that answers differently the second time (DNS rebinding) finds a way around it. httpcore is used
without httpx's client: that one takes proxies from the environment, follows redirects and unpacks bodies.

    ParleyError
    ├── ClientError
    │   ├── ForbiddenURL   no http(s), a port, credentials or an address that is not allowed
    │   └── TooLarge       over the limit of bytes
    └── FetchFailed        the other side: no answer, a status, a body cut short; `retryable` says whether to try again
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import PurePosixPath
from typing import BinaryIO, Self
from urllib.parse import unquote

import httpcore
import httpx

from parley.addresses import Network, refusal
from parley.errors import ClientError, ParleyError, TooLarge
from parley.media import HashingWriter
from parley.settings import UploadSettings

_ADDRESSES = 4
"""Addresses of one host that are tried; they share the time to connect."""
_FIRST_HIGH_PORT = 1024
"""Below are those of a system's own services, which may take a request for something else."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRYABLE_STATUSES = frozenset({408, 425, 429})
_NAME_CHARACTERS = 200

Progress = Callable[[int, int | None], None]
"""Told the bytes so far and, where the other side said so, the bytes in all; once for each chunk that arrives."""
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host and a port to the addresses of that host, as text. Raises FetchFailed where there are none."""


class ForbiddenURL(ClientError):
    """A URL that is not fetched, whatever stands behind it."""

    code = "forbidden_url"


class FetchFailed(ParleyError):
    """The other side did not deliver the file."""

    code = "fetch_failed"

    def __init__(self, message: str, *, retryable: bool, retry_after_s: float | None = None) -> None:
        super().__init__(message, retryable=retryable)
        self._retry_after_s = retry_after_s

    @property
    def retry_after_s(self) -> float | None:
        return self._retry_after_s


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """What may be fetched, and within which bounds."""

    ports: frozenset[int] = frozenset({80, 443})
    high_ports: bool = False
    """Whether those from 1024 on may be used too."""
    allowed_networks: tuple[Network, ...] = ()
    """Networks that may be reached although they are not public, such as that of a storage in the house."""
    max_bytes: int = 5_000_000_000
    max_redirects: int = 5
    connect_timeout_s: float = 10.0
    """Seconds for the look-up and the connection together."""
    read_timeout_s: float = 30.0
    """Seconds without a byte."""
    total_timeout_s: float = 3600.0

    @classmethod
    def of(cls, settings: UploadSettings) -> Self:
        return cls(
            ports=frozenset(settings.import_ports),
            allowed_networks=settings.import_networks,
            max_bytes=settings.max_bytes,
            total_timeout_s=settings.import_timeout_s,
        )

    def takes_port(self, port: int | None) -> bool:
        return port in self.ports or (self.high_ports and port is not None and port >= _FIRST_HIGH_PORT)

    @property
    def shown_ports(self) -> str:
        named = ", ".join(map(str, sorted(self.ports)))
        return f"{named} and those from {_FIRST_HIGH_PORT} on" if self.high_ports else f"only {named}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was fetched: the URL behind all redirects, and a name for it, where there is one."""

    url: str
    name: str | None
    size_bytes: int
    sha256: str


async def fetch(
    url: str,
    file: BinaryIO,
    policy: FetchPolicy | None = None,
    *,
    progress: Progress = lambda received, total: None,
    resolve: Resolve | None = None,
    tls: ssl.SSLContext | None = None,
) -> Fetched:
    """Writes what stands at `url` to `file`, as it arrives.

    Raises ForbiddenURL, TooLarge or FetchFailed; `file` then holds what had arrived. `file` is written to in the event
    loop: a file on disk, in a process that serves nobody else meanwhile.
    """
    policy = policy or FetchPolicy()
    target = checked_url(url, policy)
    try:
        async with asyncio.timeout(policy.total_timeout_s), connections(policy, resolve or lookup, tls) as pool:
            for _ in range(policy.max_redirects + 1):
                async with _get(pool, target, policy) as response:
                    if not (location := _location(response)):
                        return await _save(response, target, file, policy, progress)
                target = checked_url(location, policy, base=target)
    except TimeoutError:
        message = f"{shown(target)} was not fetched within {policy.total_timeout_s:g} s."
        raise FetchFailed(message, retryable=True) from None
    raise FetchFailed(f"{shown(url)} redirects more than {policy.max_redirects} times.", retryable=False)


def checked_url(url: str, policy: FetchPolicy, base: httpx.URL | None = None) -> httpx.URL:
    """`url` taken apart, relative to `base` where that is given. Raises ForbiddenURL.

    Addresses are not looked at here, however they are written: they are checked when they are connected to.
    """
    try:
        parsed = base.join(url) if base else httpx.URL(url)
        port = _DEFAULT_PORTS.get(parsed.scheme) if parsed.port is None else parsed.port
        host = parsed.host
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise ForbiddenURL(f"That is no URL: {error}.") from None  # not shown: it may hold a password
    if parsed.scheme not in _DEFAULT_PORTS:
        raise ForbiddenURL(f"Only http and https can be used, not {parsed.scheme!r}.")
    if parsed.userinfo:
        raise ForbiddenURL(f"{shown(parsed)} carries a user name or a password; that is not taken in a URL.")
    if not host:
        raise ForbiddenURL(f"{shown(parsed)!r} names no host.")
    if not policy.takes_port(port):
        raise ForbiddenURL(f"{shown(parsed)} has the port {port}; {policy.shown_ports} can be used.")
    return parsed


def check_written_address(url: httpx.URL, policy: FetchPolicy) -> None:
    """Raises ForbiddenURL where the host is no name but an address, however it is written, that may not be reached.

    Nothing is looked up: what a name stands for is checked where it is connected to.
    """
    try:
        found = socket.getaddrinfo(url.host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (socket.gaierror, UnicodeError):
        return
    vetted(url.host, [str(address[0]) for *_, address in found], policy)


def shown(url: httpx.URL | str) -> str:
    """`url` as messages and logs may show it: without credentials, and without the query, which may sign for access."""
    url = httpx.URL(url)
    return str(url.copy_with(username=None, password=None, query=None, fragment=None))[:200]


async def lookup(host: str, port: int) -> Sequence[str]:
    """What this machine's resolver says; it also reads addresses, in all the ways in which they can be written."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        again = isinstance(error, socket.gaierror) and error.errno == socket.EAI_AGAIN
        raise FetchFailed(f"The host {host[:200]!r} has no address: {error}", retryable=again) from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def vetted(host: str, addresses: Sequence[str], policy: FetchPolicy) -> Sequence[str]:
    """`addresses`, where all of them may be connected to.

    Raises ForbiddenURL where one may not: a host that is both public and private is a trap. The message does not say
    which address it is: that would tell a stranger what the names in this network stand for.
    """
    for address in addresses:
        if why := refusal(ipaddress.ip_address(address.partition("%")[0]), policy.allowed_networks):
            message = f"The host {host[:200]!r} is at {why}; Parley does not connect there."
            raise ForbiddenURL(message, code="forbidden_address")
    return addresses[:_ADDRESSES]


class _VettingBackend(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses only. httpcore calls it for every new connection, so for every redirect."""

    def __init__(self, policy: FetchPolicy, resolve: Resolve) -> None:
        self._policy = policy
        self._resolve = resolve
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = vetted(host, await self._resolve(host, port), self._policy)
                return await self._connect(addresses, port, timeout)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error

    async def _connect(
        self, addresses: Sequence[str], port: int, budget_s: float | None
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = httpcore.ConnectError("it has no address")
        share_s = budget_s / len(addresses) if budget_s and addresses else None
        for address in addresses:
            try:
                return await self._sockets.connect_tcp(address, port, share_s)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


def connections(policy: FetchPolicy, resolve: Resolve, tls: ssl.SSLContext | None) -> httpcore.AsyncConnectionPool:
    """A pool that connects to what the policy allows, whatever is asked of it."""
    backend = _VettingBackend(policy, resolve)
    return httpcore.AsyncConnectionPool(ssl_context=tls or httpx.create_ssl_context(), network_backend=backend)


@contextlib.asynccontextmanager
async def _get(
    pool: httpcore.AsyncConnectionPool, url: httpx.URL, policy: FetchPolicy
) -> AsyncIterator[httpcore.Response]:
    """The head of the answer; its body waits to be read. Raises FetchFailed for what goes wrong on the wire."""
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    headers = {"Host": url.netloc.decode(), "User-Agent": "Parley", "Accept": "*/*", "Accept-Encoding": "identity"}
    read_s = policy.read_timeout_s
    timeouts = {"connect": policy.connect_timeout_s, "read": read_s, "write": read_s, "pool": read_s}
    try:
        async with pool.stream(
            "GET", target, headers=list(headers.items()), extensions={"timeout": timeouts}
        ) as response:
            yield response
    except httpcore.ConnectTimeout:
        message = f"{shown(url)} cannot be reached: no connection within {policy.connect_timeout_s:g} s."
        raise FetchFailed(message, retryable=True) from None
    except httpcore.TimeoutException:
        raise FetchFailed(f"{shown(url)} sent nothing for {read_s:g} s.", retryable=True) from None
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        # A certificate stays wrong; everything else on the wire may pass.
        untrusted = isinstance(error.__cause__ or error.__context__, ssl.SSLCertVerificationError)
        raise FetchFailed(f"{shown(url)} cannot be fetched: {error}.", retryable=not untrusted) from error


def _location(response: httpcore.Response) -> str | None:
    """Where a redirect leads; None for any other answer."""
    return _header(response, b"location") if response.status in _REDIRECTS else None


def _header(response: httpcore.Response, name: bytes) -> str | None:
    return next((value.decode(errors="replace") for key, value in response.headers if key.lower() == name), None)


async def _save(
    response: httpcore.Response, url: httpx.URL, file: BinaryIO, policy: FetchPolicy, progress: Progress
) -> Fetched:
    total = _checked_head(response, url, policy)
    out = HashingWriter(file)
    async for chunk in response.aiter_stream():
        if out.size_bytes + len(chunk) > policy.max_bytes:  # a body without a length, or with a false one
            raise TooLarge(f"{shown(url)} is over the limit of {policy.max_bytes} bytes.")
        out.write(chunk)
        progress(out.size_bytes, total)
    if not out.size_bytes:
        raise FetchFailed(f"{shown(url)} is empty.", retryable=False)
    name = file_name(url, _header(response, b"content-disposition"))
    return Fetched(str(url), name, out.size_bytes, out.sha256)


def _checked_head(response: httpcore.Response, url: httpx.URL, policy: FetchPolicy) -> int | None:
    """The bytes that the answer announces, None where it does not. Raises FetchFailed or TooLarge."""
    if (status := response.status) != 200:
        after = _header(response, b"retry-after") or ""
        retryable = status in _RETRYABLE_STATUSES or status >= 500
        retry_after_s = float(after) if retryable and after.isdecimal() and len(after) < 6 else None
        raise FetchFailed(f"{shown(url)} answers {status}.", retryable=retryable, retry_after_s=retry_after_s)
    if (encoding := _header(response, b"content-encoding") or "identity").lower() != "identity":
        # It was asked for as it is. A few packed bytes can be unpacked to any size.
        raise FetchFailed(f"{shown(url)} comes packed ({encoding[:40]}), which is not taken.", retryable=False)
    length = _header(response, b"content-length")
    if length is not None and int(length) > policy.max_bytes:
        raise TooLarge(f"{shown(url)} has {length} bytes; the limit is {policy.max_bytes}.")
    return None if length is None else int(length)


def file_name(url: httpx.URL, disposition: str | None) -> str | None:
    """A name to show for what was fetched: what the answer says (RFC 6266), else the last part of the path."""
    message = Message()
    message["Content-Disposition"] = disposition or "inline"
    name = PurePosixPath((message.get_filename() or unquote(url.path)).replace("\\", "/")).name
    return "".join(filter(str.isprintable, name))[:_NAME_CHARACTERS] or None
