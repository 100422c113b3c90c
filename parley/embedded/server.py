"""A whole Parley for the length of a `with` block: for tests, the demo and benchmarks."""

import contextlib
import os
import re
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parley.embedded import folder
from parley.embedded.process import last_lines
from parley.errors import SetupError

STOP_TIMEOUT_S = 35.0
COMMAND = (sys.executable, "-m", "parley", "up")


@dataclass(frozen=True, slots=True)
class RunningServer:
    """`base_url` is `http://host:port`; `process` is `parley up` itself; `ready_line` what it printed."""

    base_url: str
    data: Path
    process: subprocess.Popen[bytes]
    ready_line: str


@contextlib.contextmanager
def running_server(
    data: Path | None = None,
    *,
    env: Mapping[str, str] | None = None,
    port: int = 0,
    start_timeout_s: float = 300.0,
    command: Sequence[str] = COMMAND,
) -> Iterator[RunningServer]:
    """Starts `parley up` on a free port with the data in `data` (None: a temporary folder), yields it when it is
    ready, stops it with SIGTERM. `env` is added to the environment.

    Raises SetupError, with the last lines of what it said, where it does not become ready or does not stop.
    """
    with contextlib.ExitStack() as stack:
        if data is None:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-data-")))
        data = folder.prepare(data)
        said = data / "up.log"
        process = _spawn((*command, "--port", str(port), "--data", str(data)), said, env or {})
        try:
            line = _ready_line(process, said, start_timeout_s)
            address = re.search(r"http://\S+", line)
            if address is None:
                raise SetupError(f"Parley said, in place of its ready line: {line!r}")
            yield RunningServer(address[0], data, process, line)
        finally:
            _stop(process, said)


def _spawn(command: Sequence[str], said: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with said.open("wb") as stderr:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, **env},
            bufsize=0,
        )


def _ready_line(process: subprocess.Popen[bytes], said: Path, timeout_s: float) -> str:
    assert process.stdout is not None
    deadline, line = time.monotonic() + timeout_s, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not line.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise SetupError(f"Parley was not ready within {timeout_s:g} s. What it said:\n{last_lines(said, 30)}")
            if not (got := process.stdout.read(4096)):
                raise SetupError(f"Parley did not start. What it said:\n{last_lines(said, 30)}")
            line += got
    return line.decode().strip()


def _stop(process: subprocess.Popen[bytes], said: Path) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise SetupError(
            f"Parley did not stop in {STOP_TIMEOUT_S:g} s. What it said:\n{last_lines(said, 30)}"
        ) from None
    finally:
        if process.stdout is not None:
            process.stdout.close()
