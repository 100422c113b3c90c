"""The `parley` command."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

import typer

from parley import __version__, demo, models, store
from parley.client import is_running
from parley.demo import Outcome, stream_file, to_json_line
from parley.doctor import doctor
from parley.embedded import folder
from parley.embedded.server import running_server
from parley.errors import ParleyError, SetupError
from parley.screen import Screen
from parley.settings import load_settings
from parley.up import up

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Parley: speak, and read along. `parley up` starts it, `parley demo` shows it.",
)
app.command()(up)
app.command()(doctor)
app.add_typer(models.app, name="models")

Json = Annotated[bool, typer.Option("--json", help="Print every message as a line of JSON; the last is a summary.")]
Url = Annotated[
    str | None,
    typer.Option(help="A running Parley. Without it: the one in ./data or on port 8000, else one is started."),
]
Data = Annotated[Path | None, typer.Option(help="Data folder of the server that is started if none runs.")]
Language = Annotated[str | None, typer.Option(help="Language spoken, such as en; without it, it is detected.")]


@app.command("demo")
def demo_command(
    file: Annotated[Path | None, typer.Argument(help="An audio file; without it, a clip that Parley carries.")] = None,
    as_json: Json = False,
    url: Url = None,
    data: Data = None,
    language: Language = None,
) -> None:
    """Play an audio file into Parley in real time, as a microphone would, and read along.

    Exit status 0 only if partials and finals came.
    """
    path = file or demo.CLIP
    outcomes = _stream((path,), url, data, language, real_time=True, as_json=as_json)
    for outcome in outcomes:
        if not outcome.partials or not outcome.text:
            raise ParleyError(
                f"{path.name}: {outcome.partials} partials and {len(outcome.finals)} finals came, with"
                f" {len(outcome.text.split())} words; a demo needs some of each."
            )


@app.command()
def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Audio files of any common format.")],
    as_json: Json = False,
    url: Url = None,
    data: Data = None,
    language: Language = None,
) -> None:
    """Transcribe audio files as fast as the engine can; each becomes a recording."""
    _stream(tuple(files), url, data, language, real_time=False, as_json=as_json)


@app.command()
def migrate() -> None:
    """Bring the database at PARLEY_DATABASE_URL up to date. `parley up` does so by itself."""
    settings = load_settings()
    if not settings.database_url:
        raise SetupError("PARLEY_DATABASE_URL is not set; it names the database to bring up to date.")
    asyncio.run(store.migrate(settings.database_url))
    print("The database is up to date.")


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def _stream(
    files: tuple[Path, ...], url: str | None, data: Path | None, language: str | None, *, real_time: bool, as_json: bool
) -> list[Outcome]:
    """Streams the files one after the other. Raises ParleyError when any of them was not transcribed to its end."""

    async def run() -> list[Outcome]:
        async with _server(url, data) as address:
            outcomes = []
            for path in files:
                outcomes.append(await _one_file(path, address, language, real_time=real_time, as_json=as_json))
            return outcomes

    return asyncio.run(run())


async def _one_file(path: Path, url: str, language: str | None, *, real_time: bool, as_json: bool) -> Outcome:
    if as_json:
        outcome = await stream_file(
            url, path, real_time=real_time, language=language, on_message=lambda m: print(to_json_line(m), flush=True)
        )
        print(to_json_line(outcome.summary(url)), flush=True)
    else:
        with Screen(path.name) as screen:
            outcome = await stream_file(url, path, real_time=real_time, language=language, on_message=screen.show)
        screen.conclude(outcome, url)
    if not outcome.closed:
        last = outcome.errors[-1].message if outcome.errors else "the connection ended before the last words came."
        raise ParleyError(f"{path.name}: {last}")
    return outcome


@contextlib.asynccontextmanager
async def _server(url: str | None, data: Path | None) -> AsyncIterator[str]:
    """The address of a running server; where there is none, of one that lives as long as the block."""
    data = data or Path(os.environ.get("PARLEY_DATA", "data"))
    if url is not None:
        yield url.rstrip("/")
        return
    running = folder.holder(data)
    for candidate in filter(None, (running.address if running else None, "http://127.0.0.1:8000")):
        if await is_running(candidate):
            yield candidate
            return
    print("No Parley is running; starting one …", file=sys.stderr)
    with running_server(data) as server:
        yield server.base_url
        print(f"The recording is kept in {data.absolute()}; `parley up` shows it.", file=sys.stderr)


def main() -> None:
    """Runs the command; an error is one line on stderr, and exit status 1."""
    with _one_line_errors():
        app(prog_name="parley")


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except ParleyError as error:
        print(f"parley: {error.message}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
