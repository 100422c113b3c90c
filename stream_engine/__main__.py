"""`python -m stream_engine [--fd N] [--which]`: serves the engine until SIGTERM or Ctrl-C."""

import argparse
import json
import os
import sys
from dataclasses import asdict

from parley.errors import ParleyError, SetupError
from parley.logs import configure
from parley.serve import EXIT_SETUP, serve
from parley.settings import load_settings
from stream_engine.recognizers.choose import choose
from stream_engine.server import create_app
from stream_engine.wiring import build

_MAX_MESSAGE_BYTES = 2 * 1024 * 1024
"""A whole segment of 30 s fits in one message."""
_DRAIN_S = 5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m stream_engine", description="The stream engine of Parley.")
    parser.add_argument("--fd", type=int, help="listen on this inherited socket, not on the configured address")
    parser.add_argument("--which", action="store_true", help="print as JSON which recogniser would run, and exit")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        if arguments.which:
            print(json.dumps(asdict(choose(settings)), default=str))
            return 0
        configure(settings, "engine")
        engine = build(settings)
        serve(
            create_app(engine),
            host=settings.engine.host,
            port=settings.engine.port,
            fd=arguments.fd,
            max_message_bytes=_MAX_MESSAGE_BYTES,
            drain_s=_DRAIN_S,
            on_server=engine.stop_at_failure,
        )
    except SetupError as error:
        return _explain(error)
    return _explain(engine.failure) if engine.failure else 0


def _explain(error: ParleyError) -> int:
    print(f"parley: {error.message}", file=sys.stderr)
    return EXIT_SETUP if isinstance(error, SetupError) else 1


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a thread whose device hangs would keep the process for ever
