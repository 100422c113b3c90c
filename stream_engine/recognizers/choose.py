"""Which recogniser this engine runs. What was asked for runs or fails; `auto` takes the best there is and says why."""

import os
from pathlib import Path

from parley.errors import BackendError, ParleyError, SetupError
from parley.logs import get_logger
from parley.model_files import LocalModel, best, default_name, find, in_cache, in_data, repo_of, what_is_missing
from parley.model_hub import download
from parley.settings import EngineSettings, Settings
from stream_engine.recognizers.base import Recognizer
from stream_engine.recognizers.pocketsphinx import PocketSphinx

log = get_logger(__name__)

_LOGGED_STEP = 0.05
"""Part of a download between two lines of log."""


def open_recognizer(settings: Settings) -> Recognizer:
    """Loads the recogniser that the settings ask for. Blocks, for a download as long as it takes.

    Raises SetupError, with what to do, where what was asked for cannot run.
    """
    engine = settings.engine
    if engine.recognizer == "pocketsphinx":
        return PocketSphinx("configured")
    if engine.model:
        return _configured(engine.model, settings)
    try:
        return _found_or_downloaded(settings)
    except ParleyError as error:
        if engine.recognizer == "faster-whisper":
            raise SetupError(f"No Whisper model: {error.message} {_remedy(engine)}", code="no_model") from error
        log.warning("recognizer_fallback", reason=error.message)
        return PocketSphinx(
            f"{error.message} PocketSphinx, which hears far worse than Whisper, stands in.",
            fallback=True,
            remedy=_remedy(engine),
        )


def _configured(model: str, settings: Settings) -> Recognizer:
    """The model that a setting names: a folder, a model on this machine, or one to be had from the hub."""
    folder = Path(model).expanduser()
    if folder.is_dir() or model.startswith(("/", ".", "~")):
        missing = what_is_missing(folder)
        if missing:
            raise SetupError(
                f"The configured model {folder} cannot be used: {missing}. Name another with"
                " PARLEY_ENGINE__MODEL, or run `parley models use PATH`.",
                code="bad_model",
            )
        return _whisper(folder, folder.name, "configured", settings)
    local = find(model, settings.data)
    if local is not None:
        return _whisper(local.folder, local.name, "configured", settings)
    repo = repo_of(model)
    if repo is None:
        raise SetupError(
            f"There is no model {model!r} on this machine, and no known model has that name; `parley models list`"
            " shows those that have one.",
            code="bad_model",
        )
    try:
        return _whisper(_get(model, repo, settings), model, "configured; downloaded", settings)
    except BackendError as error:
        raise SetupError(
            f"The configured model {model!r} is not on this machine. {error.message} {_remedy(settings.engine)}",
            code="no_model",
        ) from error


def _found_or_downloaded(settings: Settings) -> Recognizer:
    """The best model on this machine, else the one that suits it, from the hub."""
    wanted = default_name(cuda=device_of(settings.engine) == "cuda", cores=os.cpu_count() or 1)
    local = best(in_data(settings.data), wanted) or best(in_cache(), wanted)
    if local is not None:
        return _whisper(local.folder, local.name, _where(local), settings)
    repo = repo_of(wanted)
    assert repo is not None, wanted
    return _whisper(_get(wanted, repo, settings), wanted, "suits this machine; downloaded", settings)


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
    """`cpu` or `cuda`; `auto` takes a GPU where CTranslate2 sees one."""
    if engine.device != "auto":
        return engine.device
    try:
        import ctranslate2
    except ImportError:
        return "cpu"
    return "cuda" if ctranslate2.get_cuda_device_count() > 0 else "cpu"


def _whisper(folder: Path, label: str, reason: str, settings: Settings) -> Recognizer:
    try:
        from stream_engine.recognizers.faster_whisper import load
    except ImportError as error:
        raise SetupError(
            f"faster-whisper is not installed ({error.name}): pip install 'parley[engine]'.", code="missing_library"
        ) from None
    device = device_of(settings.engine)
    try:
        return load(folder, label, reason, settings.engine, device)
    except (RuntimeError, ValueError, OSError) as error:
        raise SetupError(
            f"The model in {folder} cannot be loaded on {device}: {str(error).strip() or type(error).__name__}",
            code="bad_model",
        ) from error


def _remedy(engine: EngineSettings) -> str:
    name = engine.model or default_name(cuda=device_of(engine) == "cuda", cores=os.cpu_count() or 1)
    return (
        f"Run `parley models get {name}`, or on a machine without a network `parley models use PATH` with a folder"
        " that holds a converted model."
    )
