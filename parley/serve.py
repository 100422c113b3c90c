"""How every service listens: uvicorn on an address, or on a socket that `parley up` opened and handed down."""

import socket

import uvicorn
from starlette.types import ASGIApp

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Bytes of one WebSocket message that are read at all; the services refuse earlier, with a sentence."""


def serve(app: ASGIApp, *, host: str, port: int, fd: int | None = None, stop_within_s: int = 10) -> None:
    """Serves until SIGTERM or SIGINT, then finishes what is open within `stop_within_s` seconds."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=stop_within_s,
        server_header=False,
    )
    sockets = None if fd is None else [socket.socket(fileno=fd)]
    uvicorn.Server(config).run(sockets)
