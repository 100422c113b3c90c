"""How every service listens: uvicorn on an address, or on a socket that `parley up` opened and handed down."""

import contextlib
import signal
import socket
from collections.abc import Callable

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
) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what is open within `drain_s` seconds.

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
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    on_server(stop)
    # uvicorn stops at these signals by itself and raises them again at its end; then they mean nothing.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    # Where the application cannot start, uvicorn exits; the caller knows the reason and says it.
    with contextlib.suppress(SystemExit):
        server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])
