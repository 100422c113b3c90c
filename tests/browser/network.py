"""The network between a browser and the server, which tests can cut."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from benchmarks.chaos.proxy import Proxy

_LONG_S = 3_600.0


class Network:
    """Tests of a browser are synchronous: the proxy runs in a loop of its own."""

    def __init__(self, proxy: Proxy, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy = proxy
        self._loop = loop
        self.url = proxy.url

    def cut(self) -> None:
        """Connections are reset, and nobody gets through any more."""
        self._loop.call_soon_threadsafe(self._proxy.refuse, _LONG_S)
        self._loop.call_soon_threadsafe(self._proxy.cut)

    def half_open(self) -> None:
        """Connections stay, but nothing passes over them any more, and nobody gets through."""
        self._loop.call_soon_threadsafe(self._proxy.refuse, _LONG_S)
        self._loop.call_soon_threadsafe(self._proxy.half_open)

    def mend(self) -> None:
        self._loop.call_soon_threadsafe(self._proxy.refuse, 0.0)


@contextlib.contextmanager
def network(upstream: str) -> Iterator[Network]:
    """In front of `upstream` (`http://host:port`)."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    proxy = Proxy(upstream)
    asyncio.run_coroutine_threadsafe(proxy.__aenter__(), loop).result(10)
    try:
        yield Network(proxy, loop)
    finally:
        asyncio.run_coroutine_threadsafe(proxy.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
