"""The data folder of an embedded server: one server at a time, what it keeps, what a killed one left behind.

DATA/parley.lock    held (flock) while a server runs; the kernel releases it however the server ends
DATA/secret         the key that signs resume tokens
DATA/rag-token      the token that the rag service asks for
DATA/run.json       the processes, addresses and socket folder of the run in progress, or of one that was killed
DATA/logs/          one file for each part; a start keeps the three before
DATA/postgres/ redis/ blobs/ nginx/
"""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import signal
import tempfile
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from parley.errors import SetupError

LEAST_FREE_BYTES = 200 * 2**20
KEPT_LOGS = 3
KILL_TIMEOUT_S = 5.0
LONGEST_SOCKET_FOLDER = 70
"""Bytes of the socket folder's path at most: a socket's path ends at 103 on macOS, 107 on Linux."""


def prepare(data: Path) -> Path:
    """Makes the folder and its parts; returns it absolute. Raises SetupError where it cannot be written."""
    data = data.expanduser().absolute()
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("logs", "redis", "blobs"):
            (data / name).mkdir(mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=data) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
        free = shutil.disk_usage(data).free
    except OSError as error:
        raise SetupError(
            f"The data folder {data} cannot be written: {_why(error)}. Choose another with --data."
        ) from None
    if free < LEAST_FREE_BYTES:
        raise SetupError(
            f"Only {free / 2**20:.0f} MB are free at {data}; Parley needs {LEAST_FREE_BYTES / 2**20:.0f} MB to start."
        )
    return data


def _why(error: OSError) -> str:
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{error.filename} is no folder, or lies in a file"
    return error.strerror or str(error)


class AlreadyRuns(SetupError):
    code = "already_runs"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a data folder: its process and `http://host:port`; 0 and "" where it has not said yet."""

    pid: int
    address: str


class Lock:
    """The right to run on a data folder. Held until `release`, or the end of this process."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    @classmethod
    def take(cls, data: Path) -> "Lock":
        """Raises AlreadyRuns, saying who runs and where."""
        path = data / "parley.lock"
        try:
            file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
        except OSError as error:
            raise SetupError(
                f"{path} cannot be written: {error.strerror}. Does {data} belong to another user?"
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(file)
            file.close()
            who = f" (process {holder.pid})" if holder.pid else ""
            use = f"Open {holder.address} to use it, stop it" if holder.address else "Stop it"
            raise AlreadyRuns(
                f"Parley already runs on {data}{who}. {use}, or choose another folder with --data."
            ) from None
        lock = cls(file)
        lock.say(Holder(os.getpid(), ""))
        return lock

    def say(self, holder: Holder) -> None:
        """Writes who holds the lock, for the next one who tries."""
        self._file.seek(0)
        self._file.truncate()
        json.dump({"pid": holder.pid, "address": holder.address}, self._file)
        self._file.flush()

    def release(self) -> None:
        self._file.close()


def holder(data: Path) -> Holder | None:
    """Who runs on `data` now; None: nobody."""
    try:
        with (data / "parley.lock").open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder(file)
    except OSError:
        pass
    return None


def _holder(file: IO[str]) -> Holder:
    try:
        said = json.load(file)
        return Holder(int(said["pid"]), str(said["address"]))
    except (ValueError, KeyError, TypeError):
        return Holder(0, "")


def secret(data: Path, name: str = "secret") -> str:
    """A key of this folder, made on first use; readable only to its owner."""
    path = data / name
    with (
        contextlib.suppress(FileExistsError),
        os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file,
    ):
        file.write(secrets.token_urlsafe(32))
    text = path.read_text().strip()
    if not text:
        raise SetupError(f"{path} is empty; remove it and a new key is made (open sessions cannot be resumed then).")
    return text


def rotate(log: Path) -> None:
    """Starts the log anew: NAME.log becomes NAME.1.log, and so on; the oldest goes."""
    if not log.exists() or not log.stat().st_size:
        return
    older = [log, *(log.with_name(f"{log.stem}.{i}.log") for i in range(1, KEPT_LOGS + 1))]
    for newer, old in reversed(list(pairwise(older))):
        with contextlib.suppress(FileNotFoundError):
            newer.replace(old)


def socket_folder() -> Path:
    """A new, private folder with a path short enough for sockets, wherever the data lie."""
    for base in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if len(os.fsencode(base)) + 16 <= LONGEST_SOCKET_FOLDER:
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix="parley-", dir=base))
    raise SetupError("No temporary folder can be written for sockets; set TMPDIR to one with a short path.")


@dataclass
class RunRecord:
    """The run in progress, kept in DATA/run.json for the next start, in case this one is killed.

    `processes`: number and start time of each part's process; `places`: the address of each service.
    """

    path: Path
    sockets: Path
    processes: dict[str, tuple[int, float]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    @classmethod
    def begin(cls, data: Path) -> "RunRecord":
        """Ends what an earlier run left behind, then begins a new one with a socket folder of its own."""
        path = data / "run.json"
        end_leftovers(path)
        record = cls(path, socket_folder())
        record._write()
        return record

    def add(self, name: str, pid: int) -> None:
        """Process `pid` now runs as the part `name`. A full disk is no reason not to run it."""
        import psutil

        with contextlib.suppress(psutil.Error, OSError):
            self.processes[name] = (pid, psutil.Process(pid).create_time())
            self._write()

    def end(self) -> None:
        """All processes have ended: nothing is left behind."""
        shutil.rmtree(self.sockets, ignore_errors=True)
        self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        new = self.path.with_suffix(".new")
        said = {"sockets": str(self.sockets), "processes": self.processes, "places": self.places}
        new.write_text(json.dumps(said))
        new.replace(self.path)


def end_leftovers(record: Path, patience_s: float = 5.0) -> None:
    """Waits for the processes of a killed run to follow it, kills those that do not, removes their sockets.

    A process counts as the one that was started if its start time is the same, so a number used again is safe.
    """
    try:
        said: dict[str, Any] = json.loads(record.read_text())
        sockets = Path(said["sockets"])
        processes = [(int(pid), float(created)) for pid, created in said["processes"].values()]
    except (OSError, ValueError, KeyError, TypeError):
        return
    deadline = time.monotonic() + patience_s
    while left := [pid for pid, created in processes if _lives(pid, created)]:
        if time.monotonic() > deadline + KILL_TIMEOUT_S:
            raise SetupError(f"Process {left[0]} of an earlier run on this data folder does not end; end it first.")
        if time.monotonic() > deadline:
            for pid in left:
                with contextlib.suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
        time.sleep(0.02)
    if sockets.name.startswith("parley-"):
        shutil.rmtree(sockets, ignore_errors=True)
    record.unlink(missing_ok=True)


def _lives(pid: int, created: float) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - created) < 0.1 and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
