"""Keeps the parts running: starts them as soon as what they need is ready, restarts what dies, stops all in order."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from parley.embedded import process as child
from parley.embedded.health import Healthy, NotYet
from parley.embedded.parts import Part
from parley.embedded.policy import Exit, GiveUp, RestartPolicy, State, decide, step
from parley.errors import ParleyError, SetupError

FIRST_ASK_S, LONGEST_ASK_S = 0.03, 0.5
FORCED_STOP_S = 1.0

Say = Callable[[str, str], None]
Started = Callable[[str, int], None]


class PartFailed(ParleyError):
    """A part was given up. `log` is the end of what it wrote, `title` its name for people."""

    code = "part_failed"

    def __init__(self, title: str, reason: str, log: str, path: Path) -> None:
        super().__init__(f"{title} {reason}.")
        self.title = title
        self.log = log
        self.path = path


class Unprepared(Exception):
    """A start that did not come to a healthy process; the message says why."""


@dataclass
class Child:
    """A part and what has become of it so far."""

    part: Part
    state: State = State.WAITING
    process: asyncio.subprocess.Process | None = None
    exits: list[Exit] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def enter(self, state: State) -> None:
        self.state = step(self.state, state)
        if state is State.READY:
            self.ready.set()
        else:
            self.ready.clear()

    async def ended(self) -> int:
        """Waits for the process; its status. What it left of its session is killed."""
        assert self.process is not None
        status = await self.process.wait()
        child.sweep(self.process.pid)
        return status


class Supervisor:
    """Runs `parts`, whose logs go to `logs`. `say(title, text)` tells a person what happens.

    `started(name, pid)` is called for each process that was started.
    """

    def __init__(
        self,
        parts: tuple[Part, ...],
        logs: Path,
        *,
        say: Say,
        started: Started = lambda _name, _pid: None,
        policy: RestartPolicy | None = None,
    ) -> None:
        self._logs = logs
        self._say = say
        self._started = started
        self._policy = policy or RestartPolicy()
        self.children = {part.name: Child(part) for part in parts}
        self._tasks: list[asyncio.Task[None]] = []
        self._announced = False

    async def run(self, all_ready: Callable[[dict[str, dict[str, Any]]], None]) -> None:
        """Runs until cancelled, or until a part is given up: then raises PartFailed or SetupError.

        `all_ready` is called once, with what each part said about itself; optional ones may not have by then. Stop with
        `stop()` afterwards, always.
        """
        self._tasks = [asyncio.create_task(self._tend(each)) for each in self.children.values()]
        watch = asyncio.create_task(self._announce(all_ready))
        try:
            await asyncio.gather(watch, *self._tasks)
        finally:
            for task in (watch, *self._tasks):
                task.cancel()
            await asyncio.gather(watch, *self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Stops the parts, the last first, those of one kind together, each within its time. Returns when nothing of
        them is left."""
        for _, kin in groupby(reversed(self.children.values()), key=lambda each: each.part.kin):
            await asyncio.gather(*(self._stop(each) for each in kin))

    async def _stop(self, each: Child) -> None:
        part = each.part
        each.enter(State.STOPPED)
        if each.process is None:
            return
        if each.process.returncode is None:
            self._say(part.title, "stopping")
        if not await child.stop(each.process, part.stop_signal, part.stop_timeout_s):
            self._say(part.title, f"did not stop within {part.stop_timeout_s:g} s and was killed")

    async def kill(self) -> None:
        """Ends everything now: each part's death signal, SIGKILL a second later."""
        running = [each for each in self.children.values() if each.process and each.process.returncode is None]
        await asyncio.gather(
            *(child.stop(each.process, each.part.death_signal, FORCED_STOP_S) for each in running if each.process)
        )

    async def _announce(self, all_ready: Callable[[dict[str, dict[str, Any]]], None]) -> None:
        for each in self.children.values():
            if not each.part.optional:
                await each.ready.wait()
        self._announced = True
        all_ready({name: each.facts for name, each in self.children.items()})

    async def _tend(self, each: Child) -> None:
        while True:
            ready_at, note = None, ""
            try:
                await self._start(each)
                ready_at = time.monotonic()
            except Unprepared as error:
                note = str(error)
            status, now = await self._end_of(each), time.monotonic()
            served_s = 0.0 if ready_at is None else now - ready_at
            exit_ = Exit(now, status, ready_at is not None, note, served_s)
            each.exits = [*each.exits[-self._policy.exits :], exit_]
            await self._pause(each)

    async def _end_of(self, each: Child) -> int:
        return await each.ended() if each.process is not None else 1

    async def _pause(self, each: Child) -> None:
        last = each.exits[-1]
        others_serve = each.part.optional or self._others_serve(each)
        decision = decide(self._policy, each.exits, others_serve=others_serve)
        if isinstance(decision, GiveUp):
            each.enter(State.FAILED)
            log = self._log(each.part)
            raise PartFailed(each.part.title, decision.reason, child.last_lines(log), log)
        each.enter(State.PAUSING)
        self._say(each.part.title, f"{last}; starting again in {decision.after_s:g} s{self._last_words(each)}")
        await asyncio.sleep(decision.after_s)

    def _last_words(self, each: Child) -> str:
        """What an optional part that cannot run here said about that: nobody else tells a person."""
        said = child.last_lines(self._log(each.part), 1).strip() if each.part.optional else ""
        return f" · {said.removeprefix('parley: ')}" if said.startswith("parley: ") else ""

    def _others_serve(self, each: Child) -> bool:
        """Whether others of its kind are ready, or it is not vital. Not before all were: what cannot even begin is
        told."""
        kin = (other for other in self.children.values() if other.part.kin == each.part.kin and other is not each)
        return self._announced and (not each.part.vital or any(other.state is State.READY for other in kin))

    async def _start(self, each: Child) -> None:
        """One start, up to READY. Raises Unprepared where it does not come to that; SetupError where it never will."""
        part = each.part
        each.process = None
        for need in part.needs:
            await self.children[need].ready.wait()
        began = time.monotonic()
        each.enter(State.STARTING)
        self._say(part.title, "starting")
        await _attempt(part.before, "could not be prepared")
        each.process = await self._spawn(part)
        self._started(part.name, each.process.pid)
        await self._until_healthy(each)
        try:
            await _attempt(part.once_ready, "came up, but could not be set up")
        except Unprepared:
            await child.stop(each.process, part.stop_signal, part.stop_timeout_s)
            raise
        each.enter(State.READY)
        self._say(part.title, f"ready after {time.monotonic() - began:.1f} s")

    async def _spawn(self, part: Part) -> asyncio.subprocess.Process:
        try:
            with self._log(part).open("ab") as log:
                return await child.spawn(
                    part.command,
                    output=log,
                    death_signal=part.death_signal,
                    env=part.env,
                    pass_fds=part.pass_fds,
                    cwd=part.cwd,
                    account=part.account,
                )
        except OSError as error:
            raise Unprepared(f"could not be started: {error}") from error

    async def _until_healthy(self, each: Child) -> None:
        """Asks until the part is healthy. Raises Unprepared where it ends first or takes too long."""
        assert each.process is not None
        ended = asyncio.create_task(each.process.wait())
        asking = asyncio.create_task(self._ask(each))
        try:
            async with asyncio.timeout(each.part.start_timeout_s):
                await asyncio.wait((ended, asking), return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            child.sweep(each.process.pid)
            raise Unprepared(f"gave no sign of life within {each.part.start_timeout_s:g} s") from None
        finally:
            ended.cancel()
            asking.cancel()
        if not asking.done() or asking.cancelled():
            raise Unprepared("")
        each.facts = asking.result()

    async def _ask(self, each: Child) -> dict[str, Any]:
        said, pause = "", FIRST_ASK_S
        while True:
            match await each.part.check():
                case Healthy(facts):
                    return facts
                case NotYet(reason) if reason and reason != said:
                    said = reason
                    self._say(each.part.title, reason)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, LONGEST_ASK_S)

    def _log(self, part: Part) -> Path:
        return self._logs / f"{part.name}.log"


async def _attempt(hook: Callable[[], Any], failure: str) -> None:
    """Runs a hook. SetupError passes; anything else is a failed start, which may go better the next time."""
    try:
        await hook()
    except SetupError:
        raise
    except Exception as error:  # the outer edge of a start: drivers raise what they like
        raise Unprepared(f"{failure}: {type(error).__name__}: {error}") from error
