"""What a server keeps of its sessions once they have ended: nothing half done, nothing left over."""

import contextlib
import itertools
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import numpy as np

from benchmarks.chaos.damage import Final
from gateway.compaction import Compactor
from parley.audio import Samples
from parley.blobs import Blobs
from parley.embedded.server import RunningServer
from parley.store import connect
from parley.transcript import samples_to_ms

_WAV_HEADER = 44


@dataclass(frozen=True, slots=True)
class Part:
    """Samples [start, end) of a recording, under `key`."""

    start: int
    end: int
    key: str


@dataclass(frozen=True, slots=True)
class Remains:
    """`states` and `samples` by recording; `parts` by recording, in order; `blobs`: the keys in object storage;
    `open_sessions` by process, as it says itself; `temporary`: files in the server's own temporary folder; `errors`:
    what the services logged as one."""

    states: Mapping[str, str]
    samples: Mapping[str, int]
    parts: Mapping[str, Sequence[Part]]
    blobs: frozenset[str]
    open_sessions: Mapping[str, int]
    temporary: frozenset[str]
    errors: tuple[str, ...] = ()


def leftovers(remains: Remains, recordings: Collection[str]) -> list[str]:
    """What should not be there, a sentence each, where only `recordings` were made and all were stopped. Pure.

    A client whose `ready` was lost begins anew; what it had begun is empty, and stays while it could be resumed.
    """
    empty = {each for each, samples in remains.samples.items() if not samples and each not in remains.parts}
    begun = empty - set(recordings)
    kept = {each: state for each, state in remains.states.items() if each not in begun}
    found = [f"recording {each} belongs to no session" for each in kept.keys() - set(recordings)]
    found += [f"recording {each} is {state}" for each, state in kept.items() if state != "finished"]
    for each in kept:
        samples = remains.samples[each]
        parts = remains.parts.get(each, ())
        found += [f"recording {each}: {wrong}" for wrong in _gaps(parts, samples)]
        if len(parts) != 1 or not parts[0].key.endswith(".flac"):
            found.append(f"recording {each} is in {len(parts)} parts, not one FLAC")
    named = {part.key for parts in remains.parts.values() for part in parts}
    found += [f"blob {key} is named by no row" for key in sorted(remains.blobs - named)]
    found += [f"blob {key} is named but not there" for key in sorted(named - remains.blobs)]
    found += [f"{who} has {count} sessions open" for who, count in remains.open_sessions.items() if count]
    found += [f"temporary file {name}" for name in sorted(remains.temporary)]
    return found + [f"error: {error}" for error in remains.errors]


def _gaps(parts: Sequence[Part], samples: int) -> list[str]:
    ends = [0, *(part.end for part in parts)]
    starts = [*(part.start for part in parts), samples]
    return [
        f"samples {end} to {start} are in no part" if end < start else f"samples {start} to {end} are in two parts"
        for end, start in zip(ends, starts, strict=True)
        if end != start
    ]


