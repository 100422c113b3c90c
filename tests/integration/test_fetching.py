"""Fetching by URL from real servers on this machine. Loopback is allowed where a test says so, else refused."""

import asyncio
import contextlib
import hashlib
import io
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network

import pytest
import trustme

from parley.errors import ParleyError, TooLarge
from parley.fetch import Fetched, FetchFailed, FetchPolicy, ForbiddenURL, fetch, lookup

LOOPBACK = (ip_network("127.0.0.0/8"),)
BODY = bytes(range(256)) * 1000


@dataclass
class Server:
    """Answers each request by a script, which gets what was asked; counts the connections."""

    answer: Callable[["Asked"], Awaitable[None]]
    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    def url(self, host: str = "files.example", path: str = "/a.mp3") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def policy(self) -> FetchPolicy:
        """Lets this server be reached, by its port and by loopback."""
        return FetchPolicy(ports=frozenset({self.port}), allowed_networks=LOOPBACK, read_timeout_s=2, total_timeout_s=5)

    @property
    def strict(self) -> FetchPolicy:
        return replace(self.policy, allowed_networks=())


@dataclass
class Asked:
    path: str
    port: int
    writer: asyncio.StreamWriter

    async def say(self, head: str, body: bytes = b"") -> None:
        self.writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        await self.writer.drain()


