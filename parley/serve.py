"""How every service listens: uvicorn on an address, or on a socket that `parley up` opened and handed down."""

import contextlib
import signal
import socket
from collections.abc import Awaitable, Callable

import uvicorn
from starlette.types import ASGIApp

EXIT_SETUP = 3
"""Exit status of a service where this machine or its settings are not fit to run."""


def serve(
    app: ASGIApp,
    *,
    host: str,
    port: int,
    fd: int | None,
    max_message_bytes: int,
    drain_s: int,
    on_server: Callable[[Callable[[], None]], None] = lambda _stop: None,
    before_stop: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then awaits `before_stop` and finishes what is open within `drain_s` seconds.

    `max_message_bytes` is the largest WebSocket message that is read at all. `on_server` is given a function that
    stops the server from within.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        ws="websockets-sansio",
        ws_max_size=max_message_bytes,
        ws_per_message_deflate=False,
        # A service that reads a connection no faster than it can keep does not see pongs meanwhile; who is silent for
        # too long is found by the services' own time-outs.
        ws_ping_timeout=None,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=drain_s,
        server_header=False,
    )
    server = _Server(config, before_stop)

    def stop() -> None:
        server.should_exit = True

    on_server(stop)
    # uvicorn stops at these signals by itself and raises them again at its end; then they mean nothing.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    # Where the application cannot start, uvicorn exits; the caller knows the reason and says it.
    with contextlib.suppress(SystemExit):
        server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])


class _Server(uvicorn.Server):
    """uvicorn, which closes WebSockets the moment it stops, with time for the application before that."""

    def __init__(self, config: uvicorn.Config, before_stop: Callable[[], Awaitable[None]] | None) -> None:
        super().__init__(config)
        self._before_stop = before_stop

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._before_stop is not None:
            await self._before_stop()
        await super().shutdown(sockets)
