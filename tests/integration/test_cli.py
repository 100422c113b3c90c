"""`parley demo` and `parley transcribe` as a user runs them, against a real server."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parley.audio import SAMPLE_RATE
from parley.embedded.server import RunningServer
from tests.conftest import CLIPS, MINI_WHISPER


def parley(*arguments: object, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "parley", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "COLUMNS": "200", **env},
    )


def objects(result: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def silence(path: Path, seconds: float = 1.0) -> Path:
    import wave

    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(np.zeros(round(seconds * SAMPLE_RATE), np.int16).tobytes())
    return path


def test_a_file_that_fails_does_not_stop_the_others(server: RunningServer, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(bytes(range(256)) * 64)
    result = parley("transcribe", CLIPS[0].path, bad, tmp_path, CLIPS[4].path, "--url", server.base_url)
    assert result.returncode == 1
    assert f"{server.base_url}/recordings/" in result.stdout
    text = " ".join(result.stdout.split())
    assert all(sentence in text for clip in (CLIPS[0], CLIPS[4]) for sentence in clip.segments)
    assert result.stderr.splitlines()[-1] == f"parley: 2 of 4 files failed: {tmp_path}, {bad}."
    assert "Traceback" not in result.stderr


def test_json_gives_an_object_for_each_file_and_a_total(server: RunningServer, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(bytes(range(256)) * 64)
    result = parley("transcribe", "--json", bad, CLIPS[0].path, "--url", server.base_url)
    assert result.returncode == 1
    got = objects(result)
    (failed,) = [one for one in got if one["type"] == "error"]
    (summary,) = [one for one in got if one["type"] == "summary"]
    assert (failed["file"], failed["code"]) == ("bad.mp3", "undecodable")
    assert (summary["file"], summary["text"], summary["truncated"]) == (CLIPS[0].path.name, CLIPS[0].text, False)
    assert got[-1]["type"] == "total"
    assert (got[-1]["files"], got[-1]["transcribed"], got[-1]["failed"]) == (2, 1, 1)


def test_a_demo_without_speech_says_so_and_its_last_line_is_the_error(server: RunningServer, tmp_path: Path) -> None:
    result = parley("demo", "--json", silence(tmp_path / "quiet.wav"), "--url", server.base_url)
    assert result.returncode == 1
    last = objects(result)[-1]
    assert (last["type"], last["message"]) == ("error", "No speech was heard in quiet.wav.")
    assert result.stderr == "parley: No speech was heard in quiet.wav.\n"


def test_a_server_that_is_not_there_is_one_plain_line() -> None:
    result = parley("demo", "--json", "--url", "http://127.0.0.1:9")
    assert result.returncode == 1
    assert result.stderr == "parley: No Parley answers at http://127.0.0.1:9.\n"
    assert objects(result)[-1]["type"] == "error"


@pytest.mark.parametrize(("option", "value"), [("--port", "99999"), ("--gateways", "0"), ("--engines", "many")])
def test_a_value_that_an_option_does_not_take_is_shown(option: str, value: str) -> None:
    result = parley("up", option, value)
    assert result.returncode == 2
    assert f"Invalid value for '{option}': " in result.stderr
    assert f"(given: {value})" in result.stderr


def test_a_server_started_for_it_leaves_no_dead_link(tmp_path: Path) -> None:
    data = tmp_path / "data"
    result = parley("transcribe", CLIPS[0].path, "--data", data, PARLEY_ENGINE__MODEL=str(MINI_WHISPER))
    assert result.returncode == 0, result.stderr
    assert "http://" not in result.stdout
    assert " 1 final" in result.stdout
    assert " 1 finals" not in result.stdout
    assert f"To see it, run: parley up --data {data}" in result.stderr


def test_what_cannot_start_is_told_in_json_too(tmp_path: Path) -> None:
    result = parley("transcribe", "--json", CLIPS[0].path, "--data", tmp_path / "d", PARLEY_ENGINE__MODEL="/nowhere")
    assert result.returncode == 1
    error, total = objects(result)
    assert (error["type"], total["type"], total["failed"]) == ("error", "total", 1)
    assert "The configured model /nowhere cannot be used" in error["message"]
    assert "Traceback" not in result.stderr
