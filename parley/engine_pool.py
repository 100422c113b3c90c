"""The engines that a process knows, how each of them is, and which of them takes the next session.

    settings: URLs ─▶ names ─▶ addresses ─▶ /readyz of each, every second ─▶ ready or why not, load
                                                      open() ─▶ the less loaded that will take the session

A name with several addresses means several engines. What is known may be a second old and other gateways choose at
the same time, so the choice is spread (`trial_order`), and an engine that refuses or fails is passed over for a moment.
"""

import asyncio
import contextlib
import math
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from random import Random
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection

from parley import engine_wire, metrics
from parley.engine_connection import EngineAddress, EngineReport, ask_engine, open_stream
from parley.errors import AtCapacity, EngineError
from parley.logs import get_logger
from parley.transcript import Recognizer

_POLL_S = 1.0
_RESOLVE_S = 10.0
_AT_LEAST_S = 0.1
"""Between two polls of an engine, and two look-ups of a name, however many sessions ask for one."""
_FIRST_LOOK_S = 5.0
"""For which a session waits where nothing is known yet: the process has just begun."""
_BEHIND_S = 2.0
"""For which an engine that failed comes after all others."""
_FULL_S = 1.0
"""For which the word of an engine that it is full holds, so that a crowd of clients does not reach it."""
_UNSEEN_S = 1.5
"""Until a new session shows in the load of its engine: by the next report."""
_SESSION_LOAD = 0.02
"""What such a session is taken for. Rather too much: that only spreads a crowd more evenly."""
_CHOICES = 3
_BEHIND = 1000.0
"""Above every load."""

Resolve = Callable[[str], Awaitable[Sequence[str]]]
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class EngineState:
    """One engine as it is shown. `report` is None while it is not ready, and `reason` says why."""

    address: str
    report: EngineReport | None
    reason: str = ""


@dataclass(slots=True, eq=False)
class Engine:
    """What the pool knows of one engine. Times are the event loop's."""

    address: EngineAddress
    report: EngineReport | None = None
    trouble: EngineError | None = None
    opened_at: deque[float] = field(default_factory=deque)
    behind_until: float = 0.0
    full: AtCapacity | None = None
    full_until: float = 0.0
    doubted: asyncio.Event = field(default_factory=asyncio.Event)
    watch: asyncio.Task[None] | None = None

    def expected_load(self, now: float) -> float:
        """The load of its last report, and what the sessions opened since will add; above all others while behind."""
        assert self.report is not None
        while self.opened_at and self.opened_at[0] < now - _UNSEEN_S:
            self.opened_at.popleft()
        behind = _BEHIND if now < self.behind_until else 0.0
        return self.report.load + _SESSION_LOAD * len(self.opened_at) + behind


@dataclass(slots=True, eq=False)
class _Name:
    """A URL of the settings and the engines that are behind its name now."""

    url: str
    engines: dict[EngineAddress, Engine] = field(default_factory=dict)
    trouble: EngineError | None = None
    doubted: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class OpenedStream:
    """A session at `engine`, which recognises with `recognizer`."""

    connection: ClientConnection
    recognizer: Recognizer
    engine: Engine


