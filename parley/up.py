"""`parley up`: every part of Parley on this machine, as real processes, until Ctrl-C.

Exit status: 0 stopped as asked · 1 a part was given up · 2 this machine or the settings are not fit · 3 the port or
the data folder is in use · 130 stopped by force.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import webbrowser
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from parley.embedded import folder, sockets
from parley.embedded.parts import Services, Site, build_parts, starts_engine
from parley.embedded.server import RunningServer, running_server
from parley.embedded.supervisor import PartFailed, Supervisor
from parley.errors import BackendError, ParleyError
from parley.model_files import configured_model, no_model, repo_of
from parley.model_hub import listing
from parley.settings import Settings, load_settings

__all__ = ["RunningServer", "run", "running_server", "up"]

FAILED, UNFIT, IN_USE, FORCED = 1, 2, 3, 130


def up(
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on; 0.0.0.0 for every one of this machine. (Default: 127.0.0.1.)"),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one. (Default: 8000.)")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder for everything that is kept. (Default: ./data.)")] = None,
    open_browser: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser when it is ready.")
    ] = False,
) -> None:
    """Start Parley on this machine: database, queue, engine and gateway, in one command. Ctrl-C stops it.

    A part whose URL is set is used where it is and not started here: PARLEY_DATABASE_URL, PARLEY_REDIS_URL,
    PARLEY_BLOB_URL, PARLEY_GATEWAY__ENGINE_URLS.
    """
    raise typer.Exit(run(host=host, port=port, data=data, open_browser=open_browser))


def run(
    *,
    host: str | None = None,
    port: int | None = None,
    data: Path | None = None,
    open_browser: bool = False,
    services: Services | None = None,
) -> int:
    """Runs until it is stopped; the exit status. Problems are told on stderr, in one line each."""
    if data is not None:
        os.environ["PARLEY_DATA"] = str(data.expanduser().absolute())
    try:
        settings = _with_listener(load_settings(), host, port)
        check_model(settings)
        status = asyncio.run(serve(settings, services or Services(migrate=_migrate), open_browser=open_browser))
        _tell("Stopped.")
        return status
    except PartFailed as error:
        _tell(_explained(error))
        return FAILED
    except (folder.AlreadyRuns, sockets.PortTaken) as error:
        _tell(error.message)
        return IN_USE
    except ParleyError as error:
        _tell(error.message)
        return UNFIT
    except OSError as error:
        _tell(f"Parley cannot run here: {error}.")
        return UNFIT


def check_model(settings: Settings) -> None:
    """Raises SetupError where the configured model cannot be had, before anything starts.

    The hub is asked only for a model that is not on this machine: its download takes longer anyway.
    """
    model = settings.engine.model
    if not model or settings.engine.recognizer == "pocketsphinx" or not starts_engine(settings):
        return
    if configured_model(model, settings.data) is not None:
        return
    try:
        listing(repo_of(model) or model, settings.engine.hub_timeout_s)
    except BackendError as error:
        raise no_model(model, error.message, model) from None


def _explained(error: PartFailed) -> str:
    """A part that says in its last words why it cannot run needs no more of its log."""
    last = error.log.rstrip().rpartition("\n")[2]
    if last.startswith("parley: "):
        return f"{error.title}: {last.removeprefix('parley: ')}"
    return f"{error.message} The end of its log, {error.path}:\n{error.log or '(empty)'}"


async def _migrate(database_url: str) -> None:
    from parley.store import migrate

    await migrate(database_url)


def _with_listener(settings: Settings, host: str | None, port: int | None) -> Settings:
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    return settings.model_copy(update={"gateway": settings.gateway.model_copy(update=given)})


async def serve(settings: Settings, services: Services, *, open_browser: bool = False) -> int:
    """Starts everything, prints the ready line, serves until a signal comes. Raises ParleyError."""
    loop, wishes = asyncio.get_running_loop(), Wishes()
    data = folder.prepare(settings.data)
    with ExitStack() as stack:
        lock = folder.Lock.take(data)
        stack.callback(lock.release)
        record = folder.RunRecord.begin(data)
        stack.callback(record.end)
        listener = sockets.listen(settings.gateway.host, settings.gateway.port)
        stack.callback(listener.close)
        engine = sockets.listen("127.0.0.1", 0)
        stack.callback(engine.close)
        site = _site(settings, data, record.sockets, listener.getsockname()[1], listener.fileno(), engine)
        lock.say(folder.Holder(os.getpid(), site.gateway_address))
        if not settings.database_url:
            _forget_libpq_settings()
        parts = build_parts(settings, site, services)
        for name in ("up", *(part.name for part in parts)):
            folder.rotate(data / "logs" / f"{name}.log")
        _log_to(data / "logs" / "up.log")

        def ready(facts: dict[str, dict[str, Any]]) -> None:
            recognizer = facts.get("engine", {}).get("recognizer") or {}
            if recognizer.get("fallback"):
                _progress("Engine", f"{recognizer.get('reason', '')} {recognizer.get('remedy', '')}".strip())
            _tell(ready_line(site, recognizer), sys.stdout)
            if open_browser:
                loop.run_in_executor(None, webbrowser.open, site.gateway_address)  # a browser of the terminal blocks

        supervisor = Supervisor(parts, data / "logs", say=_progress, started=record.add)
        return await _until_stopped(supervisor, wishes, ready, listener.close)


def _log_to(path: Path) -> None:
    """What libraries log in this process (migrations, mostly) goes to a file, beside our own progress."""
    logging.basicConfig(filename=path, level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _site(settings: Settings, data: Path, socket_folder: Path, port: int, fd: int, engine: Any) -> Site:
    return Site(
        data=data,
        sockets=socket_folder,
        gateway_fd=fd,
        gateway_address=sockets.address(settings.gateway.host, port),
        gateway_port=port,
        engine_fd=engine.fileno(),
        engine_address=sockets.address("127.0.0.1", engine.getsockname()[1]),
        secret_key=settings.secret_key or folder.secret(data),
    )


def _forget_libpq_settings() -> None:
    """PGPORT, PGUSER and the like are meant for another database than the one that we start."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


