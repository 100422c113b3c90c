"""JSON posted to an address that somebody else chose, under the guard of `parley.fetch`: for webhooks.

The guard checks what is connected to. Redirects are not followed: a signed message is for the address that its owner
gave. Of the answer no more is read than a log can show, and all of it together takes no longer than `timeout_s`.

    ParleyError
    ├── ForbiddenURL   no http(s), a port, credentials or an address that is not allowed (of parley.fetch)
    └── PostFailed     no answer: no connection, nothing sent in time, no HTTP
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_network

import httpcore
import httpx

from parley.errors import ParleyError
from parley.fetch import FetchFailed, FetchPolicy, Resolve, checked_url, connections, lookup, shown
from parley.settings import WebhookSettings

_SHOWN_BYTES = 2000
"""Of an answer's body."""
_BODY_S = 2.0
"""Seconds for that."""
_LONGEST_RETRY_AFTER_S = 86_400.0


class PostFailed(ParleyError):
    """The other side did not answer."""

    code = "post_failed"
    retryable = True


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is its beginning, as text. `retry_after_s`: the other side said that it makes no sense before."""

    status: int
    body: str
    retry_after_s: float | None = None

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    policy: FetchPolicy,
    *,
    resolve: Resolve | None = None,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Posts `body` to `url`, within `policy.total_timeout_s` in all. Raises ForbiddenURL or PostFailed."""
    target = checked_url(url, policy)
    began = time.monotonic()
    try:
        async with asyncio.timeout(policy.total_timeout_s), connections(policy, resolve or lookup, tls) as pool:
            return await _post(pool, target, body, headers, policy, began)
    except FetchFailed as error:  # of the look-up
        raise PostFailed(error.message) from None
    except (TimeoutError, httpcore.TimeoutException):
        raise PostFailed(f"{shown(target)} did not answer within {policy.total_timeout_s:g} s.") from None
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise PostFailed(f"{shown(target)} cannot be reached: {error}.") from error


async def _post(
    pool: httpcore.AsyncConnectionPool,
    url: httpx.URL,
    body: bytes,
    headers: Mapping[str, str],
    policy: FetchPolicy,
    began: float,
) -> Answer:
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    fields = {"Host": url.netloc.decode(), "User-Agent": "Parley", "Accept-Encoding": "identity", **headers}
    fields["Content-Length"] = str(len(body))
    timeouts = {"connect": policy.connect_timeout_s}
    async with pool.stream(
        "POST", target, headers=list(fields.items()), content=body, extensions={"timeout": timeouts}
    ) as response:
        left_s = began + policy.total_timeout_s - time.monotonic()
        return Answer(response.status, await _beginning(response, left_s), _retry_after_s(response))


async def _beginning(response: httpcore.Response, left_s: float) -> str:
    """What of the body comes in time: the status has told already how it went."""
    read = bytearray()
    with contextlib.suppress(TimeoutError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
        async with asyncio.timeout(min(_BODY_S, left_s / 2)):
            async for chunk in response.aiter_stream():
                read += chunk
                if len(read) >= _SHOWN_BYTES:
                    break
    return read[:_SHOWN_BYTES].decode(errors="replace").replace("\0", "")


def _retry_after_s(response: httpcore.Response) -> float | None:
    after = next((value.decode("latin-1") for key, value in response.headers if key.lower() == b"retry-after"), "")
    known = after.isascii() and after.isdecimal() and len(after) < 10
    return min(float(after), _LONGEST_RETRY_AFTER_S) if known else None


def policy_of(settings: WebhookSettings) -> FetchPolicy:
    """What may be posted to, and within which bounds. A cloud's metadata service never is."""
    everywhere = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    return FetchPolicy(
        high_ports=True,
        allowed_networks=everywhere if settings.allow_private else (),
        connect_timeout_s=settings.timeout_s / 2,
        total_timeout_s=settings.timeout_s,
    )
