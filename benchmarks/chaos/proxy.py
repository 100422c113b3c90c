"""A TCP proxy that misbehaves on demand, between one client and one address of the server."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from benchmarks.chaos.tap import Overheard, Tap

_CHUNK = 65_536
_LOST = (OSError, asyncio.IncompleteReadError)


class Proxy:
    """Listens on a loopback port and hands everything on to `upstream` (`http://host:port`) until it is told not to.

    What happened to a connection is seen by both ends as the network would show it: a `cut` is a reset, after
    `half_open` nothing comes and nothing closes, what is delayed comes later and in order. `overheard`: what was said
    on each connection so far, whether it arrived or not.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        assert parts.hostname is not None
        assert parts.port is not None
        self._upstream = (parts.hostname, parts.port)
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._refuses_until = 0.0
        self.overheard: list[Overheard] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_CHUNK)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        serving = list(self._connections)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    @property
    def url(self) -> str:
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    @property
    def connections(self) -> int:
        """Connections through which something could still pass."""
        return sum(1 for connection in self._connections.values() if not connection.is_dead)

    def cut(self) -> None:
        """Every connection that is open is reset at both ends; what was on its way is lost."""
        for connection in self._connections.values():
            connection.cut()

    def half_open(self) -> None:
        """On connections that are open now nothing passes any more, not even their end."""
        for connection in self._connections.values():
            connection.hold()

    def delay(self, seconds: float) -> None:
        """What is on its way now, or comes before, arrives in `seconds`."""
        for connection in self._connections.values():
            connection.hold(seconds)

    def refuse(self, seconds: float) -> None:
        """New connections are reset for so long; those that are open stay."""
        self._refuses_until = time.monotonic() + seconds

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if time.monotonic() < self._refuses_until:
            writer.transport.abort()
            return
        try:
            upstream = await asyncio.open_connection(*self._upstream, limit=_CHUNK)
        except OSError:
            writer.transport.abort()
            return
        tap = Tap()
        self.overheard.append(tap.overheard)
        connection = _Connection((reader, writer), upstream, tap)
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = connection
        try:
            await connection.run()
        except asyncio.CancelledError:
            connection.cut()  # the proxy ends; a task of asyncio's server must not end as cancelled
        finally:
            del self._connections[task]


_End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Connection:
    """Two sockets, and what passes between them while the gate is open."""

    def __init__(self, client: _End, server: _End, tap: Tap) -> None:
        self._ends = (client, server)
        self._tap = tap
        self._gate = asyncio.Event()
        self._gate.set()
        self._opening: asyncio.TimerHandle | None = None
        self.is_dead = False

    async def run(self) -> None:
        """Until one end has closed; then the other is closed too, behind what is still on its way to it."""
        client, server = self._ends
        async with asyncio.TaskGroup() as pumps:
            both = [
                pumps.create_task(self._pump(client[0], server[1], self._tap.from_client)),
                pumps.create_task(self._pump(server[0], client[1], self._tap.from_server)),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in both:
                    pump.cancel()
        for _, writer in self._ends:
            writer.close()
            with contextlib.suppress(*_LOST):
                await writer.wait_closed()

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, overhear: Callable[[bytes], None]
    ) -> None:
        with contextlib.suppress(*_LOST):
            while data := await reader.read(_CHUNK):
                overhear(data)
                await self._gate.wait()
                writer.write(data)
                await writer.drain()
        await self._gate.wait()

    def hold(self, seconds: float | None = None) -> None:
        """Lets nothing through for `seconds`; None: never again."""
        self._gate.clear()
        if self._opening is not None:
            self._opening.cancel()
        if seconds is None:
            self.is_dead = True
        elif not self.is_dead:
            self._opening = asyncio.get_running_loop().call_later(seconds, self._gate.set)

    def cut(self) -> None:
        for _, writer in self._ends:
            writer.transport.abort()
        self._gate.set()
