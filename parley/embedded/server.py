"""A whole Parley for the length of a `with` block: for tests, the demo and benchmarks."""

import contextlib
import json
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

from parley.embedded import folder, postgres
from parley.embedded.process import last_lines
from parley.errors import SetupError

STOP_TIMEOUT_S = 35.0
COMMAND = (sys.executable, "-m", "parley", "up")


@dataclass(frozen=True, slots=True)
class RunningServer:
    """`base_url` is `http://host:port`, the first of `base_urls`: of nginx, or else of each gateway.

    `process` is `parley up` itself; `ready_line` what it printed.
    """

    base_urls: tuple[str, ...]
    data: Path
    process: subprocess.Popen[bytes]
    ready_line: str

    @property
    def base_url(self) -> str:
        return self.base_urls[0]

    @property
    def places(self) -> dict[str, str]:
        """The address of each service by its part (`gateway`, `gateway-2`, `engine`, `worker`, `rag`, `nginx`)."""
        places: dict[str, str] = json.loads((self.data / "run.json").read_text())["places"]
        return places

    @property
    def database_url(self) -> str:
        """Of the server's own PostgreSQL."""
        return postgres.url(Path(json.loads((self.data / "run.json").read_text())["sockets"]))

    def pid(self, part: str) -> int:
        """The process that runs as this part now."""
        return int(json.loads((self.data / "run.json").read_text())["processes"][part][0])


@contextlib.contextmanager
def running_server(
    data: Path | None = None,
    *,
    env: Mapping[str, str] | None = None,
    port: int = 0,
    start_timeout_s: float = 300.0,
    command: Sequence[str] = COMMAND,
    gateways: int = 1,
    engines: int = 1,
    workers: int = 1,
    nginx: bool = False,
    rag: bool = False,
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
        parts = {"GATEWAYS": gateways, "ENGINES": engines, "WORKERS": workers, "NGINX": nginx, "RAG": rag}
        wanted = {f"PARLEY_UP__{name}": str(value) for name, value in parts.items()}
        process = _spawn((*command, "--port", str(port), "--data", str(data)), said, wanted | dict(env or {}))
        try:
            line = _ready_line(process, said, start_timeout_s)
            addresses = re.findall(r"http://\S+", line.partition(" · ")[0])
            if not addresses:
                raise SetupError(f"Parley said, in place of its ready line: {line!r}")
            yield RunningServer(tuple(addresses), data, process, line)
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
