"""`python -m stream_engine [--fd N]`: serves the engine until SIGTERM or Ctrl-C."""

import argparse
import signal
import socket
import sys

import uvicorn

from parley.errors import ParleyError, SetupError
from parley.logs import configure
from parley.settings import load_settings
from stream_engine.engine import Engine
from stream_engine.server import create_app
from stream_engine.wiring import build

EXIT_SETUP = 3
"""Exit status where this machine or its settings are not fit to run."""

_MAX_MESSAGE_BYTES = 2 * 1024 * 1024
"""A whole segment of 30 s fits in one message."""
_DRAIN_S = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m stream_engine", description="The stream engine of Parley.")
    parser.add_argument("--fd", type=int, help="listen on this inherited socket, not on the configured address")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        configure(settings, "engine")
        engine = build(settings)
        _serve(engine, arguments.fd)
    except SetupError as error:
        return _explain(error)
    return _explain(engine.failure) if engine.failure else 0


def _serve(engine: Engine, fd: int | None) -> None:
    config = uvicorn.Config(
        create_app(engine),
        host=engine.settings.host,
        port=engine.settings.port,
        ws="websockets-sansio",
        ws_max_size=_MAX_MESSAGE_BYTES,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    server = uvicorn.Server(config)

    def stop() -> None:
        server.should_exit = True

    engine.on_failure = stop
    # uvicorn stops at these signals by itself and raises them again at its end; then they mean nothing.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run(sockets=None if fd is None else [socket.socket(fileno=fd)])


def _explain(error: ParleyError) -> int:
    print(f"parley: {error.message}", file=sys.stderr)
    return EXIT_SETUP if isinstance(error, SetupError) else 1


if __name__ == "__main__":
    sys.exit(main())
