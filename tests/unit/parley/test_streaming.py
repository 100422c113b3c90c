"""Which server `demo` and `transcribe` take, and what they say of files and of servers that go away."""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parley import streaming, wire
from parley.cli import _lacks
from parley.client import Patience, Reconnecting, Resumed
from parley.demo import CLIP, Outcome
from parley.embedded.folder import Holder, Lock
from parley.errors import ClientError
from parley.media import decode_file
from parley.screen import Screen, told
from parley.streaming import USUAL, FilesFailed, Request, Server, Streaming, print_total, reach_server
from tests.unit.parley.scripted_gateway import Denial, Loss, ScriptedGateway

CLIP_SAMPLES = sum(len(piece) for piece in decode_file(CLIP))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PARLEY_DATA", raising=False)
    return tmp_path


class Machine:
    """The servers of a scripted machine: which addresses answer, and on which data folders one was started."""

    def __init__(self) -> None:
        self.answering: set[str] = set()
        self.started: list[Path] = []

    async def is_running(self, url: str) -> bool:
        return url in self.answering

    @contextlib.contextmanager
    def running_server(self, data: Path) -> Iterator[object]:
        self.started.append(data)
        yield type("Started", (), {"base_urls": ("http://127.0.0.1:40000",)})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    scripted = Machine()
    monkeypatch.setattr(streaming, "is_running", scripted.is_running)
    monkeypatch.setattr(streaming, "running_server", scripted.running_server)
    return scripted


async def reached(data: Path | None) -> Server:
    async with reach_server((), data) as server:
        return server


