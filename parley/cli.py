"""The `parley` command."""

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from parley import __version__, demo, models, store
from parley.demo import Outcome
from parley.doctor import doctor
from parley.errors import ParleyError, SetupError
from parley.llm import check as llm_check
from parley.reindex import reindex
from parley.screen import counted
from parley.settings import load_settings
from parley.streaming import Request, Streaming, json_errors, print_total
from parley.up import up


class _Commands(TyperGroup):
    """The commands; what is said of a wrong option shows the value, too."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            if isinstance(error.__cause__, ValidationError):
                error.message += f" (given: {error.__cause__.errors()[0]['input']})"
            raise


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Parley: speak, and read along. `parley up` starts it, `parley demo` shows it.",
)
app.command()(up)
app.command()(doctor)
app.command()(reindex)
app.add_typer(models.app, name="models")
app.add_typer(llm_check.app, name="llm")

Json = Annotated[bool, typer.Option("--json", help="Print every message as a line of JSON; the last line sums up.")]
Urls = Annotated[
    list[str] | None,
    typer.Option(
        "--url",
        help="A running Parley; once for each of its gateways: where one is lost, the next goes on."
        " Without it: the one on ./data or port 8000; else one is started.",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(help="Data folder: the Parley that runs on it is used, else one is started. (Default: ./data.)"),
]
Language = Annotated[str | None, typer.Option(help="Language spoken, such as en; without it, it is detected.")]


@app.command("demo")
def demo_command(
    file: Annotated[Path | None, typer.Argument(help="An audio file; without it, a clip that Parley carries.")] = None,
    as_json: Json = False,
    urls: Urls = None,
    data: Data = None,
    language: Language = None,
) -> None:
    """Play an audio file into Parley in real time, as a microphone would, and read along.

    Exit status 0 only if partials and finals came.
    """
    request = Request(
        files=(file or demo.CLIP,),
        urls=tuple(urls or ()),
        data=data,
        language=language,
        real_time=True,
        as_json=as_json,
    )
    with json_errors(request):
        Streaming(request).run(_lacks)


def _lacks(outcome: Outcome) -> str:
    """What a demo did not show, in one sentence; empty where it showed all."""
    if outcome.failure:
        return outcome.failure
    if not outcome.text:
        return f"No speech was heard in {outcome.file}."
    if not outcome.partials:
        return f"{counted(len(outcome.finals), 'final')} came, but no partial; a demo needs some of each."
    return ""


@app.command()
def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Audio files of any common format.")],
    as_json: Json = False,
    urls: Urls = None,
    data: Data = None,
    language: Language = None,
) -> None:
    """Transcribe audio files as fast as the engine can; each becomes a recording.

    A file that cannot be transcribed does not stop the others; the exit status is 1 then.
    """
    request = Request(
        files=tuple(dict.fromkeys(files)), urls=tuple(urls or ()), data=data, language=language, as_json=as_json
    )
    streaming, began = Streaming(request), time.monotonic()
    try:
        with json_errors(request):
            streaming.run()
    finally:
        if as_json:
            print_total(streaming, began)


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
