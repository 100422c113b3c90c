"""`parley models`: which Whisper models there are, getting one from the hub, using one from a folder."""

import os
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import tomli_w
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from parley.errors import SetupError
from parley.model_files import (
    KNOWN,
    MODELS_FOLDER,
    find,
    folder_name,
    in_cache,
    in_data,
    repo_of,
    what_is_missing,
)
from parley.model_hub import WANTED, download, put_in_place
from parley.settings import SETTINGS_FILE

app = typer.Typer(help="Whisper models: what there is, get one, use one.", no_args_is_help=True)

_COPY_BYTES = 4 * 1024 * 1024
_MEGABYTE = 1_000_000

Data = Annotated[
    Path, typer.Option("--data", envvar="PARLEY_DATA", help="Folder that everything is kept in.", show_default=True)
]


@app.command("list")
def list_models(data: Data = Path("data")) -> None:
    """Shows the models on this machine and those to be had, with their sizes and languages."""
    console = Console()
    here = [*in_data(data), *in_cache()]
    chosen = configured(data)
    table = Table("Model", "Size", "Languages", "Where", box=None, pad_edge=False)
    languages = {folder_name(known.name): known.languages for known in KNOWN}
    for model in here:
        mark = " (configured)" if chosen in (model.name, str(model.folder)) else ""
        place = f"{MODELS_FOLDER}/{model.name}" if model.source == "data" else "Hugging Face cache"
        table.add_row(model.name + mark, _size(model.size), languages.get(model.name, ""), place)
    for known in KNOWN:
        if folder_name(known.name) not in {model.name for model in here}:
            table.add_row(known.name, _size(known.size), known.languages, "to be had: parley models get " + known.name)
    console.print(table)
    if chosen and not any(chosen in (model.name, str(model.folder)) for model in here):
        console.print(f"Configured: {chosen}")
    elif not chosen:
        console.print("No model is configured; the engine takes the best on this machine.")


@app.command("get")
def get_model(
    name: Annotated[str, typer.Argument(help="A name that `parley models list` shows, or a repository org/name.")],
    data: Data = Path("data"),
) -> None:
    """Downloads a model; an interrupted download goes on where it stopped."""
    repo = repo_of(name)
    if repo is None:
        raise SetupError(f"No known model is called {name!r}; `parley models list` shows them.", code="no_such_model")
    with _bar(f"Getting {name}") as progress:
        folder = download(name, repo, data, progress)
    prove(folder)
    console = Console()
    console.print(f"{name} is in {folder}.", soft_wrap=True)
    if configured(data) not in (name, folder.name):
        console.print(f"To make it the engine's: parley models use {folder.name}", soft_wrap=True)


@app.command("use")
def use_model(
    path: Annotated[str, typer.Argument(help="A folder with a converted model, or the name of one on this machine.")],
    data: Data = Path("data"),
    name: Annotated[str, typer.Option(help="Name to keep it under; the folder's own if not given.")] = "",
) -> None:
    """Makes a model the engine's: proves that it loads, copies it into DATA/models and configures it."""
    known = None if "/" in path and Path(path).exists() else find(path, data)
    if known is not None and not name:
        prove(known.folder)
        selected = known.name
    else:
        selected = _adopt(Path(path).expanduser(), name, data)
    configure(data, selected)
    console = Console()
    console.print(f"The engine uses {selected} from its next start.", soft_wrap=True)
    if os.environ.get("PARLEY_ENGINE__MODEL"):
        console.print("Note: PARLEY_ENGINE__MODEL is set in the environment and goes before this.", soft_wrap=True)


def _adopt(folder: Path, name: str, data: Path) -> str:
    """Copies the model in `folder` to DATA/models, whole or not at all, and returns its name there."""
    missing = what_is_missing(folder)
    if missing:
        raise SetupError(f"{folder} cannot be used: {missing}.", code="bad_model")
    prove(folder)
    target = data.resolve() / MODELS_FOLDER / folder_name(name or folder.resolve().name)
    if target != folder.resolve():
        files = sorted({file for pattern in WANTED for file in folder.glob(pattern)})
        staging = target.with_name(f".{target.name}.part")
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        with _bar(f"Copying {target.name}") as progress:
            copy(files, staging, progress)
        put_in_place(staging, target)
    return target.name


def copy(files: list[Path], target: Path, on_progress: Callable[[int, int], None]) -> None:
    """Copies `files` into the folder `target`, calling `on_progress` with the bytes done and in all."""
    done, total = 0, sum(file.stat().st_size for file in files)
    for file in files:
        with file.open("rb") as source, (target / file.name).open("wb") as sink:
            while block := source.read(_COPY_BYTES):
                sink.write(block)
                done += len(block)
                on_progress(done, total)


def prove(folder: Path) -> None:
    """Loads the model in `folder` once, int8 on the CPU. Raises SetupError where it does not load."""
    try:
        from faster_whisper import WhisperModel
    except ImportError:
        raise SetupError("Models need faster-whisper: pip install 'parley[engine]'.", code="missing_library") from None
    try:
        WhisperModel(str(folder), device="cpu", compute_type="int8", local_files_only=True)
    except Exception as error:
        raise SetupError(f"The model in {folder} does not load: {str(error).strip()}", code="bad_model") from error


def configured(data: Path) -> str:
    """The model that the settings name, empty where they name none."""
    return os.environ.get("PARLEY_ENGINE__MODEL") or str(_read(data).get("engine", {}).get("model", ""))


def configure(data: Path, model: str) -> None:
    """Writes `[engine] model` into DATA/settings.toml; everything else in it stays (comments do not)."""
    content = _read(data)
    content.setdefault("engine", {})["model"] = model
    data.mkdir(parents=True, exist_ok=True)
    staging = data / f".{SETTINGS_FILE}.part"
    staging.write_text(tomli_w.dumps(content), "utf-8")
    staging.replace(data / SETTINGS_FILE)


def _read(data: Path) -> dict[str, Any]:
    path = data / SETTINGS_FILE
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"{path} is no TOML: {error}.", code="bad_setting") from None


def _size(size: int) -> str:
    return f"{size / _MEGABYTE:,.0f} MB"


@contextmanager
def _bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar in bytes; gives the function that moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
