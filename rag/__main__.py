"""`python -m rag [--fd N]`: the rag service until SIGTERM or Ctrl-C."""

import argparse
import os
import sys

from parley.errors import ParleyError, SetupError
from parley.logs import configure
from parley.serve import EXIT_SETUP, serve
from parley.settings import load_settings
from rag.server import create_app
from rag.wiring import check, open_service

_MAX_MESSAGE_BYTES = 65_536
"""There are no WebSockets here."""
_DRAIN_S = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m rag", description="Parley's search service.")
    parser.add_argument("--fd", type=int, help="listen on this inherited socket, not on the configured address")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        configure(settings, "rag")
        check(settings)
        app = create_app(lambda: open_service(settings), settings.rag.token)
        serve(
            app,
            host=settings.rag.host,
            port=settings.rag.port,
            fd=arguments.fd,
            max_message_bytes=_MAX_MESSAGE_BYTES,
            drain_s=_DRAIN_S,
            on_server=lambda stop: setattr(app.state, "stop", stop),
        )
    except SetupError as error:
        return _explain(error)
    return _explain(app.state.failure) if app.state.failure else 0


def _explain(error: ParleyError) -> int:
    print(f"parley: {error.message}", file=sys.stderr)
    return EXIT_SETUP if isinstance(error, SetupError) else 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a thread that still loads or runs the model would hold the process for seconds
