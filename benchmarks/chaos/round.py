"""One round: a fresh server, its sessions, the faults of its seed; then everything that was kept is looked at."""

import asyncio
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import asyncpg
import httpx
import numpy as np

from benchmarks.chaos.damage import Damage, Final, of_audio, of_finals, of_told
from benchmarks.chaos.recovery import Recovery, recoveries
from benchmarks.chaos.remains import Keeper, leftovers
from benchmarks.chaos.schedule import OUTAGE_ROUND_S, Fault, has_outage, schedule
from benchmarks.chaos.speaker import Heard, Speaker
from benchmarks.chaos.striker import Parts, Striker, Struck, lines
from benchmarks.chaos.tap import repeated
from benchmarks.chaos.voices import Voice
from benchmarks.speech import MINI_WHISPER
from parley.embedded.server import RunningServer, running_server
from parley.errors import ParleyError

_UNDISTURBED_PACE = 2.0
"""Finals do not depend on how fast the audio comes."""
_STAGGER_S = 1.0
_END_TIMEOUT_S = 90.0
"""Seconds that all sessions have to end, once their audio was spoken."""
_SETTLE_TIMEOUT_S = 75.0
"""Seconds for what a round leaves to be put in order: parts start again, stores are asked after growing pauses."""
_RETRY_S = 0.25
_COMING_BACK = (OSError, ParleyError, httpx.HTTPError, asyncpg.PostgresError, asyncpg.InterfaceError)
_T = TypeVar("_T")
Reference = Mapping[str, Sequence[Final]]
"""The finals of each voice, by its name, when nothing disturbs it."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How large a round is. `pace`: how much faster than life it is spoken."""

    sessions: int = 20
    gateways: int = 2
    engines: int = 2
    seconds: float = 14.0
    pace: float = 1.0

    def of_seed(self, seed: int) -> "Stage":
        """As it is in the round of that seed: in one with an outage, sessions speak for longer than that lasts."""
        return replace(self, seconds=max(self.seconds, OUTAGE_ROUND_S * self.pace)) if has_outage(seed) else self

    def environment(self, temporary: Path) -> dict[str, str]:
        return {
            "PARLEY_ENGINE__MODEL": str(MINI_WHISPER / "model"),
            "PARLEY_GATEWAY__ABANDONED_AFTER_S": "30",
            "TMPDIR": str(temporary),
        }


@dataclass(slots=True)
class Outcome:
    """What came of a round. `details`: a line for each thing that was wrong."""

    seed: int
    faults: tuple[Fault, ...] = ()
    missed: int = 0
    damage: Damage = field(default_factory=Damage)
    leftovers: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    reconnects: int = 0
    audio_s: float = 0.0
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        return not self.damage and not self.leftovers


@contextlib.contextmanager
def server_of(stage: Stage) -> Iterator[tuple[RunningServer, Path]]:
    """A fresh server and its data folder, which stays where the block ends by an exception."""
    data = Path(tempfile.mkdtemp(prefix="parley-chaos-"))
    temporary = data / "tmp"
    temporary.mkdir()
    env = stage.environment(temporary)
    with running_server(data / "data", env=env, gateways=stage.gateways, engines=stage.engines) as server:
        yield server, temporary
    shutil.rmtree(data)


class Failed(Exception):
    """A round in which something was lost or left. `outcome` says what, `data` is where everything lies."""

    def __init__(self, outcome: Outcome, data: Path) -> None:
        faults = "; ".join(str(fault) for fault in outcome.faults)
        super().__init__("\n".join([f"seed {outcome.seed}, kept in {data}", *outcome.details, faults]))
        self.outcome = outcome
        self.data = data


def undisturbed(stage: Stage, voices: Sequence[Voice]) -> dict[str, Sequence[Final]]:
    """Each voice's finals where nothing is broken. Raises Failed where not even that goes well."""
    stage = replace(stage, pace=_UNDISTURBED_PACE)
    reference: dict[str, Sequence[Final]] = {}
    with server_of(stage) as (server, temporary):
        for first in range(0, len(voices), stage.sessions):
            some = voices[first : first + stage.sessions]
            heard, _ = asyncio.run(_play(server, stage, some, ()))
            reference |= {each.voice.name: [Final.of(final) for final in each.finals] for each in heard}
            outcome = Outcome(seed=-1)
            asyncio.run(_look_at_sessions(_keeper(server, temporary), heard, reference, outcome))
            if outcome.damage:
                raise Failed(outcome, _keep(server, outcome, heard, reference))
    return reference


def run_round(seed: int, stage: Stage, voices: Sequence[Voice], reference: Reference) -> Outcome:
    """`stage` and `voices`: as they are in the round of that seed. Raises Failed where something was lost or left."""
    began = time.monotonic()
    rng = np.random.default_rng(seed)
    chosen = [voices[number] for number in rng.permutation(len(voices))[: stage.sessions]]
    with server_of(stage) as (server, temporary):
        faults = schedule(seed, Parts(server).cast(len(chosen)), stage.seconds / stage.pace)
        heard, struck = asyncio.run(_play(server, stage, chosen, faults))
        outcome = Outcome(seed, faults, len(struck.missed))
        outcome.recoveries = recoveries(struck.kills, heard, faults)
        outcome.reconnects = sum(each.reconnects for each in heard)
        outcome.audio_s = sum(each.voice.seconds for each in heard)
        asyncio.run(_look_at_everything(_keeper(server, temporary), heard, reference, outcome))
        outcome.seconds = time.monotonic() - began
        if not outcome.is_good:
            raise Failed(outcome, _keep(server, outcome, heard, reference))
    return outcome