async def addresses_of(host: str) -> list[str]:
    """The addresses of a name, the IPv4 ones where there are any: an engine with both families is still one engine.

    Raises OSError where the name is not known.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    old = [str(place[0]) for family, *_, place in found if family == socket.AF_INET]
    return list(dict.fromkeys(old or [str(place[0]) for *_, place in found]))


async def look_up(url: str, resolve: Resolve) -> list[EngineAddress]:
    """The engines behind the name in `url`. Raises EngineError where it is not known."""
    try:
        addresses = await resolve(urlsplit(url).hostname or "")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise EngineError(f"The name in {url} is not known: {reason}.", code="engine_unavailable") from error
    if not addresses:
        raise EngineError(f"The name in {url} has no address.", code="engine_unavailable")
    return [EngineAddress(url, ip) for ip in addresses]


def http_client() -> httpx.AsyncClient:
    """The client that engines are asked with, however many they are."""
    return httpx.AsyncClient(timeout=None, trust_env=False, limits=httpx.Limits(max_connections=None))


def trial_order(loads: Sequence[float], random: Random) -> list[int]:
    """The order in which to try engines with these loads: first the least loaded of three at random (of those that are
    not full, where there are any), then the others, least loaded first; equals in random order.

    The least of all would be the same one for every gateway until the figures are renewed.
    Source: Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, IEEE TPDS 12(10), 2001; three, so that
    up to three engines are compared outright.
    """
    shuffled = random.sample(range(len(loads)), len(loads))
    with_room = [index for index in shuffled if loads[index] < 1] or shuffled
    first = min(with_room[:_CHOICES], key=loads.__getitem__, default=None)
    return sorted(shuffled, key=lambda index: (index != first, loads[index]))


def refusal(said: Mapping[EngineAddress | str, EngineError | AtCapacity]) -> EngineError | AtCapacity:
    """What to tell a session that no engine took, from what each said: try again soon where one is only full.

    It cannot ever succeed only where every engine says so.
    """
    errors = list(said.values())
    if full := [error for error in errors if isinstance(error, AtCapacity)]:
        return min(full, key=lambda error: error.retry_after_s)
    passing = [error for error in errors if error.retryable]
    if not errors:
        return EngineError("There is no engine in the settings.", code="engine_unavailable")
    if len(errors) == 1 or not passing:
        return errors[0]
    words = " ".join(dict.fromkeys(error.message for error in errors))
    return EngineError(words, code=passing[0].code)


class EnginePool:
    """The engines behind `urls`. `run` keeps it informed; all else is used while that runs."""

    def __init__(self, urls: Sequence[str], *, resolve: Resolve = addresses_of, random: Random | None = None) -> None:
        self._names = [_Name(url.rstrip("/")) for url in dict.fromkeys(urls)]
        self._resolve = resolve
        self._random = random or Random()
        self._learnt = asyncio.Event()

    # --- what is known

    def states(self) -> list[EngineState]:
        """Every engine, in the order of the settings; a name that leads nowhere stands for itself."""
        return [
            EngineState(str(address), report, "" if report else trouble.message)
            for address, report, trouble in self._known()
        ]

    async def first_look(self) -> None:
        """Waits, a few seconds at most, until an engine is ready or all have been asked."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_LOOK_S):
                while not self._looked():
                    self._learnt.clear()
                    await self._learnt.wait()

    def _looked(self) -> bool:
        engines = list(self._engines())
        if any(engine.report for engine in engines):
            return True
        return all(name.engines or name.trouble for name in self._names) and all(engine.trouble for engine in engines)

    def _engines(self) -> Iterator[Engine]:
        return (engine for name in self._names for engine in name.engines.values())

    def _known(self) -> Iterator[tuple[EngineAddress | str, EngineReport | None, EngineError]]:
        for name in self._names:
            for engine in name.engines.values():
                yield engine.address, engine.report, engine.trouble or _not_yet(engine.address)
            if not name.engines:
                yield name.url, None, name.trouble or _not_yet(name.url)

    # --- sessions

    async def open(self, opening: engine_wire.Open) -> OpenedStream:
        """A session at the least loaded engine that takes it.

        Raises AtCapacity with the smallest retry time where all are full, and EngineError with each engine's words
        where none is ready.
        """
        await self.first_look()
        said = {address: trouble for address, report, trouble in self._known() if report is None}
        refused: dict[EngineAddress | str, EngineError | AtCapacity] = {}
        for engine in self._in_order():
            try:
                return await self._open_at(engine, opening)
            except (EngineError, AtCapacity) as error:
                refused[engine.address] = error
        raise refusal(refused | said)

    def doubt(self, engine: Engine) -> None:
        """A session has lost this engine: others come first for a moment, and it is asked at once how it is."""
        engine.behind_until = asyncio.get_running_loop().time() + _BEHIND_S
        engine.doubted.set()
        for name in self._names:
            if engine.address.url == name.url:
                name.doubted.set()

    def _in_order(self) -> list[Engine]:
        now = asyncio.get_running_loop().time()
        ready = [engine for engine in self._engines() if engine.report]
        loads = [engine.expected_load(now) for engine in ready]
        return [ready[index] for index in trial_order(loads, self._random)]

    async def _open_at(self, engine: Engine, opening: engine_wire.Open) -> OpenedStream:
        now = asyncio.get_running_loop().time()
        if engine.full is not None and now < engine.full_until:
            raise AtCapacity(engine.full.message, retry_after_s=engine.full.retry_after_s)
        engine.opened_at.append(now)  # before it is: those that are opened at the same moment must see each other
        try:
            connection, recognizer = await open_stream(engine.address, opening)
        except (EngineError, AtCapacity) as error:
            with contextlib.suppress(ValueError):
                engine.opened_at.remove(now)
            if isinstance(error, AtCapacity):
                engine.full, engine.full_until = error, now + min(_FULL_S, error.retry_after_s)
            elif error.retryable:
                self.doubt(engine)
            raise
        return OpenedStream(connection, recognizer, engine)

    # --- the task

    async def run(self) -> None:
        """Follows every name and every engine, each in its own task, so that none that hangs delays another."""
        async with http_client() as client, asyncio.TaskGroup() as tasks:
            for name in self._names:
                tasks.create_task(self._follow(name, client, tasks))

    async def _follow(self, name: _Name, client: httpx.AsyncClient, tasks: asyncio.TaskGroup) -> None:
        """Looks the name up again and again. Where that fails, the addresses that were known stay."""
        while True:
            try:
                found = await look_up(name.url, self._resolve)
            except EngineError as error:
                name.trouble = error
                self._learnt.set()
            else:
                self._take(name, found, client, tasks)
            await _rest(name.doubted, _RESOLVE_S)

    def _take(
        self, name: _Name, found: Sequence[EngineAddress], client: httpx.AsyncClient, tasks: asyncio.TaskGroup
    ) -> None:
        for address in name.engines.keys() - set(found):
            gone = name.engines.pop(address)
            assert gone.watch is not None
            gone.watch.cancel()
            _forget(address)
        for address in found:
            if address not in name.engines:
                engine = name.engines[address] = Engine(address)
                engine.watch = tasks.create_task(self._watch(engine, client))

    async def _watch(self, engine: Engine, client: httpx.AsyncClient) -> None:
        """Asks one engine how it is, again and again."""
        while True:
            try:
                report, trouble = await ask_engine(client, engine.address), None
            except EngineError as error:
                report, trouble = None, error
            except Exception as error:  # noqa: BLE001 — the task's outer edge: the pool must not die of one answer
                _log.exception("engine not understood", engine=str(engine.address))
                report, trouble = None, EngineError(f"The engine at {engine.address} is not understood: {error}")
            self._heard(engine, report, trouble)
            await _rest(engine.doubted, _POLL_S)

    def _heard(self, engine: Engine, report: EngineReport | None, trouble: EngineError | None) -> None:
        address = str(engine.address)
        if trouble is not None and engine.trouble is None:
            _log.warning("engine not ready", engine=address, error=trouble.message)
        elif report is not None and engine.report is None:
            _log.info("engine ready", engine=address, recognizer=report.recognizer.name, load=report.load)
        engine.report, engine.trouble = report, trouble
        metrics.ENGINE_READY.labels(engine=address).set(report is not None)
        metrics.ENGINE_LOAD.labels(engine=address).set(report.load if report else math.nan)
        self._learnt.set()


