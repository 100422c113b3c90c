"""The proxy of the chaos rounds does to a connection what a bad network does, and nothing else."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from benchmarks.chaos.proxy import Proxy


class Echo:
    """A server that answers every line with itself. `ended`: it saw a connection end."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                writer.write(line)
                await writer.drain()
        self.ended.set()
        writer.close()


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[Echo]:
    one = Echo()
    async with await asyncio.start_server(one.serve, "127.0.0.1", 0) as server:
        one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield one


async def connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = proxy.url.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


async def ask(line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(line)
    async with asyncio.timeout(5):
        return await reader.readline()


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_everything_passes_and_the_end_as_well() -> None:
    async with echo() as server, Proxy(server.url) as proxy:
        reader, writer = await connect(proxy)
        large = b"x" * 60_000 + b"\n"
        assert await ask(large, reader, writer) == large
        assert proxy.connections == 1
        await close(writer)
        await asyncio.wait_for(server.ended.wait(), 5)
        await asyncio.sleep(0.05)
        assert proxy.connections == 0


async def test_a_cut_is_seen_by_both_ends_and_a_new_connection_is_as_good_as_any() -> None:
    async with echo() as server, Proxy(server.url) as proxy:
        reader, writer = await connect(proxy)
        assert await ask(b"one\n", reader, writer) == b"one\n"
        proxy.cut()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        await close(writer)
        await asyncio.wait_for(server.ended.wait(), 5)
        reader, writer = await connect(proxy)
        assert await ask(b"two\n", reader, writer) == b"two\n"
        await close(writer)


async def test_a_half_open_connection_says_nothing_to_either_end_not_even_its_end() -> None:
    async with echo() as server, Proxy(server.url) as proxy:
        reader, writer = await connect(proxy)
        assert await ask(b"one\n", reader, writer) == b"one\n"
        proxy.half_open()
        assert proxy.connections == 0
        writer.write(b"two\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.readline()
        await close(writer)
        await asyncio.sleep(0.1)
        assert not server.ended.is_set()
        reader, writer = await connect(proxy)
        assert await ask(b"three\n", reader, writer) == b"three\n"
        await close(writer)


async def test_what_is_delayed_comes_later_in_order_and_whole() -> None:
    async with echo() as server, Proxy(server.url) as proxy:
        reader, writer = await connect(proxy)
        assert await ask(b"one\n", reader, writer) == b"one\n"
        proxy.delay(0.3)
        began = time.monotonic()
        writer.write(b"two\n")
        assert await ask(b"three\n", reader, writer) == b"two\n"
        assert time.monotonic() - began >= 0.29
        assert await reader.readline() == b"three\n"
        await close(writer)


async def test_what_refuses_takes_no_new_connections_for_a_while_and_keeps_the_old() -> None:
    async with echo() as server, Proxy(server.url) as proxy:
        old = await connect(proxy)
        assert await ask(b"one\n", *old) == b"one\n"
        proxy.refuse(0.2)
        reader, writer = await connect(proxy)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        await close(writer)
        assert await ask(b"two\n", *old) == b"two\n"
        await asyncio.sleep(0.25)
        new = await connect(proxy)
        assert await ask(b"three\n", *new) == b"three\n"
        await close(old[1])
        await close(new[1])


async def test_a_server_that_is_away_looks_away_through_the_proxy() -> None:
    async with echo() as server:
        pass
    async with Proxy(server.url) as proxy:
        reader, writer = await connect(proxy)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        await close(writer)
