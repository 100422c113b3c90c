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
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from parley.embedded import folder, nginx, sockets
from parley.embedded.parts import Services, Site, build_parts, starts_engine, starts_rag
from parley.embedded.server import RunningServer, running_server
from parley.embedded.supervisor import PartFailed, Supervisor
from parley.errors import BackendError, ParleyError, SetupError
from parley.model_files import configured_model, no_model, repo_of
from parley.model_hub import listing
from parley.settings import Settings, load_settings

__all__ = ["RunningServer", "run", "running_server", "up"]

FAILED, UNFIT, IN_USE, FORCED = 1, 2, 3, 130
HIGHEST_PORT = 65_535


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
    gateways: Annotated[
        int | None,
        typer.Option(min=1, max=64, help="Gateways; without nginx on one port after the other. (Default: 1.)"),
    ] = None,
    engines: Annotated[
        int | None, typer.Option(min=1, max=64, help="Engines; they share the cores. (Default: 1.)")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, max=64, help="Workers of the batch path; 0: they run elsewhere. (Default: 1.)")
    ] = None,
    with_nginx: Annotated[
        bool | None,
        typer.Option(
            "--nginx/--no-nginx",
            help="One address for all gateways, by nginx. (Default: with several, where nginx is installed.)",
        ),
    ] = None,
) -> None:
    """Start Parley on this machine: database, queue, engines, workers and gateways, in one command. Ctrl-C stops it.

    A part whose URL is set is used where it is and not started here: PARLEY_DATABASE_URL, PARLEY_REDIS_URL,
    PARLEY_BLOB_URL, PARLEY_GATEWAY__ENGINE_URLS.
    """
    listener = {"host": host, "port": port}
    parts = {"gateways": gateways, "engines": engines, "workers": workers, "nginx": with_nginx}
    raise typer.Exit(run(data=data, open_browser=open_browser, gateway=listener, up=parts))


def run(
    *,
    data: Path | None = None,
    open_browser: bool = False,
    services: Services | None = None,
    **given: Mapping[str, Any],
) -> int:
    """Runs until it is stopped; the exit status. Problems are told on stderr, in one line each.

    `given` are settings by their group (`gateway={"port": 8080}`) that come before those of the environment; None: not
    given.
    """
    if data is not None:
        os.environ["PARLEY_DATA"] = str(data.expanduser().absolute())
    try:
        settings = _with(load_settings(), given)
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


def _with(settings: Settings, given: Mapping[str, Mapping[str, Any]]) -> Settings:
    groups = {}
    for group, values in given.items():
        said = {name: value for name, value in values.items() if value is not None}
        groups[group] = getattr(settings, group).model_copy(update=said)
    return settings.model_copy(update=groups)


async def serve(settings: Settings, services: Services, *, open_browser: bool = False) -> int:
    """Starts everything, prints the ready line, serves until a signal comes. Raises ParleyError."""
    loop, wishes = asyncio.get_running_loop(), Wishes()
    data = folder.prepare(settings.data)
    with ExitStack() as stack:
        lock = folder.Lock.take(data)
        stack.callback(lock.release)
        record = folder.RunRecord.begin(data)
        stack.callback(record.end)
        doors = stack.enter_context(ExitStack())
        site = _site(settings, data, record.sockets, doors, stack)
        record.places = site.places
        lock.say(folder.Holder(os.getpid(), site.addresses[0]))
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
                loop.run_in_executor(None, webbrowser.open, site.addresses[0])  # a browser of the terminal blocks

        supervisor = Supervisor(parts, data / "logs", say=_progress, started=record.add)
        return await _until_stopped(supervisor, wishes, ready, doors.close)


def _log_to(path: Path) -> None:
    """What libraries log in this process (migrations, mostly) goes to a file, beside our own progress."""
    logging.basicConfig(filename=path, level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)


def _site(settings: Settings, data: Path, socket_folder: Path, doors: ExitStack, stack: ExitStack) -> Site:
    """Takes every port. `doors` are those that clients come through, closed when the stop begins.

    Raises PortTaken, or SetupError.
    """
    gateway, count = settings.gateway, settings.up.gateways
    proxied = nginx.stands_before(settings.up.nginx, count)
    proxy = sockets.handed_down(doors, gateway.host, gateway.port) if proxied else None
    if proxied:
        gateways = _places(stack, "127.0.0.1", [0] * count, alone=False)
    else:
        ports = [gateway.port + index if gateway.port else 0 for index in range(count)]
        gateways = _places(doors, gateway.host, ports, alone=count == 1)
    engines = [0] * settings.up.engines if starts_engine(settings) else []
    return Site(
        data=data,
        sockets=socket_folder,
        gateways=gateways,
        engines=_places(stack, "127.0.0.1", engines, alone=len(engines) == 1),
        workers=_places(stack, "127.0.0.1", [0] * settings.up.workers, alone=settings.up.workers == 1),
        rag=sockets.handed_down(stack, "127.0.0.1", 0) if starts_rag(settings) else None,
        proxy=proxy,
        secret_key=settings.secret_key or folder.secret(data),
        rag_token=settings.rag.token or folder.secret(data, "rag-token"),
    )


def _places(stack: ExitStack, host: str, ports: Sequence[int], *, alone: bool) -> tuple[sockets.Place, ...]:
    """Connections wait for a service that is alone, while it restarts; of several, they go to another."""
    if ports and max(ports) > HIGHEST_PORT:
        raise SetupError(f"There are no {len(ports)} ports from {ports[0]} up; choose a lower one with --port.")
    take = sockets.handed_down if alone else sockets.reserved
    return tuple(take(stack, host, port) for port in ports)


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
    """The one line on stdout: the addresses, the recogniser (none: engines elsewhere), the data folder, how to stop."""
    name = " ".join(str(recognizer[key]) for key in ("name", "model") if recognizer.get(key)) or "on other machines"
    words = (
        f"Parley is ready at {' and '.join(site.addresses)}",
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
