"""`python -m gateway [--fd N]`: one gateway process."""

import sys

import click

from gateway.app import create_app
from parley.errors import SetupError
from parley.logs import configure
from parley.serve import serve
from parley.settings import load_settings


@click.command()
@click.option("--fd", type=int, default=None, help="Listen on this inherited socket instead of the settings' address.")
def main(fd: int | None) -> None:
    """Parley's gateway. Its settings come from the environment and DATA/settings.toml."""
    try:
        settings = load_settings()
    except SetupError as error:
        print(error.message, file=sys.stderr)
        raise SystemExit(3) from None
    configure(settings, "gateway")
    serve(create_app(settings), host=settings.gateway.host, port=settings.gateway.port, fd=fd)


if __name__ == "__main__":
    main()
