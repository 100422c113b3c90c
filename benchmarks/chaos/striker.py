"""Carries the faults of a schedule out: on connections through their proxies, on processes by signals."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.chaos.proxy import Proxy
from benchmarks.chaos.recovery import Kill
from benchmarks.chaos.schedule import Cast, Fault
from benchmarks.chaos.tap import Overheard
from parley.embedded.server import RunningServer


class Parts:
    """The processes of one server, and of no other: by the names in its own record of the run."""

    def __init__(self, server: RunningServer) -> None:
        self._record = server.data / "run.json"
        self._root = psutil.Process(server.process.pid)

    def cast(self, sessions: int) -> Cast:
        names = self._processes()
        gateways, engines = (_numbered(names, kind) for kind in ("gateway", "engine"))
        return Cast(sessions, gateways, engines)

    def sockets(self) -> Path:
        return Path(json.loads(self._record.read_text())["sockets"])

    def find(self, name: str) -> psutil.Process | None:
        """The process that runs as the part `name` now; None where it is down at the moment."""
        pid, created = self._processes()[name]
        try:
            process = psutil.Process(pid)
            mine = abs(process.create_time() - created) < 0.1 and self._root in process.parents()
            return process if mine and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def _processes(self) -> dict[str, tuple[int, float]]:
        processes: dict[str, Any] = json.loads(self._record.read_text())["processes"]
        return {name: (int(pid), float(created)) for name, (pid, created) in processes.items()}


def _numbered(names: dict[str, Any], kind: str) -> tuple[str, ...]:
    """`engine`, `engine-2`, … in the order of their numbers."""
    found = (name for name in names if name.split("-")[0] == kind)
    return tuple(sorted(found, key=lambda name: int(name.partition("-")[2] or 1)))


class Line:
    """One session's way to the server: a proxy before each gateway."""

    def __init__(self, proxies: Sequence[Proxy]) -> None:
        self.proxies = tuple(proxies)

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(proxy.url for proxy in self.proxies)

    @property
    def overheard(self) -> list[Overheard]:
        """All that was said on its connections."""
        return [each for proxy in self.proxies for each in proxy.overheard]


@contextlib.asynccontextmanager
async def lines(gateways: Sequence[str], sessions: int) -> AsyncIterator[tuple[Line, ...]]:
    """For each session a line to the gateways at these addresses, each beginning with another gateway."""
    async with contextlib.AsyncExitStack() as stack:

        async def line() -> Line:
            return Line([await stack.enter_async_context(Proxy(url)) for url in gateways])

        yield tuple([await line() for _ in range(sessions)])


@dataclass(frozen=True, slots=True)
class Struck:
    """What came of a schedule: the kills, and the faults whose part was down already."""

    kills: tuple[Kill, ...]
    missed: tuple[Fault, ...]


class Striker:
    """`epoch`: when the round began, on the monotonic clock."""

    def __init__(self, parts: Parts, cast: Cast, session_lines: Sequence[Line], epoch: float) -> None:
        self._parts = parts
        self._cast = cast
        self._lines = session_lines
        self._epoch = epoch
        self._kills: list[Kill] = []
        self._missed: list[Fault] = []

    async def strike(self, faults: Sequence[Fault]) -> Struck:
        """All of them, each at its time. When this ends, however it ends, nothing is frozen any more."""
        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                tasks.create_task(self._strike_in_time(fault))
        return Struck(tuple(self._kills), tuple(self._missed))

    async def _strike_in_time(self, fault: Fault) -> None:
        await asyncio.sleep(max(0.0, self._epoch + fault.at_s - time.monotonic()))
        if isinstance(fault.target, int):
            self._on_connection(fault, self._lines[fault.target].proxies)
        elif (process := self._parts.find(fault.target)) is None:
            self._missed.append(fault)
        elif fault.kind == "kill":
            self._kill(fault, fault.target, process)
        elif fault.kind == "drain":
            _signal_all([process], psutil.Process.terminate)
        else:
            await self._pause(fault, fault.target, process)

    def _on_connection(self, fault: Fault, proxies: Sequence[Proxy]) -> None:
        for proxy in proxies:
            match fault.kind:
                case "cut":
                    proxy.cut()
                case "half_open":
                    proxy.half_open()
                case "delay":
                    proxy.delay(fault.for_s)
                case _:
                    proxy.refuse(fault.for_s)

    def _kill(self, fault: Fault, part: str, process: psutil.Process) -> None:
        everyone = range(len(self._lines))
        sessions: Sequence[int] = ()
        most = len(everyone)
        if part in self._cast.gateways:
            number = self._cast.gateways.index(part)
            sessions = [session for session in everyone if self._lines[session].proxies[number].connections]
        elif part in self._cast.engines:
            sessions, most = everyone, _clients(process)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
        self._kills.append(Kill(fault, time.monotonic() - self._epoch, tuple(sessions), most))

    async def _pause(self, fault: Fault, part: str, process: psutil.Process) -> None:
        """Freezes a part with all that it started. A stranded gateway's clients are cut off from it as well, so that
        they go on elsewhere, and it wakes up with a session that is no longer its own."""
        frozen = [process, *process.children(recursive=True)]
        try:
            _signal_all(frozen, psutil.Process.suspend)
            if fault.kind == "strand":
                for line in self._lines:
                    proxy = line.proxies[self._cast.gateways.index(part)]
                    proxy.cut()
                    proxy.refuse(fault.for_s)
            await asyncio.sleep(fault.for_s)
        finally:
            _signal_all(frozen, psutil.Process.resume)


def _signal_all(processes: Sequence[psutil.Process], send: Any) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            send(process)


def _clients(process: psutil.Process) -> int:
    """TCP connections that others have to the ports on which `process` listens."""
    connections = process.net_connections("tcp")
    ports = {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
    return sum(each.status == psutil.CONN_ESTABLISHED and each.laddr.port in ports for each in connections)
