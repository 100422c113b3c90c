"""Whisper models on disk: which folder is one, where they lie, which of them suits a machine. Loads nothing.

Models that Parley got lie in `DATA/models/NAME`; others may lie in the cache that Hugging Face's tools share.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from parley.errors import SetupError

MODELS_FOLDER = "models"
WEIGHTS = "model.bin"


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on disk. `size` in bytes of its weights."""

    name: str
    folder: Path
    size: int
    source: Literal["data", "cache"]


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model to be had from the hub. `size` in bytes of its weights, float16, rounded."""

    name: str
    repo: str
    size: int
    languages: str


def _known(name: str, megabytes: int, languages: str = "many", repo: str | None = None) -> KnownModel:
    return KnownModel(name, repo or f"Systran/faster-whisper-{name}", megabytes * 1_000_000, languages)


KNOWN = (
    _known("tiny", 76),
    _known("tiny.en", 76, "English"),
    _known("base", 145),
    _known("base.en", 145, "English"),
    _known("small", 484),
    _known("small.en", 484, "English"),
    _known("medium", 1528),
    _known("medium.en", 1528, "English"),
    _known("large-v3", 3087),
    _known("large-v3-turbo", 1618, repo="mobiuslabsgmbh/faster-whisper-large-v3-turbo"),
    _known("distil-large-v3", 1513, "English", repo="Systran/faster-distil-whisper-large-v3"),
)


def repo_of(name: str) -> str | None:
    """The hub repository of a model's name: `org/name` is one itself; None for a name that nobody knows."""
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return name
    return next((known.repo for known in KNOWN if known.name == name), None)


def folder_name(name: str) -> str:
    """The folder below DATA/models of a model's name; `org/name` has no slash in it there."""
    return name.replace("/", "--")


def what_is_missing(folder: Path) -> str:
    """What keeps `folder` from being a CTranslate2 Whisper model, in a few words; empty where nothing does."""
    if not folder.is_dir():
        return "no such folder"
    if not (folder / "config.json").is_file():
        return "config.json is missing"
    if not _is_whisper(folder / "config.json"):
        return "config.json is not that of a Whisper model converted for CTranslate2"
    if not (folder / WEIGHTS).is_file():
        return f"{WEIGHTS} is missing"
    if not (folder / "tokenizer.json").is_file() and not any(folder.glob("vocabulary.*")):
        return "tokenizer.json is missing, and so is vocabulary.json"
    return ""


def _is_whisper(config: Path) -> bool:
    try:
        content = json.loads(config.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and "suppress_ids" in content


def in_data(data: Path) -> list[LocalModel]:
    """The whole models in DATA/models, by name."""
    folders = sorted((data / MODELS_FOLDER).glob("*")) if (data / MODELS_FOLDER).is_dir() else []
    return [
        LocalModel(folder.name, folder.resolve(), (folder / WEIGHTS).stat().st_size, "data")
        for folder in folders
        if not folder.name.startswith(".") and not what_is_missing(folder)
    ]


def in_cache() -> list[LocalModel]:
    """The whole Whisper models in Hugging Face's cache, by name; none where its library is absent."""
    try:
        from huggingface_hub import constants
    except ImportError:
        return []
    names = {known.repo: known.name for known in KNOWN}
    found: dict[str, LocalModel] = {}
    for folder in sorted(Path(constants.HF_HUB_CACHE).glob("models--*/snapshots/*")):
        repo = folder.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
        if not what_is_missing(folder):
            name = names.get(repo, repo)
            found[name] = LocalModel(name, folder, (folder / WEIGHTS).stat().st_size, "cache")
    return list(found.values())


def find(name: str, data: Path) -> LocalModel | None:
    """The model called `name` on this machine: in DATA/models, else in the cache."""
    names = {name, folder_name(name)}

    def every() -> Iterator[LocalModel]:
        yield from in_data(data)
        yield from in_cache()

    return next((model for model in every() if model.name in names), None)


def is_path(model: str) -> bool:
    """Whether a setting's `model` means a folder, not a name."""
    return model.startswith(("/", ".", "~")) or Path(model).expanduser().is_dir()


def configured_model(model: str, data: Path) -> LocalModel | None:
    """The model that a setting names, a folder or a name; None for one that only the hub may have.

    Raises SetupError for a folder that holds no model, and for a name that nobody knows.
    """
    if is_path(model):
        folder = Path(model).expanduser()
        missing = what_is_missing(folder)
        if missing:
            raise SetupError(
                f"The configured model {folder} cannot be used: {missing}. Name another with PARLEY_ENGINE__MODEL, or"
                " run: parley models use PATH",
                code="bad_model",
            )
        return LocalModel(folder.name, folder, (folder / WEIGHTS).stat().st_size, "data")
    found = find(model, data)
    if found is None and repo_of(model) is None:
        raise SetupError(
            f"There is no model {model!r} on this machine, and no known model has that name. To see those that have"
            " one, run: parley models list",
            code="bad_model",
        )
    return found


def no_model(model: str, why: str, remedy_for: str) -> SetupError:
    """The error where Whisper was asked for, as `model` if that is not empty, and cannot be had."""
    what = f"The configured model {model!r}" if model else "No Whisper model"
    is_not = "is not" if model else "is"
    return SetupError(f"{what} {is_not} on this machine, and {continued(why)} {remedy(remedy_for)}", code="no_model")


def continued(sentence: str) -> str:
    """A sentence as the second half of another: "The hub …" becomes "the hub …"."""
    return sentence[:1].lower() + sentence[1:]


def remedy(name: str) -> str:
    """What brings a Whisper model, in words to copy."""
    return f"Run: parley models get {name} — or, without a network: parley models use PATH"


_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_NO_NAMES = frozenset({"", "model", "models", "snapshot", "snapshots", "ct2", "whisper"})
_HASH = re.compile(r"[0-9a-f]{7,64}")


def is_name(name: str) -> bool:
    """Whether a model may be kept under this name."""
    return _NAME.fullmatch(name) is not None


def name_for(folder: Path) -> str:
    """The name of the model in `folder`: the folder's own, or a parent's where that says nothing (`model`, a hash)."""
    places = (folder.resolve(), *folder.resolve().parents)
    said = (place.name for place in places if place.name.lower() not in _NO_NAMES and not _HASH.fullmatch(place.name))
    name = next(said, "")
    repo = name.removeprefix("models--").replace("--", "/", 1)
    known = next((known.name for known in KNOWN if known.repo == repo), None)
    return known or folder_name(repo)


def default_name(*, cuda: bool, cores: int) -> str:
    """The model that keeps up with speech on such a machine, from the sizes that faster-whisper publishes."""
    if cuda:
        return "large-v3-turbo"
    return "small" if cores >= 8 else "base"


def best(models: list[LocalModel], wanted: str) -> LocalModel | None:
    """The model to take where none was named: `wanted`, else the largest that is no larger, else the smallest."""
    limit = next((known.size for known in KNOWN if known.name == wanted), 0) * 1.05
    named = [model for model in models if model.name == wanted]
    fitting = sorted((model for model in models if model.size <= limit), key=lambda model: -model.size)
    rest = sorted(models, key=lambda model: model.size)
    return next(iter([*named, *fitting, *rest]), None)
