"""`parley models`: which Whisper models there are, getting one from the hub, using one from a folder, removing one."""

import filecmp
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

from parley.embedded.folder import holder
from parley.errors import SetupError
from parley.model_files import (
    KNOWN,
    MODELS_FOLDER,
    find,
    folder_name,
    in_cache,
    in_data,
    is_name,
    name_for,
    repo_of,
    what_is_missing,
)
from parley.model_hub import WANTED, download, put_in_place
from parley.settings import SETTINGS_FILE, load_settings

app = typer.Typer(help="Whisper models: what there is, get one, use one, remove one.", no_args_is_help=True)

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
        raise SetupError(
            f"No known model is called {name!r}. To see those that there are, run: parley models list",
            code="no_such_model",
        )
    try:
        with _bar(f"Getting {name}") as progress:
            folder = download(name, repo, data, progress)
    except OSError as error:
        raise SetupError(f"{data / MODELS_FOLDER} cannot be written: {error.strerror}.", code="bad_folder") from None
    prove(folder)
    console = Console(highlight=False)
    console.print(f"{name} is in {folder}.", soft_wrap=True)
    if configured(data) not in (name, folder.name):
        console.print(f"To make it the engine's: parley models use {folder.name}", soft_wrap=True)


@app.command("use")
def use_model(
    model: Annotated[
        str, typer.Argument(metavar="NAME|PATH", help="A model on this machine, or a folder with a converted one.")
    ],
    data: Data = Path("data"),
    name: Annotated[str, typer.Option(help="Name to keep a copy under; the folder's own if not given.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace another model that has this name.")] = False,
) -> None:
    """Makes a model the engine's: proves that it loads, copies it into DATA/models and configures it."""
    _check_settings(data)
    known = None if "/" in model and Path(model).exists() else find(model, data)
    if known is not None and not name:
        prove(known.folder)
        selected = known.name
    else:
        selected = _adopt(known.folder if known else _folder(model), name, data, force=force)
    configure(data, selected)
    console = Console(highlight=False)
    if holder(data) is not None:
        console.print(f"{selected} is selected. Restart Parley to use it.", soft_wrap=True)
    else:
        console.print(f"The engine uses {selected} from its next start.", soft_wrap=True)
    if os.environ.get("PARLEY_ENGINE__MODEL"):
        console.print("Note: PARLEY_ENGINE__MODEL is set in the environment and goes before this.", soft_wrap=True)


@app.command("remove")
def remove_model(
    name: Annotated[str, typer.Argument(help="A model in DATA/models, as `parley models list` shows it.")],
    data: Data = Path("data"),
    force: Annotated[bool, typer.Option("--force", help="Remove it even if it is the one selected.")] = False,
) -> None:
    """Removes a model from DATA/models, and what an interrupted download of it left."""
    kept = folder_name(name)
    folder = data / MODELS_FOLDER / kept
    there = [place for place in (folder, folder.with_name(f".{kept}.part")) if is_name(kept) and place.is_dir()]
    if not there:
        shared = any(model.name == name for model in in_cache())
        where = "lies in the cache that Hugging Face's tools share" if shared else f"is not in {data / MODELS_FOLDER}"
        raise SetupError(f"The model {name!r} {where}.", code="no_such_model")
    selected = configured(data) in (name, kept, str(folder), str(folder.resolve()))
    if selected and not force:
        raise SetupError(
            f"{name} is the model that is selected. Select another first (parley models use NAME), or add --force.",
            code="model_in_use",
        )
    for place in there:
        _remove(place)
    if selected:
        configure(data, "")
    after = " No model is selected now; the engine takes the best on this machine." if selected else ""
    Console(highlight=False).print(f"{name} was removed.{after}", soft_wrap=True)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise SetupError(f"{folder} cannot be removed: {error.strerror}.", code="bad_folder") from None


def _check_settings(data: Path) -> None:
    """Raises SetupError where the settings could not be read at the next start, before anything is changed."""
    os.environ["PARLEY_DATA"] = str(data)
    load_settings()


def _folder(path: str) -> Path:
    """The folder `path`. Raises SetupError where there is none; for a name, with what brings the model."""
    folder = Path(path).expanduser()
    if folder.exists():
        return folder
    if repo_of(path) is not None:
        raise SetupError(f"{path} is not on this machine; run: parley models get {path}", code="no_such_model")
    raise SetupError(
        f"There is no folder {path!r}, and no model on this machine has that name. To see those that do, run:"
        " parley models list",
        code="no_such_model",
    )


def _adopt(folder: Path, name: str, data: Path, *, force: bool) -> str:
    """Copies the model in `folder` to DATA/models, whole or not at all, and returns its name there."""
    missing = what_is_missing(folder)
    if missing:
        raise SetupError(f"{folder} cannot be used: {missing}.", code="bad_model")
    kept = name or name_for(folder)
    if not is_name(kept):
        raise SetupError(
            f"{kept!r} cannot be a model's name. Give one with --name: letters, digits, dots, dashes and underscores.",
            code="bad_name",
        )
    files = sorted({file for pattern in WANTED for file in folder.glob(pattern)})
    target = data.resolve() / MODELS_FOLDER / kept
    if target.exists() and not _holds(target, files) and not force:
        raise SetupError(
            f"{target} holds another model. Give this one another name with --name, or replace that one with --force.",
            code="name_taken",
        )
    prove(folder)
    if not _holds(target, files):
        _bring(files, target)
    return kept


def _holds(target: Path, files: list[Path]) -> bool:
    """Whether all `files` are in the folder `target` as they are."""
    return all(
        (target / file.name).is_file() and filecmp.cmp(file, target / file.name, shallow=False) for file in files
    )


def _bring(files: list[Path], target: Path) -> None:
    staging = target.with_name(f".{target.name}.part")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        with _bar(f"Copying {target.name}") as progress:
            copy(files, staging, progress)
        put_in_place(staging, target)
    except OSError as error:
        shutil.rmtree(staging, ignore_errors=True)
        raise SetupError(f"The model cannot be copied to {target}: {error.strerror}.", code="bad_folder") from None


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
    """Writes `[engine] model` into DATA/settings.toml, or takes it out where `model` is empty.

    Everything else in the file stays; comments do not.
    """
    content = _read(data)
    engine = content.setdefault("engine", {})
    engine["model"] = model
    if not model:
        del engine["model"]
    staging = data / f".{SETTINGS_FILE}.part"
    try:
        data.mkdir(parents=True, exist_ok=True)
        staging.write_text(tomli_w.dumps(content), "utf-8")
        staging.replace(data / SETTINGS_FILE)
    except OSError as error:
        raise SetupError(f"{data / SETTINGS_FILE} cannot be written: {error.strerror}.", code="bad_setting") from None


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
    """A progress bar in bytes, shown as soon as there are any; gives the function that moves it."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    progress = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True))
    task = progress.add_task(title, total=None)

    def move(done: int, total: int) -> None:
        if done:
            progress.start()
            progress.update(task, completed=done, total=total)

    try:
        yield move
    finally:
        if progress.live.is_started:
            progress.stop()
