"""`python -m gateway [--fd N]`: one gateway process."""

import argparse
import sys

from gateway.app import create_app
from parley.errors import ParleyError, SetupError
from parley.logs import configure
from parley.serve import EXIT_SETUP, serve
from parley.settings import load_settings

_MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Far over `max_frame_bytes`, so that what is too large is refused with a sentence and not by a closed connection."""
_DRAIN_S, _CLOSE_S = 8, 2
"""Seconds for the sessions to make their audio durable and go elsewhere; then for all else."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gateway", description="Parley's gateway.")
    parser.add_argument("--fd", type=int, help="listen on this inherited socket, not on the configured address")
    arguments = parser.parse_args()
    try:
        settings = load_settings()
        configure(settings, "gateway")
        app = create_app(settings)

        async def drain() -> None:
            await app.state.gateway.sessions.drain(_DRAIN_S)

        serve(
            app,
            host=settings.gateway.host,
            port=settings.gateway.port,
            fd=arguments.fd,
            max_message_bytes=_MAX_MESSAGE_BYTES,
            drain_s=_CLOSE_S,
            before_stop=drain,
        )
    except SetupError as error:
        return _explain(error)
    return _explain(app.state.failure) if app.state.failure else 0


def _explain(error: ParleyError) -> int:
    print(f"parley: {error.message}", file=sys.stderr)
    return EXIT_SETUP if isinstance(error, SetupError) else 1


if __name__ == "__main__":
    sys.exit(main())
