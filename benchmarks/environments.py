"""Other people's servers, each in a Python environment of its own, outside this project."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.report import progress
from parley.errors import SetupError

DEFAULT_CACHE = Path.home() / ".cache" / "parley-benchmarks"
_DONE = "installed.txt"
_LAST_LINES = 15


@dataclass(frozen=True, slots=True)
class Peer:
    """`package`: what is installed without its own requirements. `requirements`: those that the server needs."""

    name: str
    package: str
    requirements: tuple[str, ...]


def install(peer: Peer, cache: Path) -> Path:
    """The Python of an environment with the peer in it, made where it is not there yet. Takes minutes the first time.

    Raises SetupError with the last lines of what pip said.
    """
    folder = cache / f"{peer.name}-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / "python"
    wanted = "\n".join((peer.package, *peer.requirements))
    done = folder / _DONE
    if done.is_file() and done.read_text() == wanted:
        return python
    progress(f"installing {peer.package} in {folder} …")
    _run([sys.executable, "-m", "venv", "--clear", str(folder)])
    _run([str(python), "-m", "pip", "install", "--quiet", *peer.requirements])
    _run([str(python), "-m", "pip", "install", "--quiet", "--no-deps", peer.package])
    done.write_text(wanted)
    return python


def _run(command: Sequence[str]) -> None:
    ran = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if ran.returncode:
        said = "\n".join((ran.stdout + ran.stderr).strip().splitlines()[-_LAST_LINES:])
        raise SetupError(f"`{' '.join(command)}` failed:\n{said}")
