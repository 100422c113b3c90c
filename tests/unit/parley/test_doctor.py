"""What `parley doctor` says."""

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import typer

from parley import doctor
from parley.embedded.folder import Holder, Lock
from parley.engine_connection import EngineReport
from parley.engine_pool import EngineState
from parley.settings import GatewaySettings, Settings, load_settings
from parley.transcript import Recognizer


def settings(data: Path, **gateway: object) -> Settings:
    return Settings(data=data, gateway=GatewaySettings(**gateway))  # type: ignore[arg-type]


def test_a_taken_port_is_a_problem_with_a_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        finding = doctor.port(settings(tmp_path, port=other.getsockname()[1]))
    assert finding.level == "problem"
    assert "choose another port" in finding.text


def test_a_folder_that_cannot_be_made_is_a_problem_and_nothing_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert doctor.data_folder(settings(tmp_path / "file" / "data")).level == "problem"
    assert doctor.data_folder(settings(tmp_path / "new" / "data")).level != "problem"
    assert not (tmp_path / "new").exists()


def test_little_room_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 2**30

    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage)
    assert doctor.data_folder(settings(tmp_path)).level == "note"


@pytest.mark.parametrize(
    ("status", "stdout", "level", "text"),
    [
        (0, '{"name": "faster-whisper", "model": "small", "reason": "cached"}', "ok", "faster-whisper small: cached"),
        (
            0,
            '{"name": "p", "fallback": true, "reason": "no model", "remedy": "Get one."}',
            "note",
            "p (fallback): no model",
        ),
        (0, "no json", "note", "the engine's answer could not be read"),
        (1, "", "note", "the engine cannot say which it would use: No module named stream_engine"),
        (3, "", "problem", "No module named stream_engine"),
    ],
)
def test_the_engine_is_asked_which_recogniser_it_would_use(status: int, stdout: str, level: str, text: str) -> None:
    finding = doctor.read_choice(status, stdout, "one\nNo module named stream_engine\n")
    assert (finding.level, finding.text) == (level, text)


def test_engines_on_other_machines_are_asked(tmp_path: Path) -> None:
    finding = doctor.recogniser(settings(tmp_path, engine_urls=("http://127.0.0.1:1",)))
    assert finding.level == "problem"
    assert "No engine answers at http://127.0.0.1:1" in finding.text


def test_one_engine_of_several_that_is_away_is_a_note() -> None:
    report = EngineReport(Recognizer("faster-whisper", "small", "cuda", "float16", "configured"))
    ready, away = EngineState("http://a:1", report), EngineState("http://b:1", None, "No engine answers at b.")
    assert doctor.read_survey([ready]).level == "ok"
    finding = doctor.read_survey([ready, away])
    assert (finding.level, finding.text) == (
        "note",
        "http://a:1: faster-whisper small cuda · No engine answers at b.",
    )


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[Settings, dict[str, object]]]:
    """Settings whose data folder a scripted Parley holds, and what that says of its recogniser."""
    recognizer: dict[str, object] = {"name": "pocketsphinx", "model": "en-us", "device": "cpu"}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"recognizer": recognizer or None}).encode())

        def log_message(self, *_: object) -> None: ...

    lock = Lock.take(tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        lock.say(Holder(4711, f"http://127.0.0.1:{server.server_port}"))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield settings(tmp_path), recognizer
        server.shutdown()
        thread.join()
    lock.release()


def test_a_running_parley_that_writes_with_something_else_is_to_be_restarted(
    running: tuple[Settings, dict[str, object]],
) -> None:
    configured = doctor.read_choice(0, '{"name": "faster-whisper", "model": "base", "device": "cpu"}', "")
    (finding,) = doctor.running(running[0], configured)
    assert finding.level == "note"
    assert "writes with pocketsphinx en-us cpu; configured is faster-whisper base cpu" in finding.text
    assert finding.remedy.startswith("Restart Parley")


def test_a_running_parley_that_writes_with_what_is_configured_is_fine(
    running: tuple[Settings, dict[str, object]],
) -> None:
    configured = doctor.read_choice(0, json.dumps(running[1] | {"compute_type": "int16"}), "")
    assert [finding.level for finding in doctor.running(running[0], configured)] == ["ok"]
    running[1].clear()
    assert [finding.level for finding in doctor.running(running[0], configured)] == ["note"]


def test_where_none_runs_nothing_is_said_of_it(tmp_path: Path) -> None:
    assert not list(doctor.running(settings(tmp_path), doctor.Finding("Recogniser", "ok", "")))


def test_a_gpu_that_was_asked_for_and_is_not_there_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("PARLEY_ENGINE__DEVICE", "cuda")
    monkeypatch.setenv("PARLEY_DATA", str(tmp_path))
    finding = doctor.recogniser(load_settings())
    assert finding.level == "problem"
    assert finding.text.startswith("PARLEY_ENGINE__DEVICE is cuda, but CTranslate2 finds no CUDA GPU")


def test_a_database_that_does_not_answer_is_a_problem(tmp_path: Path) -> None:
    url = f"postgresql://postgres:hidden@/parley?host={tmp_path}"
    finding = doctor.database(Settings(data=tmp_path, database_url=url))
    assert finding.level == "problem"
    assert "hidden" not in finding.text


def test_a_missing_package_is_a_problem_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", {"engine": ("no-such-package",)})
    (finding,) = doctor.packages()
    assert (finding.level, finding.remedy) == ("problem", "make install")


def test_the_exit_status_says_whether_parley_can_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for level, status in (("note", 0), ("problem", 1)):
        monkeypatch.setattr(doctor, "examine", lambda level=level: [doctor.Finding("It", level, "[is] so", "Do.")])
        with pytest.raises(typer.Exit) as ended:
            doctor.doctor(as_json=True)
        assert ended.value.exit_code == status
        assert json.loads(capsys.readouterr().out)["ok"] is (status == 0)
        with pytest.raises(typer.Exit):
            doctor.doctor()
        assert "[is] so" in capsys.readouterr().out