class Keeper:
    """Asks a running server, its database and its folders for what they keep."""

    def __init__(self, server: RunningServer, sockets: Path, temporary: Path) -> None:
        self._server = server
        self._sockets = sockets
        self._temporary = temporary

    async def compact(self) -> None:
        """Does at once what a gateway does for a recording that has been closed for a while."""
        pool = await connect(self._server.database_url, max_size=2)
        try:
            compactor = Compactor(pool, Blobs((self._server.data / "blobs").as_uri()), settled_s=0.0)
            while await compactor.compact_one():
                pass
        finally:
            await pool.close()

    async def remains(self) -> Remains:
        """Raises OSError, asyncpg.PostgresError or httpx.HTTPError while a part is still coming back."""
        states, samples, parts = await self._rows()
        blobs, temporary = self._blobs(), self._temporary_files()
        return Remains(states, samples, parts, blobs, await self._open_sessions(), temporary, self._errors())

    async def finals(self, recording_id: str) -> list[Final]:
        """As they are stored, in the order of their numbers."""
        query = "SELECT number, start_sample, end_sample, text FROM segments WHERE recording_id = $1 ORDER BY number"
        async with self._database() as database:
            rows = await database.fetch(query, recording_id)
        return [
            Final(row["number"], samples_to_ms(row["start_sample"]), samples_to_ms(row["end_sample"]), row["text"])
            for row in rows
        ]

    async def told(self, recording_id: str) -> tuple[Samples, list[Final]]:
        """The audio (int16, shape (n,)) and the finals with words, by the public API; nothing where there is no such
        recording."""
        async with httpx.AsyncClient(base_url=self._server.base_url, timeout=30) as client:
            audio = await client.get(f"/api/v1/recordings/{recording_id}/audio")
            transcript = await client.get(f"/api/v1/recordings/{recording_id}/transcript")
        if transcript.status_code == httpx.codes.NOT_FOUND:
            return np.empty(0, np.int16), []
        segments: list[dict[str, Any]] = transcript.raise_for_status().json()["segments"]
        finals = [Final(one["segment"], one["start_ms"], one["end_ms"], one["text"]) for one in segments]
        return np.frombuffer(audio.raise_for_status().content[_WAV_HEADER:], "<i2"), finals

    @contextlib.asynccontextmanager
    async def _database(self) -> Any:
        connection = await asyncpg.connect(self._server.database_url, timeout=10)
        try:
            yield connection
        finally:
            await connection.close()

    async def _rows(self) -> tuple[dict[str, str], dict[str, int], dict[str, list[Part]]]:
        async with self._database() as database:
            recordings = await database.fetch("SELECT id, state, samples FROM recordings")
            rows = await database.fetch("SELECT * FROM audio_parts ORDER BY recording_id, start_sample")
        grouped = itertools.groupby(rows, key=lambda row: str(row["recording_id"]))
        parts = {
            recording: [Part(row["start_sample"], row["end_sample"], row["blob_key"]) for row in group]
            for recording, group in grouped
        }
        states = {str(row["id"]): str(row["state"]) for row in recordings}
        return states, {str(row["id"]): int(row["samples"]) for row in recordings}, parts

    def _blobs(self) -> frozenset[str]:
        folder = self._server.data / "blobs"
        return frozenset(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def _temporary_files(self) -> frozenset[str]:
        """Everything there but the sockets."""
        files = (path for path in self._temporary.rglob("*") if path.is_file() and self._sockets not in path.parents)
        return frozenset(str(path.relative_to(self._temporary)) for path in files)

    def _errors(self) -> tuple[str, ...]:
        logs = sorted((self._server.data / "logs").glob("*.log"))
        return tuple(error for log in logs for error in errors_in(log.read_text(errors="replace").splitlines()))

    async def _open_sessions(self) -> dict[str, int]:
        gauges = {"gateway": "parley_gateway_sessions_open", "engine": "parley_engine_sessions_open"}
        async with httpx.AsyncClient(timeout=10) as client:
            return {
                part: gauge_of(gauges[kin], (await client.get(f"{address}/metrics")).raise_for_status().text)
                for part, address in self._server.places.items()
                if (kin := part.partition("-")[0]) in gauges
            }


def errors_in(lines: Iterable[str]) -> list[str]:
    """What a service's log says of defects. That uvicorn could not start while PostgreSQL was away is none."""
    found = []
    for line in lines:
        try:
            said = json.loads(line)
        except ValueError:
            continue
        if (
            isinstance(said, dict)
            and said.get("level") == "error"
            and not str(said.get("logger")).startswith("uvicorn")
        ):
            cause = str(said.get("exception") or said.get("error") or "").strip().splitlines()[-1:]
            found.append(": ".join([str(said.get("service")), str(said.get("event")), *cause]))
    return found


def gauge_of(name: str, metrics: str) -> int:
    """The value of a gauge without labels in Prometheus's text form."""
    found = re.search(rf"^{name} (\S+)$", metrics, re.MULTILINE)
    if found is None:
        raise ValueError(f"There is no gauge {name}.")
    return round(float(found[1]))
