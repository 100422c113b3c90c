"""One child process: its leash, its log, its end.

The leash: on Linux the kernel sends the child its `death_signal` when this process dies, however it dies
(PR_SET_PDEATHSIG, prctl(2)). It fires when the *thread* that forked ends, so fork only from the main thread. Elsewhere
there is no leash, and the next start on the same data ends what was left (`folder.end_leftovers`).
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
TAIL_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Account:
    """The system account a child runs as, where it is not our own."""

    uid: int
    gid: int


def leash(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What the child does between fork and exec; None where the platform has no leash.

    It runs after setuid, which clears the setting. The parent may be gone before the call: then nobody would ever
    send the signal, so the child ends itself.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def tie() -> None:
        prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return tie


async def spawn(
    command: tuple[str, ...],
    *,
    output: int | IO[bytes],
    death_signal: signal.Signals,
    env: Mapping[str, str] | None = None,
    pass_fds: tuple[int, ...] = (),
    cwd: Path | None = None,
    account: Account | None = None,
) -> asyncio.subprocess.Process:
    """Starts `command` in a session of its own, so that the terminal's Ctrl-C does not reach it.

    `output` takes stdout and stderr; `env` is added to our own.
    """
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **(env or {})},
        pass_fds=pass_fds,
        cwd=cwd,
        start_new_session=True,
        preexec_fn=leash(death_signal),
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=() if account else None,
    )


async def stop(process: asyncio.subprocess.Process, stop_signal: signal.Signals, timeout_s: float) -> bool:
    """Asks the process to end, then kills it with all it started. Returns whether asking was enough."""
    asked = True
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(stop_signal)
        try:
            async with asyncio.timeout(timeout_s):
                await process.wait()
        except TimeoutError:
            asked = False
    sweep(process.pid)
    await process.wait()
    return asked


def sweep(session: int) -> None:
    """Kills whatever is left of the process group that a child led. EPERM: only zombies are left (macOS)."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(session, signal.SIGKILL)


def last_lines(log: Path, count: int = 12) -> str:
    """The last lines of a log, for a person; empty where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(line[:500] for line in lines[-count:])