async def survey(urls: Sequence[str], *, resolve: Resolve = addresses_of) -> list[EngineState]:
    """How each engine is, asked once."""
    async with http_client() as client:
        found = await asyncio.gather(*(_survey_name(url.rstrip("/"), resolve, client) for url in urls))
    return list(chain.from_iterable(found))


async def _survey_name(url: str, resolve: Resolve, client: httpx.AsyncClient) -> list[EngineState]:
    try:
        engines = await look_up(url, resolve)
    except EngineError as error:
        return [EngineState(url, None, error.message)]
    return await asyncio.gather(*(_survey_engine(engine, client) for engine in engines))


async def _survey_engine(engine: EngineAddress, client: httpx.AsyncClient) -> EngineState:
    try:
        return EngineState(str(engine), await ask_engine(client, engine))
    except EngineError as error:
        return EngineState(str(engine), None, error.message)


def _forget(engine: EngineAddress) -> None:
    for gauge in (metrics.ENGINE_READY, metrics.ENGINE_LOAD):
        with contextlib.suppress(KeyError):
            gauge.remove(str(engine))


def _not_yet(engine: EngineAddress | str) -> EngineError:
    return EngineError(f"The engine at {engine} was not asked yet.", code="engine_unavailable")


async def _rest(doubted: asyncio.Event, seconds: float) -> None:
    """Waits so long, or until there is doubt."""
    await asyncio.sleep(_AT_LEAST_S)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await doubted.wait()
    doubted.clear()
