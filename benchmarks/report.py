"""How a benchmark says what it measured: a table for people, one JSON object for programs, a dated file to keep."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
_MOST_COLUMNS = 6


def percentiles(values: Sequence[float], *which: int) -> dict[str, float | None]:
    """`p50`, `p95` … of `values`, to the millisecond; None where there are no values."""
    if not len(values):
        return {f"p{percent}": None for percent in which}
    found = np.percentile(values, which)
    return {f"p{percent}": round(float(value), 3) for percent, value in zip(which, found, strict=True)}


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def table(result: Mapping[str, Any]) -> None:
    """Scalars as rows; a list of objects as a table of its own below, on its side where the objects are large."""
    console, rows = Console(stderr=True), Table("measure", "value")
    for key, value in result.items():
        if not _is_records(value):
            rows.add_row(key, str(value))
    console.print(rows)
    for key, value in result.items():
        if _is_records(value):
            console.print(_upright(key, value) if len(value[0]) <= _MOST_COLUMNS else _on_its_side(key, value))


def _upright(title: str, records: Sequence[Mapping[str, Any]]) -> Table:
    found = Table(*records[0], title=title)
    for record in records:
        found.add_row(*(str(cell) for cell in record.values()))
    return found


def _on_its_side(title: str, records: Sequence[Mapping[str, Any]]) -> Table:
    name, *keys = records[0]
    found = Table(name, *(str(record[name]) for record in records), title=title)
    for key in keys:
        found.add_row(key, *(str(record[key]) for record in records))
    return found


def finish(name: str, result: dict[str, Any], args: argparse.Namespace) -> None:
    """The table; then the file with `--save`, and the object as the last line with `--json`."""
    table(result)
    if args.save:
        save(name, result)
    if args.json:
        print(json.dumps(result))


def save(name: str, result: Mapping[str, Any]) -> None:
    """Writes benchmarks/results/DATE-NAME.json."""
    record = {"date": _today(), **hardware(), **result}
    path = path_of(name, ".json")
    path.write_text(json.dumps(record, indent=2) + "\n")
    progress(f"saved in {path.relative_to(RESULTS.parents[1])}")


def path_of(name: str, suffix: str) -> Path:
    """Where a result of today is kept."""
    RESULTS.mkdir(exist_ok=True)
    return RESULTS / f"{_today()}-{name}{suffix}"


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def add_output_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one object as the last line")
    parser.add_argument("--save", action="store_true", help="write the result to benchmarks/results/")


def hardware() -> dict[str, Any]:
    return {"cpu": _cpu(), "cores": os.cpu_count(), "memory_gib": round(psutil.virtual_memory().total / 2**30)}


def _cpu() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = (line.split(":")[1].strip() for line in lines if "model name" in line)
    return next(names, platform.processor())


def _is_records(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)
