"""Many jobs at once, asked for over HTTP: how long each call takes, and how long until its owner hears that a job runs,
and is done."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from benchmarks import report
from benchmarks.jobs.stage import damage, jobs_server, open_pool, until_all_ended
from benchmarks.jobs.steps import PIPELINE
from benchmarks.speech import MINI_WHISPER
from parley.embedded.server import RunningServer

_ASK = {"pipeline": [step.name for step in PIPELINE]}
_FILE = sorted((MINI_WHISPER / "examples").glob("*.wav"))[0]
_WARM_UP = 8
_WATCH_EVERY_S = 0.1
_PATIENCE_S = 60.0
_LAST_EVENTS_S = 1.5


class Client:
    """One user's calls, and what each took in seconds, by name."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.took: dict[str, list[float]] = {}

    async def call(self, name: str, method: str, path: str, **said: Any) -> Any:
        began = time.monotonic()
        async with self._session.request(method, path, **said) as answer:
            body = await answer.json()
            answer.raise_for_status()
        self.took.setdefault(name, []).append(time.monotonic() - began)
        return body

    async def upload(self, path: Path) -> str:
        """The id of the recording that a file becomes."""
        with path.open("rb") as file:
            taken = await self.call("upload", "POST", "/api/v1/recordings", data={"file": file})
        return str(taken["recording"]["id"])

    async def make(self, recording_id: str) -> str:
        return str((await self.call("make", "POST", f"/api/v1/recordings/{recording_id}/jobs", json=_ASK))["id"])

    async def get(self, job_id: str) -> None:
        await self.call("get", "GET", f"/api/v1/jobs/{job_id}")

    async def watch(self) -> None:
        """Looks at the list again and again."""
        while True:
            await self.call("list", "GET", "/api/v1/jobs")
            await asyncio.sleep(_WATCH_EVERY_S)


class Listener:
    """Notes when the first event of each job came in each state, as a page hears it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.heard: dict[str, dict[str, float]] = {}
        self.listening = asyncio.Event()

    async def listen(self) -> None:
        async with self._session.get("/api/v1/events", timeout=aiohttp.ClientTimeout()) as answer:
            self.listening.set()
            async for line in answer.content:
                if line.startswith(b"data: ") and "job_id" in (told := json.loads(line[6:])):
                    self.heard.setdefault(told["job_id"], {}).setdefault(told["state"], time.monotonic())


async def rush(server: RunningServer, jobs: int, connections: int) -> dict[str, Any]:
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        open_pool(server) as pool,
        aiohttp.ClientSession(server.base_url, connector=connector) as session,
    ):
        recording_id = await _warm_up(Client(session), pool)
        client, listener = Client(session), Listener(session)
        listening = asyncio.create_task(listener.listen())
        await listener.listening.wait()
        watching = asyncio.create_task(client.watch())
        made_at: dict[str, float] = {}
        free = asyncio.Semaphore(connections)

        async def one() -> None:
            async with free:
                job_id = await client.make(recording_id)
                made_at[job_id] = time.monotonic()
                await client.get(job_id)

        began = time.monotonic()
        await asyncio.gather(*(one() for _ in range(jobs)))
        await until_all_ended(pool, _PATIENCE_S)
        done_s = time.monotonic() - began
        watching.cancel()
        await asyncio.sleep(_LAST_EVENTS_S)
        listening.cancel()
        await asyncio.gather(listening, watching, return_exceptions=True)
        first = [min(heard.values()) - made_at[job_id] for job_id, heard in listener.heard.items() if job_id in made_at]
        return {
            "jobs": jobs,
            "connections": connections,
            **_in_ms(client.took),
            **{f"first_event_{name}_s": value for name, value in report.percentiles(first, 50, 95, 100).items()},
            **{
                f"end_to_event_{name}_s": value
                for name, value in report.percentiles(await _lags(pool, listener, made_at), 50, 95, 100).items()
            },
            "all_done_s": round(done_s, 2),
            "steps_per_s": round(len(PIPELINE) * jobs / done_s, 1),
            "never_heard": jobs - len(first),
            **await damage(pool),
        }


async def _warm_up(client: Client, pool: asyncpg.Pool) -> str:
    """A recording, made of a file; and jobs for it, so that workers have imported what they need."""
    recording_id = await client.upload(_FILE)
    await until_all_ended(pool, _PATIENCE_S)
    for _ in range(_WARM_UP):
        await client.make(recording_id)
    await until_all_ended(pool, _PATIENCE_S)
    return recording_id


async def _lags(pool: asyncpg.Pool, listener: Listener, made_at: dict[str, float]) -> list[float]:
    """From the end of each job, by PostgreSQL's clock, to the event that says so."""
    rows = await pool.fetch("SELECT id::text, extract(epoch FROM now() - finished_at)::float8 AS ago FROM jobs")
    now = time.monotonic()
    return [
        listener.heard[row["id"]]["succeeded"] - (now - row["ago"])
        for row in rows
        if row["id"] in made_at and "succeeded" in listener.heard.get(row["id"], {})
    ]


def _in_ms(took: dict[str, list[float]]) -> dict[str, float]:
    return {
        f"{call}_{name}_ms": round(1000 * value, 1)
        for call, values in took.items()
        for name, value in report.percentiles(values, 50, 95, 100).items()
        if value is not None
    }


def measure(jobs: int, workers: int, connections: int) -> dict[str, Any]:
    """`connections`: of so many clients, each with one call under way."""
    with jobs_server(workers) as server:
        return {"workers": workers, **asyncio.run(rush(server, jobs, connections))}