async def _play(
    server: RunningServer, stage: Stage, voices: Sequence[Voice], faults: Sequence[Fault]
) -> tuple[list[Heard], Struck]:
    """All sessions at once while the faults strike."""
    parts = Parts(server)
    async with lines(server.base_urls, len(voices)) as ways, asyncio.TaskGroup() as tasks:
        epoch = time.monotonic()
        striker = Striker(parts, parts.cast(len(voices)), ways, epoch)
        striking = tasks.create_task(striker.strike(faults))
        speakers = [
            Speaker(way.urls, voice, pace=stage.pace, epoch=epoch) for way, voice in zip(ways, voices, strict=True)
        ]
        speaking = [
            tasks.create_task(_speak_from(speaker, number * _STAGGER_S / len(speakers)))
            for number, speaker in enumerate(speakers)
        ]
        longest_s = max(voice.seconds for voice in voices) / stage.pace + _STAGGER_S
        _, late = await asyncio.wait(speaking, timeout=longest_s + _END_TIMEOUT_S)
        for task in late:
            task.cancel()
        struck = await striking
    for speaker, way in zip(speakers, ways, strict=True):
        speaker.heard.overheard = way.overheard
        if not speaker.heard.is_closed and not speaker.heard.trouble:
            speaker.heard.trouble = f"did not end within {_END_TIMEOUT_S:g} s"
    return [speaker.heard for speaker in speakers], struck


async def _speak_from(speaker: Speaker, after_s: float) -> None:
    await asyncio.sleep(after_s)
    await speaker.speak()


def _keeper(server: RunningServer, temporary: Path) -> Keeper:
    return Keeper(server, Parts(server).sockets(), temporary)


async def _look_at_everything(keeper: Keeper, heard: Sequence[Heard], reference: Reference, outcome: Outcome) -> None:
    """Writes into `outcome` what is wrong with these sessions, which are all there were, and what is left of them."""
    await _look_at_sessions(keeper, heard, reference, outcome)
    outcome.leftovers = await _settled_leftovers(keeper, [each.recording_id for each in heard])
    outcome.details += outcome.leftovers


async def _look_at_sessions(keeper: Keeper, heard: Sequence[Heard], reference: Reference, outcome: Outcome) -> None:
    for number, each in enumerate(heard):
        damage = await _damage_of(keeper, each, reference[each.voice.name])
        outcome.damage += damage
        if damage:
            outcome.details.append(
                f"session {number} ({each.voice.name}, {each.recording_id}): {damage} {each.trouble}"
            )


async def _damage_of(keeper: Keeper, heard: Heard, reference: Sequence[Final]) -> Damage:
    unclosed = Damage(unclosed=int(not heard.is_closed))
    if not heard.recording_id:
        return unclosed + of_audio(heard.voice.expected, heard.voice.expected[:0]) + of_finals(reference, [])
    stored = await _patiently(lambda: keeper.finals(heard.recording_id))
    audio, told = await _patiently(lambda: keeper.told(heard.recording_id))
    seen = [Final.of(final) for final in heard.finals]
    finals = of_finals(reference, stored) | of_finals(reference, seen) | of_told(stored, told)
    said_again = Damage(doubled_finals=repeated(heard.overheard), superseded=heard.errors.count("superseded"))
    return unclosed + of_audio(heard.voice.expected, audio) + finals + said_again


async def _settled_leftovers(keeper: Keeper, recordings: Sequence[str]) -> list[str]:
    """What is left when nothing changes any more, or too much time has gone."""
    deadline = time.monotonic() + _SETTLE_TIMEOUT_S
    while True:
        await _patiently(keeper.compact)
        found = leftovers(await _patiently(keeper.remains), recordings)
        if not found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(_RETRY_S)


async def _patiently(ask: Callable[[], Awaitable[_T]]) -> _T:
    """Asks again while parts of the server are still coming back."""
    deadline = time.monotonic() + _SETTLE_TIMEOUT_S
    while True:
        try:
            return await ask()
        except _COMING_BACK:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(_RETRY_S)


def _keep(server: RunningServer, outcome: Outcome, heard: Sequence[Heard], reference: Reference) -> Path:
    """Writes what every client was told beside the server's data, for whoever looks for the cause."""
    folder = server.data.parent
    told = [
        {
            "voice": each.voice.name,
            "recording": each.recording_id,
            "trouble": each.trouble,
            "errors": each.errors,
            "finals": [asdict(Final.of(final)) for final in each.finals],
            "expected": [asdict(final) for final in reference.get(each.voice.name, ())],
            "shown": [asdict(shown) for shown in each.shown],
        }
        for each in heard
    ]
    about = {"seed": outcome.seed, "faults": [str(fault) for fault in outcome.faults], "wrong": outcome.details}
    (folder / "chaos.json").write_text(json.dumps(about | {"sessions": told}, indent=1))
    return folder