async def test_a_data_folder_that_is_named_wins_over_the_usual_port(
    home: Path, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.answering = {USUAL}
    assert not (await reached(home / "mine")).stays
    assert machine.started == [home / "mine"]
    said = capsys.readouterr().err
    assert f"starting one on a new data folder, {home}/mine" in said
    assert f"parley up --data {home}/mine" in said


async def test_the_folder_of_the_environment_counts_as_named(
    home: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.answering = {USUAL}
    monkeypatch.setenv("PARLEY_DATA", "elsewhere")
    await reached(None)
    assert machine.started == [home / "elsewhere"]


async def test_without_a_named_folder_its_own_server_comes_first_then_the_usual_port(
    home: Path, machine: Machine
) -> None:
    machine.answering = {USUAL, "http://127.0.0.1:8123"}
    assert await reached(None) == Server((USUAL,), stays=True)
    (home / "data").mkdir()
    lock = Lock.take(home / "data")
    lock.say(Holder(4711, "http://127.0.0.1:8123"))
    assert await reached(None) == Server(("http://127.0.0.1:8123",), stays=True)
    assert await reached(home / "data") == Server(("http://127.0.0.1:8123",), stays=True)
    lock.release()
    assert not machine.started


async def test_a_server_that_was_started_for_it_is_told_to_be_seen_with_up(
    home: Path, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    await reached(None)
    assert capsys.readouterr().err.endswith(f"kept in {home}/data. To see it, run: parley up\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"language": "German"}, "--language 'German': give a code such as de."),
        ({"urls": (USUAL, "nonsense")}, "--url 'nonsense' must begin with http:// or https://."),
    ],
)
def test_options_are_checked_before_anything_starts(machine: Machine, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError) as raised:
        Streaming(Request(files=(CLIP,), **options)).run()
    assert raised.value.message == said
    assert not machine.started


def test_files_that_do_not_exist_are_told_before_anything_starts(home: Path, machine: Machine) -> None:
    with pytest.raises(FilesFailed, match=r"^2 of 3 files do not exist: a\.wav, b\.wav; nothing was transcribed\.$"):
        Streaming(Request(files=(CLIP, Path("a.wav"), Path("b.wav")))).run()
    assert not machine.started


def test_where_no_file_can_be_read_no_server_starts(home: Path, machine: Machine) -> None:
    with pytest.raises(FilesFailed, match="is a folder"):
        Streaming(Request(files=(home,))).run()
    assert not machine.started


async def test_a_server_that_does_not_come_back_is_told_with_what_it_kept(capsys: pytest.CaptureFixture[str]) -> None:
    run = Streaming(Request(files=(CLIP,), as_json=True), Patience(give_up_after_s=0))
    async with ScriptedGateway(Loss(at=40_000)) as gateway:
        server = Server((gateway.url,), stays=True)
        outcome = await run._one(CLIP, server)
        run._judge(CLIP, outcome, server, lambda one: one.failure)
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last.pop("message").startswith(f"The Parley at {gateway.url} went away. 3.0 s of the audio are kept there, ")
    assert last == {
        "type": "error",
        "file": "demo.flac",
        "recording_id": "r1",
        "url": f"{gateway.url}/recordings/r1",
        "code": "connection_lost",
    }


@pytest.mark.parametrize(
    ("at", "said", "code"),
    [
        (
            40_000,
            r"^The model does not know 'xx'\. \d\.\d s of the audio are kept, the \d+\.\d s behind them are not\.$",
            "audio_missing",
        ),
        (CLIP_SAMPLES, r"^The model does not know 'xx'\. \d+\.\d s of the audio are kept\.$", "unsupported_language"),
    ],
)
async def test_a_transcript_that_was_cut_short_is_a_failure(
    at: int, said: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though the server said `closed`: what it ended with says so, and so does the length."""
    run = Streaming(Request(files=(CLIP,), as_json=True))
    ended = wire.Error(code="unsupported_language", message="The model does not know 'xx'.")
    async with ScriptedGateway(Loss(at=at, how="closed", error=ended)) as gateway:
        server = Server((gateway.url,), stays=True)
        outcome = await run._one(CLIP, server)
        run._judge(CLIP, outcome, server, lambda one: one.failure)
    print_total(run, 0.0)
    *_, closed, summary, failure, total = map(json.loads, capsys.readouterr().out.splitlines())
    assert (closed["type"], summary["closed"], failure["code"]) == ("closed", True, code)
    assert re.match(said, failure["message"])
    assert (total["transcribed"], total["failed"]) == (0, 1)
    with pytest.raises(FilesFailed):
        run._raise_failures(())


async def test_json_of_a_session_that_was_cut_is_that_of_one_that_was_not(capsys: pytest.CaptureFixture[str]) -> None:
    """But for the acks, which come as they may, and for what tells of the cut: on stderr, too."""
    said = []
    for script in ((), (Loss(at=40_000), Loss(at=90_000, how=1012))):
        async with ScriptedGateway(*script) as gateway:
            await Streaming(Request(files=(CLIP,), as_json=True))._one(CLIP, Server((gateway.url,), stays=False))
        captured = capsys.readouterr()
        lines = [line for line in map(json.loads, captured.out.splitlines()) if line["type"] != "ack"]
        told = [line for line in lines if line["type"] in ("reconnecting", "resumed")]
        said.append([line for line in lines if line not in told])
    undisturbed, cut = said
    assert [line["type"] for line in told] == ["reconnecting", "resumed"] * 2
    assert set(told[0]) == {"type", "reason", "held_s", "attempt", "retry_in_s"}
    assert set(told[1]) == {"type", "next_sample", "held_s"}
    assert undisturbed[-1].pop("elapsed_s") > 0
    assert cut[-1].pop("elapsed_s") > 0
    assert cut == undisturbed
    assert captured.err.count("Reconnecting, nothing is lost") == captured.err.count("Connected again") == 2


async def test_an_outage_is_one_line_for_a_person_however_many_attempts_it_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    script = (Loss(at=40_000), Denial(503), Denial(503), Denial(503))
    async with ScriptedGateway(*script) as gateway:
        server = Server((gateway.url,), stays=False)
        await Streaming(Request(files=(CLIP,), as_json=True))._one(CLIP, server)
    captured = capsys.readouterr()
    assert captured.out.count('"type": "reconnecting"') == 4
    assert captured.err.count("Reconnecting, nothing is lost (") == captured.err.count("Connected again; ") == 1
    async with ScriptedGateway(*script) as gateway:
        await Streaming(Request(files=(CLIP,)))._one(CLIP, Server((gateway.url,), stays=False))
    shown = capsys.readouterr().out
    assert shown.count("Reconnecting, nothing is lost (") == shown.count("Connected again; ") == 1


async def test_a_server_that_hangs_is_said_to_be_silent(capsys: pytest.CaptureFixture[str]) -> None:
    patience = Patience(ping_every_s=0.1, silence_s=0.5)
    async with ScriptedGateway(Loss(at=40_000, how="silence")) as gateway:
        server = Server((gateway.url,), stays=False)
        await Streaming(Request(files=(CLIP,), as_json=True), patience)._one(CLIP, server)
    assert f"The Parley at {gateway.url} has said nothing for 0.5 s." in capsys.readouterr().err


async def test_the_screen_shows_that_nothing_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    async with ScriptedGateway(Loss(at=40_000)) as gateway:
        outcome = await Streaming(Request(files=(CLIP,)))._one(CLIP, Server((gateway.url,), stays=True))
    shown = capsys.readouterr().out
    assert outcome.closed
    assert "Connected again; nothing was lost (" in shown
    assert shown.index("segment 0") < shown.index("Connected again") < shown.index("segment 3")


def test_the_screen_says_that_text_comes_later_where_no_recogniser_is_at_hand(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Screen("a.wav") as screen:
        screen.show(wire.Ready(recording_id="r1", resume_token="t", next_sample=0))
    assert "No recogniser is at hand; the text comes later." in capsys.readouterr().out


def test_the_screen_says_once_that_text_comes_again(capsys: pytest.CaptureFixture[str]) -> None:
    away = wire.Error(code="engine_unavailable", message="The text is delayed.", retryable=True)
    partials = [
        wire.Partial(segment=0, revision=n, start_ms=0, committed="", tentative="hi", lag_ms=1) for n in range(3)
    ]
    with Screen("a.wav") as screen:
        screen.show(partials[0])
        screen.show(away)
        screen.show(wire.SpeechStart(segment=1, start_ms=0))
        for partial in partials[1:]:
            screen.show(partial)
    shown = capsys.readouterr().out
    assert shown.count("The text comes again.") == 1
    assert shown.index("The text is delayed.") < shown.index("The text comes again.")


def test_where_a_client_holds_audio_is_said_in_seconds() -> None:
    lost = Reconnecting("The Parley at a went away.", held_s=12.3, attempt=1, retry_in_s=0.1)
    assert told(lost) == "Reconnecting, nothing is lost (12 s held)… The Parley at a went away."
    assert told(Resumed(next_sample=0, held_s=0.6)) == "Connected again; nothing was lost (1 s to catch up)."


def test_a_demo_says_what_it_did_not_show() -> None:
    silent = Outcome("a.wav", sent_all=True, closed=True)
    assert _lacks(silent) == "No speech was heard in a.wav."
    assert _lacks(Outcome("a.wav", closed=True)).startswith("The session ended before its time.")
    final = wire.Final(segment=0, start_ms=0, end_ms=1, text="hi", words=(), language="en", confidence=1, suspect=False)
    assert _lacks(Outcome("a.wav", sent_all=True, closed=True, finals=[final])).startswith("1 final came")
    assert _lacks(Outcome("a.wav", sent_all=True, closed=True, finals=[final], partials=1)) == ""