@dataclass
class Wishes:
    """What the signals ask for: the first Ctrl-C (SIGINT, SIGTERM, SIGHUP) to stop, the second to stop by force."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    force: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._heard)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it, and means it
            loop.add_signal_handler(signal.SIGHUP, self._heard)

    def _heard(self) -> None:
        (self.force if self.stop.is_set() else self.stop).set()


async def _until_stopped(
    supervisor: Supervisor,
    wishes: Wishes,
    ready: Callable[[dict[str, dict[str, Any]]], None],
    hang_up: Callable[[], None],
) -> int:
    """Runs until a part is given up (raises) or a signal comes, then stops all, in order or by force."""
    running = asyncio.create_task(supervisor.run(ready))

    async def wind_down() -> None:
        running.cancel()
        await asyncio.wait((running,))
        await supervisor.stop()

    asked = asyncio.create_task(wishes.stop.wait())
    try:
        await asyncio.wait((running, asked), return_when=asyncio.FIRST_COMPLETED)
        failure = running.exception() if running.done() else None
        if wishes.stop.is_set():
            _tell("Stopping. Press Ctrl-C again to stop by force.")
        wishes.stop.set()
        hang_up()
        forced = not await _first(wind_down(), wishes.force.wait())
        if forced:
            _tell("Stopping by force.")
    finally:
        asked.cancel()
        await supervisor.kill()
    if failure is not None:
        raise failure
    return FORCED if forced else 0


async def _first(work: Any, interruption: Any) -> bool:
    """Whether `work` came to its end before `interruption` did; what it raised, it raises. The other is cancelled."""
    tasks = asyncio.create_task(work), asyncio.create_task(interruption)
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finished = tasks[0].done()
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    if finished and isinstance(results[0], BaseException):
        raise results[0]
    return finished


def ready_line(site: Site, recognizer: dict[str, Any]) -> str:
    """The one line on stdout: the address, the recogniser (none: engines elsewhere), the data folder, how to stop."""
    name = " ".join(str(recognizer[key]) for key in ("name", "model") if recognizer.get(key)) or "on other machines"
    words = (
        f"Parley is ready at {site.gateway_address}",
        f"recogniser: {name}{' (the fallback)' if recognizer.get('fallback') else ''}",
        f"data in {site.data}",
        "Ctrl-C stops it",
    )
    return " · ".join(words)


def _progress(title: str, text: str) -> None:
    logging.getLogger(__name__).info("%s: %s", title, text)
    _tell(f"{title:<12}{text}")


def _tell(text: str, stream: TextIO | None = None) -> None:
    """A line on stderr, or on `stream`. A terminal or a pipe that is gone must not keep us from running or stopping."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=stream or sys.stderr, flush=True)
