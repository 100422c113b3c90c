"""Which server `demo` and `transcribe` take, and what they say of files and of servers that go away."""

import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from parley import streaming, wire
from parley.cli import _lacks
from parley.demo import CLIP, Outcome
from parley.embedded.folder import Holder, Lock
from parley.errors import ClientError
from parley.streaming import USUAL, FilesFailed, Request, Server, Streaming, reach_server

RECOGNIZER = wire.RecognizerInfo(name="scripted", model="none", device="cpu", fallback=False, reason="a test")
READY = wire.Ready(recording_id="r1", resume_token="t", next_sample=0, recognizer=RECOGNIZER)


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
        yield type("Started", (), {"base_url": "http://127.0.0.1:40000"})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    scripted = Machine()
    monkeypatch.setattr(streaming, "is_running", scripted.is_running)
    monkeypatch.setattr(streaming, "running_server", scripted.running_server)
    return scripted


async def reached(data: Path | None) -> Server:
    async with reach_server(None, data) as server:
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
    assert await reached(None) == Server(USUAL, stays=True)
    (home / "data").mkdir()
    lock = Lock.take(home / "data")
    lock.say(Holder(4711, "http://127.0.0.1:8123"))
    assert await reached(None) == Server("http://127.0.0.1:8123", stays=True)
    assert await reached(home / "data") == Server("http://127.0.0.1:8123", stays=True)
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
        ({"url": "nonsense"}, "--url 'nonsense' must begin with http:// or https://."),
    ],
)
def test_options_are_checked_before_anything_starts(machine: Machine, options: dict[str, str], said: str) -> None:
    with pytest.raises(ClientError) as raised:
        Streaming(Request(files=(CLIP,), **options)).run()  # type: ignore[arg-type]
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


@contextlib.asynccontextmanager
async def scripted_server(*messages: wire.ServerMessage) -> AsyncIterator[str]:
    """A server that answers `start` with the messages and then drops the connection."""

    async def session(connection: ServerConnection) -> None:
        await connection.recv()
        for message in messages:
            await connection.send(message.to_json())
        connection.transport.abort()

    async with serve(session, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def test_a_server_that_goes_away_is_told_with_what_it_kept(capsys: pytest.CaptureFixture[str]) -> None:
    async with scripted_server(READY, wire.Ack(samples=40_000)) as url:
        run = Streaming(Request(files=(CLIP,), as_json=True))
        outcome = await run._one(CLIP, Server(url, stays=True))
        run._judge(CLIP, outcome, Server(url, stays=True), lambda one: one.failure)
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last == {
        "type": "error",
        "file": "demo.flac",
        "recording_id": "r1",
        "url": f"{url}/recordings/r1",
        "code": "connection_lost",
        "message": f"The Parley at {url} went away. 2.5 s of the audio are kept. See {url}/recordings/r1",
    }


def test_a_demo_says_what_it_did_not_show() -> None:
    silent = Outcome("a.wav", closed=True)
    assert _lacks(silent) == "No speech was heard in a.wav."
    final = wire.Final(segment=0, start_ms=0, end_ms=1, text="hi", words=(), language="en", confidence=1, suspect=False)
    assert _lacks(Outcome("a.wav", closed=True, finals=[final])).startswith("1 final came")
    assert _lacks(Outcome("a.wav", closed=True, finals=[final], partials=1)) == ""