@contextlib.asynccontextmanager
async def serving(
    answer: Callable[[Asked], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server(answer)
    answering: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            server.requests.append(head)
            await answer(Asked(head.split()[1].decode(), server.port, writer))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        answering.add(asyncio.create_task(handle(reader, writer)))

    listening = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield server
    for task in answering:
        task.cancel()
    await asyncio.gather(*answering, return_exceptions=True)
    await asyncio.sleep(0)  # transports close in the turn after


def whole(body: bytes = BODY, *headers: str) -> Callable[[Asked], Awaitable[None]]:
    async def answer(asked: Asked) -> None:
        await asked.say("\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]), body)

    return answer


def says(head: str, body: bytes = b"") -> Callable[[Asked], Awaitable[None]]:
    async def answer(asked: Asked) -> None:
        await asked.say(head.format(port=asked.port), body)

    return answer


class Names:
    """A resolver with an answer for each time it is asked about a host; the last one stays."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self._answers = {host.replace("_", "."): list(said) for host, said in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        said = self._answers[host]
        return said.pop(0) if len(said) > 1 else said[0]


def here() -> Names:
    return Names(files_example=[["127.0.0.1"]])


async def failure(
    url: str, policy: FetchPolicy, resolve: Callable[[str, int], Awaitable[Sequence[str]]] = lookup
) -> ParleyError:
    with pytest.raises(ParleyError) as failed:
        await fetch(url, io.BytesIO(), policy, resolve=resolve)
    return failed.value


async def test_a_file_arrives_with_its_hash_its_name_and_its_progress() -> None:
    file, seen = io.BytesIO(), list[tuple[int, int | None]]()
    async with serving(whole(BODY, 'Content-Disposition: attachment; filename="call.mp3"')) as server:
        url = server.url()
        fetched = await fetch(url, file, server.policy, resolve=here(), progress=lambda *so_far: seen.append(so_far))
    assert file.getvalue() == BODY
    assert fetched == Fetched(url, "call.mp3", len(BODY), hashlib.sha256(BODY).hexdigest())
    assert seen[-1] == (len(BODY), len(BODY))
    assert [received for received, _ in seen] == sorted(received for received, _ in seen)
    (request,) = server.requests
    assert f"Host: files.example:{server.port}".encode() in request
    assert b"Accept-Encoding: identity" in request


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "localhost"),
        *("127.0.0.1.", "0.0.0.0", "0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]"),
        *("127。0。0。1", "10.0.0.1", "169.254.169.254", "[fd00:ec2::254]", "100.64.0.1", "[fe80::1]"),
    ],
)
async def test_no_way_to_write_a_private_address_leads_there(host: str) -> None:
    async with serving(whole()) as server:
        error = await failure(server.url(host), server.strict)
        # "127.0.0.1." is looked up as a name by some resolvers; then there is no such host.
        assert isinstance(error, ForbiddenURL) or (host.endswith(".") and isinstance(error, FetchFailed))
        assert server.connections == 0


async def test_a_name_that_leads_to_loopback_is_refused() -> None:
    async with serving(whole()) as server:
        error = await failure(server.url(), server.strict, here())
        assert (error.code, error.retryable) == ("forbidden_address", False)
        assert server.connections == 0


async def test_a_name_that_is_rebound_is_asked_once() -> None:
    """Allowed when it is checked, the server's when it is dialled: there is no second look-up to fall for it."""
    names = Names(files_example=[["127.0.0.9"], ["127.0.0.1"]])
    async with serving(whole()) as server:
        policy = replace(server.policy, allowed_networks=(ip_network("127.0.0.9/32"),))
        error = await failure(server.url(), policy, names)
        assert isinstance(error, FetchFailed)  # nobody answers at 127.0.0.9
        assert names.asked == ["files.example"]
        assert server.connections == 0


@pytest.mark.parametrize(
    "location", ["http://127.0.0.1:{port}/x", "http://internal.example:{port}/", "//[::1]:{port}/"]
)
async def test_a_redirect_into_the_network_is_refused(location: str) -> None:
    async def answer(asked: Asked) -> None:
        await asked.say(f"HTTP/1.1 302 Found\nLocation: {location.format(port=asked.port)}\nContent-Length: 0")

    names = Names(files_example=[["127.0.0.9"]], internal_example=[["127.0.0.1"]])

    async def resolve(host: str, port: int) -> Sequence[str]:
        return await (names if host.endswith("example") else lookup)(host, port)

    async with serving(answer) as server:
        policy = replace(server.policy, allowed_networks=(ip_network("127.0.0.9/32"),))
        listening = await asyncio.start_server(lambda r, w: _relay(r, w, server), "127.0.0.9", server.port)
        async with listening:
            error = await failure(server.url(), policy, resolve)
        assert error.code == "forbidden_address"
        assert server.connections == 0  # on 127.0.0.1; the first answer came from 127.0.0.9
        assert len(server.requests) == 1


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: Server) -> None:
    server.requests.append(await reader.readuntil(b"\r\n\r\n"))
    await server.answer(Asked("/", server.port, writer))
    writer.close()


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://files.example:22/", "http://u:p@files.example/"])
async def test_a_redirect_to_what_is_never_fetched_is_refused(location: str) -> None:
    async with serving(says(f"HTTP/1.1 301 Moved\nLocation: {location}\nContent-Length: 0")) as server:
        assert isinstance(await failure(server.url(), server.policy, here()), ForbiddenURL)


async def test_five_redirects_are_followed_and_a_sixth_is_not() -> None:
    async def answer(asked: Asked) -> None:
        left = int(asked.path[1:])
        if not left:
            return await whole()(asked)
        return await asked.say(f"HTTP/1.1 307 Temporary\nLocation: /{left - 1}\nContent-Length: 0")

    async with serving(answer) as server:
        fetched = await fetch(server.url(path="/5"), io.BytesIO(), server.policy, resolve=here())
        assert fetched.url.endswith("/0")
        error = await failure(server.url(path="/6"), server.policy, here())
        assert "redirects more than 5 times" in error.message
        assert not error.retryable


async def test_an_endless_body_stops_at_the_limit() -> None:
    async def answer(asked: Asked) -> None:
        await asked.say("HTTP/1.1 200 OK\nTransfer-Encoding: chunked")
        while not asked.writer.is_closing():
            asked.writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            await asked.writer.drain()

    file = io.BytesIO()
    async with serving(answer) as server:
        with pytest.raises(TooLarge, match="over the limit of 1000000 bytes"):
            await fetch(server.url(), file, replace(server.policy, max_bytes=1_000_000), resolve=here())
    assert len(file.getvalue()) <= 1_000_000


async def test_five_declared_gigabytes_are_refused_before_they_are_read() -> None:
    async with serving(says("HTTP/1.1 200 OK\nContent-Length: 5000000001", bytes(100))) as server:
        error = await failure(server.url(), server.policy, here())
        assert isinstance(error, TooLarge)
        assert "5000000001 bytes; the limit is 5000000000" in error.message


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1, 2", "x"])
async def test_a_length_that_is_none_fails(length: str) -> None:
    async with serving(says(f"HTTP/1.1 200 OK\nContent-Length: {length}", b"abc")) as server:
        assert isinstance(await failure(server.url(), server.policy, here()), FetchFailed | TooLarge)


async def test_a_body_shorter_than_declared_is_a_failure_that_may_pass() -> None:
    async with serving(says("HTTP/1.1 200 OK\nContent-Length: 1000", b"short")) as server:
        error = await failure(server.url(), server.policy, here())
        assert isinstance(error, FetchFailed)
        assert error.retryable


async def test_a_body_longer_than_declared_is_cut_where_it_was_to_end() -> None:
    file = io.BytesIO()
    async with serving(says("HTTP/1.1 200 OK\nContent-Length: 4", b"1234" + bytes(100_000))) as server:
        await fetch(server.url(), file, server.policy, resolve=here())
    assert file.getvalue() == b"1234"


async def test_a_body_that_stops_is_given_up() -> None:
    async def answer(asked: Asked) -> None:
        await asked.say("HTTP/1.1 200 OK\nContent-Length: 1000", b"one")
        await asyncio.sleep(5)

    async with serving(answer) as server:
        error = await failure(server.url(), replace(server.policy, read_timeout_s=0.2), here())
        assert "sent nothing for 0.2 s" in error.message
        assert error.retryable


async def test_a_body_that_drips_is_given_up_as_a_whole() -> None:
    async def answer(asked: Asked) -> None:
        await asked.say("HTTP/1.1 200 OK\nContent-Length: 1000")
        for _ in range(100):
            asked.writer.write(b"x")
            await asyncio.sleep(0.05)

    async with serving(answer) as server:
        error = await failure(server.url(), replace(server.policy, total_timeout_s=0.5), here())
        assert "not fetched within 0.5 s" in error.message
        assert error.retryable


async def test_a_packed_body_is_refused() -> None:
    async with serving(whole(BODY, "Content-Encoding: gzip")) as server:
        error = await failure(server.url(), server.policy, here())
        assert "comes packed (gzip)" in error.message
        assert not error.retryable


@pytest.mark.parametrize(
    ("status", "retryable", "after_s"),
    [
        ("404 Not Found", False, None),
        ("403 Forbidden", False, None),
        ("204 No Content", False, None),
        ("429 Slow\nRetry-After: 7", True, 7.0),
        ("503 Away\nRetry-After: soon", True, None),
        ("500 Oh", True, None),
    ],
)
async def test_a_status_says_whether_to_try_again(status: str, retryable: bool, after_s: float | None) -> None:
    async with serving(says(f"HTTP/1.1 {status}\nContent-Length: 0")) as server:
        error = await failure(server.url(), server.policy, here())
        assert f"http://files.example:{server.port}/a.mp3 answers {status[:3]}" in error.message
        assert (error.retryable, error.retry_after_s) == (retryable, after_s)


async def test_an_empty_body_a_closed_port_and_what_is_no_http_fail() -> None:
    async with serving(whole(b"")) as server:
        assert "is empty" in (await failure(server.url(), server.policy, here())).message
    closed = await failure(server.url(), server.policy, here())
    assert closed.retryable
    async with serving(says("SSH-2.0-OpenSSH")) as server:
        assert isinstance(await failure(server.url(), server.policy, here()), FetchFailed)


async def test_a_host_that_does_not_exist_is_not_tried_again() -> None:
    error = await failure("http://nothing.invalid/", FetchPolicy())
    assert isinstance(error, FetchFailed)
    assert "nothing.invalid" in error.message


async def test_a_resolver_that_hangs_is_given_up() -> None:
    async def hangs(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(5)
        return []

    error = await failure("http://files.example/", FetchPolicy(connect_timeout_s=0.2), hangs)
    assert "no connection within 0.2 s" in error.message


async def test_the_next_address_is_tried_when_one_is_dead() -> None:
    async with serving(whole()) as server:
        names = Names(files_example=[["127.0.0.2", "127.0.0.1"]])
        assert (await fetch(server.url(), io.BytesIO(), server.policy, resolve=names)).size_bytes == len(BODY)


async def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with serving(whole()) as server:
        await fetch(server.url(), io.BytesIO(), server.policy, resolve=here())


@pytest.mark.parametrize(("certified", "fetched"), [("files.example", True), ("other.example", False)])
async def test_tls_is_checked_against_the_name_though_an_address_is_dialled(certified: str, fetched: bool) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(certified).configure_cert(tls)
    asked_for: list[str | None] = []
    tls.sni_callback = lambda _, name, __: asked_for.append(name)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serving(whole(), tls) as server:
        url = server.url().replace("http:", "https:")
        if fetched:
            await fetch(url, io.BytesIO(), server.policy, resolve=here(), tls=trusting)
        else:
            with pytest.raises(FetchFailed) as failed:
                await fetch(url, io.BytesIO(), server.policy, resolve=here(), tls=trusting)
            assert not failed.value.retryable
    assert asked_for == ["files.example"]
