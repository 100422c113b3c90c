"""What `parley doctor` says."""

import json
import shutil
import socket
from pathlib import Path

import pytest
import typer

from parley import doctor
from parley.settings import GatewaySettings, Settings


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


def test_a_database_that_does_not_answer_is_a_problem(tmp_path: Path) -> None:
    url = f"postgresql://postgres:hidden@/parley?host={tmp_path}"
    finding = doctor.database(Settings(data=tmp_path, database_url=url))
    assert finding.level == "problem"
    assert "hidden" not in finding.text


def test_a_missing_package_is_a_problem_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", {"engine": ("no-such-package",)})
    (finding,) = doctor.packages()
    assert (finding.level, finding.remedy) == ("problem", "pip install 'parley[engine]'")


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
