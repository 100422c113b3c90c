"""What each process of a server holds over time, and how much more it is at the end."""

import contextlib
import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from parley.embedded.server import RunningServer

_SETTLED = 0.05, 0.1
"""Which part of the run the growth is measured from: the second half of its first tenth."""
_END = 0.9


@dataclass(frozen=True, slots=True)
class Held:
    """One process, or PostgreSQL's and all of its own together. `memory_mib`: memory of its own (USS), without pages
    that others share, such as PostgreSQL's buffers. `fds` of PostgreSQL are without files, of which each of its
    processes keeps those open that it once used, up to a bound."""

    memory_mib: float
    resident_mib: float
    fds: int
    threads: int


@dataclass(frozen=True, slots=True)
class Sample:
    """`at_s`: seconds since the run began. `held` by the part's name. `connections` to the database."""

    at_s: float
    held: Mapping[str, Held]
    connections: int


def read_held(server: RunningServer) -> dict[str, Held]:
    """Each part by its name, and `up`, which supervises them."""
    record: dict[str, Any] = json.loads((server.data / "run.json").read_text())
    pids = {"up": server.process.pid} | {name: int(pid) for name, (pid, _) in record["processes"].items()}
    return {name: _held(pid, with_children=name == "postgres") for name, pid in pids.items()}


def _held(pid: int, *, with_children: bool) -> Held:
    root = psutil.Process(pid)
    found = []
    for process in [root, *(root.children(recursive=True) if with_children else [])]:
        with contextlib.suppress(psutil.NoSuchProcess):  # a database connection's process may have ended
            memory = process.memory_full_info()
            fds = process.num_fds() - (len(process.open_files()) if with_children else 0)
            found.append((memory.uss / 2**20, memory.rss / 2**20, fds, process.num_threads()))
    memory_mib, resident_mib, fds, threads = (sum(column) for column in zip(*found, strict=True))
    return Held(round(memory_mib, 2), round(resident_mib, 2), int(fds), int(threads))


def growth_percent(samples: Sequence[Sample], what: Callable[[Held], float]) -> dict[str, float]:
    """By process: from the settled beginning of the run to its last tenth, medians."""
    end_s = samples[-1].at_s
    begin = [sample for sample in samples if _SETTLED[0] * end_s <= sample.at_s <= _SETTLED[1] * end_s]
    end = [sample for sample in samples if sample.at_s >= _END * end_s]
    found = {}
    for name in samples[-1].held:
        before, after = (
            statistics.median(what(sample.held[name]) for sample in some) for some in (begin or samples[:1], end)
        )
        found[name] = round(100 * (after - before) / before, 2)
    return found


def table_of(samples: Sequence[Sample], rest_before: Sample, rest_after: Sample) -> list[dict[str, Any]]:
    """A row for each process: memory under load, and what is open at rest, before and after."""
    memory = growth_percent(samples, lambda held: held.memory_mib)
    resident = growth_percent(samples, lambda held: held.resident_mib)
    return [
        {
            "process": name,
            "memory_mib": samples[-1].held[name].memory_mib,
            "growth_percent": memory[name],
            "resident_growth_percent": resident[name],
            "fds_before": rest_before.held[name].fds,
            "fds_after": rest_after.held[name].fds,
            "threads_before": rest_before.held[name].threads,
            "threads_after": rest_after.held[name].threads,
        }
        for name in samples[-1].held
    ]


def plot(samples: Sequence[Sample], title: str, path: Path) -> None:
    """Memory of each process over the minutes of the run, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
    minutes = [sample.at_s / 60 for sample in samples]
    for name in samples[-1].held:
        axes.plot(minutes, [sample.held[name].memory_mib for sample in samples], label=name)
    axes.set(xlabel="minutes", ylabel="memory of its own, MiB", title=title, ylim=(0, None), xlim=(0, None))
    axes.grid(visible=True, alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
