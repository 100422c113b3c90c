"""What processes used between two moments: cores, and memory at the end."""

import contextlib
import time
from collections.abc import Mapping, Sequence

import psutil


class Meter:
    """Starts to count when it is made. `parts`: processes by the name that they have in the result."""

    def __init__(self, parts: Mapping[str, Sequence[psutil.Process]]) -> None:
        self._parts = {**parts, "generator": [psutil.Process()]}
        self._before = {name: _cpu_s(processes) for name, processes in self._parts.items()}
        self._began = time.monotonic()

    def read(self) -> dict[str, float]:
        """`NAME_cpu_share` (cores) and `NAME_memory_mib` (resident; shared pages count in each process)."""
        elapsed = time.monotonic() - self._began
        usage: dict[str, float] = {}
        for name, processes in self._parts.items():
            usage[f"{name}_cpu_share"] = round((_cpu_s(processes) - self._before[name]) / elapsed, 3)
            if name != "generator":
                usage[f"{name}_memory_mib"] = round(sum(_memory(process) for process in processes) / 2**20, 1)
        return usage


def tree(pid: int) -> list[psutil.Process]:
    """A process and all that it started."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def parley_parts(pid: int) -> dict[str, list[psutil.Process]]:
    """The processes of `parley up`: the gateway, the engine, and all together."""
    everything = tree(pid)
    parts = {"server": everything}
    for process in everything:
        words = process.cmdline()
        for module, name in (("gateway", "gateway"), ("stream_engine", "engine")):
            if module in words:
                parts[name] = [process]
    return parts


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # a database connection's process may have ended
            total += sum(process.cpu_times()[:2])
    return total


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
