"""The supervisor with small scripted children."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from parley.embedded.health import Healthy, NotYet
from parley.embedded.parts import Part
from parley.embedded.policy import RestartPolicy, State
from parley.embedded.supervisor import PartFailed, Supervisor
from parley.errors import SetupError

SLEEPS = (sys.executable, "-S", "-c", "import time; time.sleep(60)")
DEAF = (
    sys.executable,
    "-S",
    "-c",
    "import signal, time; signal.signal(15, 1); print('deaf', flush=True); time.sleep(60)",
)
DIES = (sys.executable, "-S", "-c", "import sys; print('its last words'); sys.exit(1)")
QUICK = RestartPolicy(exits=3, first_pause_s=0.01, longest_pause_s=0.02)


async def healthy() -> Healthy | NotYet:
    return Healthy({"is": "well"})


async def never() -> Healthy | NotYet:
    return NotYet("it thinks")


def part(name: str, command: tuple[str, ...] = SLEEPS, **changes: Any) -> Part:
    return replace(Part(name=name, title=name.title(), kin=name, command=command, check=healthy), **changes)


class Run:
    """A supervisor that runs, and what it said."""

    def __init__(self, logs: Path, *parts: Part) -> None:
        self.said: list[str] = []
        self.pids: list[int] = []
        self.facts: asyncio.Future[dict[str, dict[str, Any]]] = asyncio.get_running_loop().create_future()
        self.supervisor = Supervisor(
            parts,
            logs,
            say=lambda title, text: self.said.append(f"{title} {text}"),
            started=lambda _, pid: self.pids.append(pid),
            policy=QUICK,
        )
        self.task = asyncio.create_task(self.supervisor.run(self.facts.set_result))

    async def until(self, text: str, times: int = 1) -> None:
        await eventually(lambda: sum(text in line for line in self.said) >= times)


@contextlib.asynccontextmanager
async def running(logs: Path, *parts: Part) -> AsyncIterator[Run]:
    run = Run(logs, *parts)
    try:
        yield run
    finally:
        run.task.cancel()
        await asyncio.gather(run.task, return_exceptions=True)
        if any(each.state is not State.STOPPED for each in run.supervisor.children.values()):
            await run.supervisor.stop()


def lives(pid: int) -> bool:
    """A zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def eventually(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


async def test_it_is_ready_when_every_part_is(tmp_path: Path) -> None:
    async with running(tmp_path, part("one"), part("two")) as run:
        assert await asyncio.wait_for(run.facts, 10) == {"one": {"is": "well"}, "two": {"is": "well"}}
    assert not any(lives(pid) for pid in run.pids)


async def test_a_part_starts_when_what_it_needs_is_set_up(tmp_path: Path) -> None:
    order: list[str] = []

    async def set_up() -> None:
        order.append("set up")

    async def prepare() -> None:
        order.append("prepared")

    needed, needing = part("store", once_ready=set_up), part("service", needs=("store",), before=prepare)
    async with running(tmp_path, needed, needing) as run:
        await asyncio.wait_for(run.facts, 10)
    assert order == ["set up", "prepared"]


async def test_a_part_that_is_killed_starts_again(tmp_path: Path) -> None:
    async with running(tmp_path, part("one")) as run:
        await asyncio.wait_for(run.facts, 10)
        os.kill(run.pids[0], signal.SIGKILL)
        await run.until("ready after", times=2)
        assert "One was ended by signal 9; starting again in 0.01 s" in run.said
        assert len(run.pids) == 2


async def test_what_a_killed_part_started_is_killed_too(tmp_path: Path) -> None:
    script = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    async with running(tmp_path, part("one", (sys.executable, "-c", script))) as run:
        log = tmp_path / "one.log"
        await eventually(lambda: log.exists() and log.read_text())
        grandchild = int(log.read_text())
        os.kill(run.pids[0], signal.SIGKILL)
        await run.until("starting again")
        await eventually(lambda: not lives(grandchild))


async def test_a_part_that_fails_again_and_again_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    async with running(tmp_path, part("one", DIES, check=never), part("other")) as run:
        with pytest.raises(PartFailed) as failed:
            await asyncio.wait_for(run.task, 10)
        assert "One failed 3 times" in failed.value.message
        assert failed.value.log.splitlines()[-1] == "its last words"
        assert run.supervisor.children["other"].state is State.READY
        await run.supervisor.stop()
    assert not any(lives(pid) for pid in run.pids)


async def test_a_preparation_that_fails_is_tried_again(tmp_path: Path) -> None:
    attempts = 0

    async def prepare() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ConnectionError("the database is away")

    async with running(tmp_path, part("one", before=prepare)) as run:
        await asyncio.wait_for(run.facts, 10)
    assert "One could not be prepared: ConnectionError: the database is away; starting again in 0.01 s" in run.said


async def test_a_program_that_is_not_there_is_given_up_by_name(tmp_path: Path) -> None:
    async with running(tmp_path, part("one", ("/no/such/program",))) as run:
        with pytest.raises(PartFailed, match=r"One failed 3 times .* could not be started: .*/no/such/program"):
            await asyncio.wait_for(run.task, 10)


async def test_a_machine_that_is_not_fit_is_told_at_once(tmp_path: Path) -> None:
    async def prepare() -> None:
        raise SetupError("There is no room.")

    async with running(tmp_path, part("one", before=prepare)) as run:
        with pytest.raises(SetupError, match=r"There is no room\."):
            await asyncio.wait_for(run.task, 10)
    assert not run.pids


async def test_a_start_that_takes_too_long_counts_as_a_failure(tmp_path: Path) -> None:
    async with running(tmp_path, part("one", check=never, start_timeout_s=0.05)) as run:
        with pytest.raises(PartFailed, match=r"gave no sign of life within 0\.05 s"):
            await asyncio.wait_for(run.task, 10)
        assert "One it thinks" in run.said
        assert not any(lives(pid) for pid in run.pids)


async def test_parts_stop_in_reverse_order_and_the_deaf_are_killed(tmp_path: Path) -> None:
    deaf = part("deaf", DEAF, stop_timeout_s=0.2)
    async with running(tmp_path, part("first"), deaf, part("last")) as run:
        await asyncio.wait_for(run.facts, 10)
        await eventually((tmp_path / "deaf.log").read_text)
        run.task.cancel()
        await asyncio.gather(run.task, return_exceptions=True)
        await run.supervisor.stop()
    assert run.said[-4:] == [
        "Last stopping",
        "Deaf stopping",
        "Deaf did not stop within 0.2 s and was killed",
        "First stopping",
    ]
    assert not any(lives(pid) for pid in run.pids)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_a_child_ends_with_its_parent_however_that_ends() -> None:
    script = f"""
import asyncio, os, signal
from parley.embedded.process import spawn
async def main():
    process = await spawn({SLEEPS!r}, output=asyncio.subprocess.DEVNULL, death_signal=signal.SIGTERM)
    print(process.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    result = subprocess.run((sys.executable, "-c", script), capture_output=True, text=True, timeout=20, check=False)
    assert result.returncode == -signal.SIGKILL
    asyncio.run(eventually(lambda: not lives(int(result.stdout))))


async def test_one_of_several_that_fails_again_and_again_does_not_stop_the_others(tmp_path: Path) -> None:
    first, second = part("gateway", kin="gateway"), part("gateway-2", kin="gateway")
    async with running(tmp_path, first, second) as run:
        await asyncio.wait_for(run.facts, 10)
        for time in range(1, 5):
            os.kill(run.supervisor.children["gateway-2"].process.pid, signal.SIGKILL)  # type: ignore[union-attr]
            await run.until("Gateway-2 ready after", times=time + 1)
        assert run.supervisor.children["gateway"].state is State.READY
        assert not run.task.done()


async def test_a_part_that_is_not_vital_is_never_given_up_once_all_were_ready(tmp_path: Path) -> None:
    async with running(tmp_path, part("gateway"), part("worker", vital=False)) as run:
        await asyncio.wait_for(run.facts, 10)
        for time in range(1, 5):
            os.kill(run.supervisor.children["worker"].process.pid, signal.SIGKILL)  # type: ignore[union-attr]
            await run.until("Worker ready after", times=time + 1)
        assert run.supervisor.children["gateway"].state is State.READY
        assert not run.task.done()


async def test_one_of_several_that_cannot_begin_is_told(tmp_path: Path) -> None:
    async with running(
        tmp_path, part("gateway", kin="gateway"), part("gateway-2", DIES, kin="gateway", check=never)
    ) as run:
        with pytest.raises(PartFailed, match="Gateway-2 failed 3 times"):
            await asyncio.wait_for(run.task, 10)


async def test_parts_of_one_kin_stop_together(tmp_path: Path) -> None:
    deaf = [part(f"deaf-{number}", DEAF, kin="deaf", stop_timeout_s=0.5) for number in range(4)]
    async with running(tmp_path, part("first"), *deaf) as run:
        await asyncio.wait_for(run.facts, 10)
        await eventually(lambda: all((tmp_path / f"{each.name}.log").read_text() for each in deaf))
        run.task.cancel()
        await asyncio.gather(run.task, return_exceptions=True)
        began = asyncio.get_running_loop().time()
        await run.supervisor.stop()
        assert asyncio.get_running_loop().time() - began < 1.5
    assert run.said[-1] == "First stopping"
