"""Which recogniser this engine runs. What was asked for runs or fails; `auto` takes the best there is and says why."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from parley.errors import BackendError, ParleyError, SetupError
from parley.logs import get_logger
from parley.model_files import (
    LocalModel,
    best,
    configured_model,
    continued,
    default_name,
    in_cache,
    in_data,
    no_model,
    remedy,
    repo_of,
)
from parley.model_hub import detail, download, listing
from parley.settings import EngineSettings, Settings
from stream_engine.recognizers.base import Recognizer

log = get_logger(__name__)

_LOGGED_STEP = 0.05
"""Part of a download between two lines of log."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What would run, and why; nothing is loaded yet. Whisper lies in `folder`, or is first fetched from `repo`.

    `detail` is for the log alone.
    """

    name: Literal["faster-whisper", "pocketsphinx"]
    model: str
    device: str
    reason: str
    folder: Path | None = None
    repo: str | None = None
    fallback: bool = False
    remedy: str = ""
    detail: str = ""


def open_recognizer(settings: Settings) -> Recognizer:
    """Loads the recogniser that the settings ask for. Blocks, for a download as long as it takes.

    Raises SetupError, with what to do, where what was asked for cannot run.
    """
    choice = choose(settings)
    if choice.repo is not None:
        try:
            choice = replace(choice, folder=_get(choice.model, choice.repo, settings))
        except BackendError as error:
            choice = _without_whisper(settings.engine, error)
    if choice.fallback:
        log.warning("recognizer_fallback", reason=choice.reason, detail=choice.detail, remedy=choice.remedy)
    return _pocketsphinx(choice) if choice.folder is None else _whisper(choice, choice.folder, settings.engine)


def choose(settings: Settings) -> Choice:
    """Decides, without loading or downloading; the hub is asked only where no model is on this machine.

    Raises SetupError where what was asked for cannot run.
    """
    engine = settings.engine
    if engine.recognizer == "pocketsphinx":
        return Choice("pocketsphinx", "en-us", "cpu", "configured")
    device = device_of(engine)
    if engine.model:
        return _configured(engine.model, device, settings)
    wanted = default_name(cuda=device == "cuda", cores=engine.cores or os.cpu_count() or 1)
    local = best(in_data(settings.data), wanted) or best(in_cache(), wanted)
    if local is not None:
        return Choice("faster-whisper", local.name, device, _where(local), folder=local.folder)
    try:
        return _from_hub(wanted, device, "suits this machine; from the model hub", engine)
    except ParleyError as error:
        return _without_whisper(engine, error)


def _configured(model: str, device: str, settings: Settings) -> Choice:
    """The model that a setting names: a folder, a model on this machine, or one to be had from the hub."""
    local = configured_model(model, settings.data)
    if local is not None:
        return Choice("faster-whisper", local.name, device, "configured", folder=local.folder)
    try:
        return _from_hub(model, device, "configured; from the model hub", settings.engine)
    except BackendError as error:
        raise no_model(model, error.message, model) from error


def _from_hub(model: str, device: str, reason: str, engine: EngineSettings) -> Choice:
    """A model that the hub has. Raises BackendError where it does not answer, SetupError where it has no such model."""
    repo = repo_of(model)
    assert repo is not None  # a name that nobody knows was refused before
    listing(repo, engine.hub_timeout_s)
    return Choice("faster-whisper", model, device, reason, repo=repo)


def _without_whisper(engine: EngineSettings, error: ParleyError) -> Choice:
    """PocketSphinx, plainly marked. Raises SetupError where Whisper was asked for by name."""
    name = engine.model or default_name(cuda=device_of(engine) == "cuda", cores=engine.cores or os.cpu_count() or 1)
    if engine.recognizer == "faster-whisper" or engine.model:
        raise no_model(engine.model, error.message, name) from error
    reason = f"No Whisper model is on this machine, and {continued(error.message)}"
    return Choice("pocketsphinx", "en-us", "cpu", reason, fallback=True, remedy=remedy(name), detail=detail(error))


def _where(model: LocalModel) -> str:
    place = "DATA/models" if model.source == "data" else "the Hugging Face cache"
    return f"no model is configured; found in {place}"


def _get(name: str, repo: str, settings: Settings) -> Path:
    """Downloads a model, a line of log for every twentieth of it."""
    logged = -1.0

    def progress(there: int, total: int) -> None:
        nonlocal logged
        part = there / total if total else 1.0
        if part >= logged + _LOGGED_STEP:
            logged = part
            log.info("model_download", model=name, percent=round(part * 100), bytes=there, total_bytes=total)

    return download(name, repo, settings.data, progress, timeout_s=settings.engine.hub_timeout_s)


def device_of(engine: EngineSettings) -> str:
    """`cpu` or `cuda`; `auto` takes a GPU where CTranslate2 sees one.

    Raises SetupError where a GPU was asked for and there is none.
    """
    if engine.device == "cpu":
        return "cpu"
    if _gpus() > 0:
        return "cuda"
    if engine.device == "cuda":
        raise SetupError(
            "PARLEY_ENGINE__DEVICE is cuda, but CTranslate2 finds no CUDA GPU on this machine. Set it to auto or cpu,"
            " or install the GPU's driver (nvidia-smi shows whether it works).",
            code="no_gpu",
        )
    return "cpu"


def _gpus() -> int:
    try:
        import ctranslate2

        return int(ctranslate2.get_cuda_device_count())
    except (ImportError, RuntimeError, OSError):
        return 0


def _whisper(choice: Choice, folder: Path, engine: EngineSettings) -> Recognizer:
    try:
        from stream_engine.recognizers.faster_whisper import load
    except ImportError as error:
        raise SetupError(
            f"faster-whisper is not installed ({error.name}): pip install 'parley[engine]'.", code="missing_library"
        ) from None
    try:
        return load(folder, choice.model, choice.reason, engine, choice.device)
    except (RuntimeError, ValueError, OSError) as error:
        raise SetupError(
            f"The model in {folder} cannot be loaded on {choice.device}: {str(error).strip() or type(error).__name__}",
            code="bad_model",
        ) from error


def _pocketsphinx(choice: Choice) -> Recognizer:
    try:
        from stream_engine.recognizers.pocketsphinx import PocketSphinx
    except ImportError as error:
        raise SetupError(
            f"{choice.reason} PocketSphinx is not installed either ({error.name}): pip install 'parley[engine]'.",
            code="missing_library",
        ) from None
    return PocketSphinx(choice.reason, fallback=choice.fallback, remedy=choice.remedy)
