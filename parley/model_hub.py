"""Models from the Hugging Face hub: is it there, what does it hold, and a download that resumes and is verified."""

import errno
import hashlib
import importlib.util
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import httpx

from parley.errors import BackendError, SetupError
from parley.model_files import MODELS_FOLDER, folder_name, what_is_missing

WANTED = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
"""The files that faster-whisper takes from a repository."""
_WATCH_S = 0.5
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes in all."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file of a repository; `size` in bytes, `sha256` in hex, None where the hub does not say."""

    name: str
    size: int | None
    sha256: str | None


def listing(repo: str, timeout_s: float) -> tuple[RemoteFile, ...]:
    """The files of `repo` that a model needs. Raises BackendError where the hub does not answer within `timeout_s`.

    The name lookup has no time limit of its own, so the whole question runs in a thread that is left behind.
    """
    answer: Future[tuple[RemoteFile, ...]] = Future()
    threading.Thread(target=_answer, args=(answer, repo, timeout_s), name="hub", daemon=True).start()
    try:
        return answer.result(timeout_s)
    except FutureTimeout:
        raise BackendError(f"The model hub did not answer within {timeout_s:g} s.", code="hub_unreachable") from None


def _answer(answer: "Future[tuple[RemoteFile, ...]]", repo: str, timeout_s: float) -> None:
    try:
        answer.set_result(_ask(repo, timeout_s))
    except Exception as error:  # noqa: BLE001 - it is raised again in the thread that waits
        answer.set_exception(error)


def _ask(repo: str, timeout_s: float) -> tuple[RemoteFile, ...]:
    _need_library()
    from huggingface_hub import HfApi, constants, errors

    if constants.HF_HUB_OFFLINE:
        raise BackendError("The model hub is not asked, because HF_HUB_OFFLINE is set.", code="hub_unreachable")
    _knock(constants.ENDPOINT, timeout_s)
    try:
        info = HfApi().model_info(repo, files_metadata=True, timeout=timeout_s)
    except errors.RepositoryNotFoundError:
        raise SetupError(f"The model hub has no repository {repo}, or it is private.", code="no_such_model") from None
    except Exception as error:  # the library's transport, and so its errors, changed three times
        raise BackendError(f"The model hub did not list {repo}.", code="hub_unreachable") from error
    files = (RemoteFile(file.rfilename, file.size, getattr(file.lfs, "sha256", None)) for file in info.siblings or ())
    wanted = tuple(file for file in files if any(fnmatch(file.name, pattern) for pattern in WANTED))
    if not any(file.name == "model.bin" for file in wanted):
        raise SetupError(
            f"The repository {repo} has no model.bin, so it is no model converted for CTranslate2.",
            code="no_such_model",
        )
    return wanted


def _knock(endpoint: str, timeout_s: float) -> None:
    """One quick request: huggingface_hub itself tries for long before it says that there is no network."""
    try:
        httpx.head(endpoint, timeout=timeout_s, follow_redirects=False)
    except (httpx.HTTPError, OSError) as error:
        raise BackendError("The model hub cannot be reached (no network?).", code="hub_unreachable") from error


def detail(error: BaseException) -> str:
    """What a log should say beside the message of an error of this module; empty where there is no more to say."""
    cause = error.__cause__
    return "" if cause is None else f"{type(cause).__name__}: {cause}"[:300]


def _need_library() -> None:
    if importlib.util.find_spec("huggingface_hub") is None:
        raise SetupError(
            "Downloading models needs huggingface_hub: pip install 'parley[engine]'.", code="missing_library"
        )


def download(name: str, repo: str, data: Path, on_progress: Progress, *, timeout_s: float = 10.0) -> Path:
    """Gets `repo` into DATA/models/NAME, whole and verified or not at all; what an earlier try left is used.

    Raises BackendError where the hub or the network fails, SetupError where there is no such model or no room.
    """
    files = listing(repo, timeout_s)
    target = data / MODELS_FOLDER / folder_name(name)
    staging = target.with_name(f".{target.name}.part")
    staging.mkdir(parents=True, exist_ok=True)
    total = sum(file.size or 0 for file in files)
    with _watching(staging, total, on_progress):
        for file in files:
            _fetch(repo, file, staging)
    if what_is_missing(staging):
        raise SetupError(f"{repo} cannot be used: {what_is_missing(staging)}.", code="no_such_model")
    put_in_place(staging, target)
    return target


def put_in_place(staging: Path, target: Path) -> None:
    """Renames the whole folder `staging` to `target`; a model that was there is put aside first, then removed."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    staging.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(target / ".cache", ignore_errors=True)


def _fetch(repo: str, file: RemoteFile, staging: Path) -> None:
    path = staging / file.name
    if path.is_file() and _is_whole(path, file):
        return
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(repo, file.name, local_dir=str(staging))
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise SetupError(f"There is no room for {file.name} of {repo} in {staging}.", code="no_room") from error
        raise BackendError(
            f"The download of {file.name} from {repo} stopped (no network?); the next try goes on from there.",
            code="hub_unreachable",
        ) from error
    if not _is_whole(path, file):
        path.unlink(missing_ok=True)
        raise BackendError(
            f"{file.name} of {repo} arrived damaged (its size or checksum is wrong) and was removed.",
            code="damaged_download",
        )


def _is_whole(path: Path, file: RemoteFile) -> bool:
    if file.size is not None and path.stat().st_size != file.size:
        return False
    return file.sha256 is None or sha256_of(path) == file.sha256


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _watching:  # noqa: N801 - reads like a statement
    """Reports the bytes below a folder every half second while the block runs, and once at its end.

    Watching the folder works with every transport of huggingface_hub, and counts what an earlier try left.
    """

    def __init__(self, folder: Path, total: int, on_progress: Progress) -> None:
        self._folder, self._total, self._on_progress = folder, total, on_progress
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_WATCH_S):
            self._report()
        self._report()

    def _report(self) -> None:
        there = sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file() and path.exists())
        self._on_progress(min(there, self._total), self._total)
