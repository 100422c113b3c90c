"""`parley models`: what is on disk, using a folder, and getting a model from a hub (a scripted one on this machine)."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from parley.embedded.folder import Lock
from parley.errors import SetupError
from parley.model_files import LocalModel, best, default_name, find, in_data, name_for, repo_of, what_is_missing
from parley.models import app
from tests.integration.engine_process import MODEL

MEGABYTE = 1_000_000


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PARLEY_ENGINE__MODEL", raising=False)
    monkeypatch.setenv("PARLEY_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "data"


def selected(data: Path) -> object:
    return tomllib.loads((data / "settings.toml").read_text())["engine"].get("model")


def damaged_copy(folder: Path) -> Path:
    """Another model: the same, but for its tokenizer's last byte."""
    shutil.copytree(MODEL, folder)
    with (folder / "tokenizer.json").open("a") as file:
        file.write("\n")
    return folder


def run(*arguments: str) -> str:
    """Output of a command. Raises what the command raises."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False, env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    return result.output


def test_use_copies_a_model_and_configures_it_and_keeps_other_settings(data: Path) -> None:
    data.mkdir()
    (data / "settings.toml").write_text('log_level = "debug"\n[engine]\nbeam_size = 3\n')
    assert "uses mini" in run("use", str(MODEL), "--name", "mini", "--data", str(data))
    assert tomllib.loads((data / "settings.toml").read_text()) == {
        "log_level": "debug",
        "engine": {"beam_size": 3, "model": "mini"},
    }
    copied = data / "models" / "mini"
    assert (copied / "model.bin").read_bytes() == (MODEL / "model.bin").read_bytes()
    assert not what_is_missing(copied)
    assert [path.name for path in (data / "models").iterdir()] == ["mini"]
    assert "mini (configured)" in run("list", "--data", str(data))


def test_use_takes_the_name_of_a_model_that_is_here(data: Path) -> None:
    run("use", str(MODEL), "--name", "one", "--data", str(data))
    run("use", str(MODEL), "--name", "two", "--data", str(data))
    run("use", "one", "--data", str(data))
    assert tomllib.loads((data / "settings.toml").read_text())["engine"]["model"] == "one"
    assert find("two", data) is not None


def test_use_of_a_name_under_another_name_copies_it(data: Path) -> None:
    run("use", str(MODEL), "--name", "one", "--data", str(data))
    run("use", "one", "--name", "two", "--data", str(data))
    assert selected(data) == "two"
    assert [model.name for model in in_data(data)] == ["one", "two"]


@pytest.mark.parametrize("content", [b"[engine\n", b"[engine]\nmodle = 'x'\n", b"\xe4"])
def test_use_leaves_nothing_behind_where_the_settings_are_broken(data: Path, content: bytes) -> None:
    data.mkdir()
    (data / "settings.toml").write_bytes(content)
    with pytest.raises(SetupError, match=r"settings\.toml"):
        run("use", str(MODEL), "--name", "mini", "--data", str(data))
    assert [path.name for path in data.iterdir()] == ["settings.toml"]
    assert (data / "settings.toml").read_bytes() == content


def test_use_of_a_known_model_that_is_not_here_says_how_to_get_it(data: Path) -> None:
    with pytest.raises(SetupError, match=r"^tiny is not on this machine; run: parley models get tiny$"):
        run("use", "tiny", "--data", str(data))
    with pytest.raises(SetupError, match="no folder 'nothing', and no model"):
        run("use", "nothing", "--data", str(data))


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("mini/model", "mini"),
        ("mini/snapshot", "mini"),
        ("mini/0123456789abcdef0123", "mini"),
        ("models--Systran--faster-whisper-base/snapshots/0123456789abcdef", "base"),
        ("models--someone--own/snapshots/0123456789abcdef", "someone--own"),
        ("tiny.en", "tiny.en"),
    ],
)
def test_a_model_is_named_after_the_folder_that_says_something(tmp_path: Path, place: str, name: str) -> None:
    assert name_for(tmp_path / place) == name


def test_use_names_a_model_in_a_folder_called_model_after_the_folder_above(data: Path) -> None:
    run("use", str(MODEL), "--data", str(data))
    assert selected(data) == MODEL.parent.name


@pytest.mark.parametrize("name", ["../up", "a/b", "a b", ".hidden", "..", "-x", "ä", "x" * 101])
def test_use_refuses_a_name_that_is_no_plain_file_name(data: Path, name: str) -> None:
    with pytest.raises(SetupError, match="cannot be a model's name"):
        run("use", str(MODEL), f"--name={name}", "--data", str(data))
    assert not data.exists()


def test_use_replaces_another_model_of_that_name_only_when_forced(data: Path, tmp_path: Path) -> None:
    other = damaged_copy(tmp_path / "other")
    run("use", str(MODEL), "--name", "mini", "--data", str(data))
    run("use", str(MODEL), "--name", "mini", "--data", str(data))
    with pytest.raises(SetupError, match="holds another model"):
        run("use", str(other), "--name", "mini", "--data", str(data))
    kept = data / "models" / "mini" / "tokenizer.json"
    assert kept.read_bytes() == (MODEL / "tokenizer.json").read_bytes()
    run("use", str(other), "--name", "mini", "--force", "--data", str(data))
    assert kept.read_bytes() == (other / "tokenizer.json").read_bytes()


def test_use_says_to_restart_what_runs(data: Path) -> None:
    assert "from its next start" in run("use", str(MODEL), "--data", str(data))
    lock = Lock.take(data)
    assert "Restart Parley to use it." in run("use", str(MODEL), "--data", str(data))
    lock.release()


def test_remove_takes_a_model_away_but_not_the_selected_one_unless_forced(data: Path) -> None:
    run("use", str(MODEL), "--name", "one", "--data", str(data))
    run("use", str(MODEL), "--name", "two", "--data", str(data))
    (data / "models" / ".one.part").mkdir()
    run("remove", "one", "--data", str(data))
    assert [path.name for path in (data / "models").iterdir()] == ["two"]
    with pytest.raises(SetupError, match="is the model that is selected"):
        run("remove", "two", "--data", str(data))
    run("remove", "two", "--force", "--data", str(data))
    assert in_data(data) == []
    assert selected(data) is None


@pytest.mark.parametrize("name", ["none", "..", "../data", ""])
def test_remove_takes_only_models(data: Path, name: str) -> None:
    run("use", str(MODEL), "--data", str(data))
    with pytest.raises(SetupError, match="is not in"):
        run("remove", name, "--data", str(data))
    assert (data / "settings.toml").exists()


@pytest.mark.parametrize("absent", ["config.json", "model.bin"])
def test_use_says_what_is_missing_and_changes_nothing(data: Path, tmp_path: Path, absent: str) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(MODEL, broken, ignore=shutil.ignore_patterns(absent))
    with pytest.raises(SetupError, match=f"{absent} is missing"):
        run("use", str(broken), "--data", str(data))
    assert not data.exists()


def test_use_refuses_a_model_that_does_not_load(data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(MODEL, broken)
    (broken / "model.bin").write_bytes(b"no model")
    with pytest.raises(SetupError, match="does not load"):
        run("use", str(broken), "--data", str(data))
    assert not data.exists()


def test_another_kind_of_model_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"add_source_bos": false}')
    assert "not that of a Whisper model" in what_is_missing(tmp_path)
    assert what_is_missing(tmp_path / "nowhere") == "no such folder"


def test_a_download_that_is_not_finished_is_no_model(data: Path) -> None:
    shutil.copytree(MODEL, data / "models" / ".base.part")
    assert in_data(data) == []


def test_get_knows_no_made_up_name(data: Path) -> None:
    with pytest.raises(SetupError, match="'smal'"):
        run("get", "smal", "--data", str(data))


def test_names_stand_for_repositories() -> None:
    assert repo_of("base") == "Systran/faster-whisper-base"
    assert repo_of("someone/whisper-ct2") == "someone/whisper-ct2"
    assert [repo_of(name) for name in ("nobody", "./base", "/models/base", "a/b/c")] == [None] * 4


def test_the_best_model_is_the_one_that_suits_the_machine() -> None:
    def local(name: str, size: int) -> LocalModel:
        return LocalModel(name, Path(name), size * MEGABYTE, "data")

    tiny, base, small, large = local("tiny", 76), local("base", 145), local("small", 484), local("large-v3", 3087)
    assert default_name(cuda=False, cores=2) == "base"
    assert best([large, base, tiny], "base") is base
    assert best([large, tiny, base], "small") is base
    assert best([large, small], "base") is small
    assert best([], "base") is None


@dataclass
class ScriptedHub:
    """Answers as the hub does for one repository; `damaged` sends model.bin with a wrong byte, once."""

    files: dict[str, bytes]
    damaged: bool = False
    asked: list[str] = field(default_factory=list)

    def listing(self) -> bytes:
        siblings = [
            {"rfilename": name, "size": len(data), "lfs": {"sha256": _sha(data), "size": len(data), "pointerSize": 1}}
            for name, data in self.files.items()
        ]
        return json.dumps({"id": "Systran/faster-whisper-base", "sha": "a" * 40, "siblings": siblings}).encode()

    def file(self, name: str) -> bytes:
        data = self.files[name]
        if self.damaged and name == "model.bin":
            self.damaged = False
            return data[:-1] + bytes([data[-1] ^ 1])
        return data


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def hub() -> Iterator[tuple[ScriptedHub, str]]:
    files = {path.name: path.read_bytes() for path in MODEL.iterdir()} | {"README.md": b"not wanted"}
    scripted = ScriptedHub(files)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            path = self.path.split("?")[0]
            scripted.asked.append(f"{self.command} {path}")
            name = path.rsplit("/", 1)[-1]
            known = "/resolve/" in path and name in scripted.files
            listing = path.startswith("/api/models/")
            data = scripted.listing() if listing else scripted.file(name) if known and body else b""
            self.send_response(200)
            self.send_header("Content-Length", str(len(scripted.files[name]) if known else len(data)))
            if known:
                self.send_header("ETag", f'"{_sha(scripted.files[name])}"')
                self.send_header("X-Repo-Commit", "a" * 40)
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield scripted, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def get_base(data: Path, endpoint: str) -> "subprocess.CompletedProcess[str]":
    """`parley models get base` in a process of its own: huggingface_hub reads its endpoint when it is imported."""
    hub_environment = {"HF_ENDPOINT": endpoint, "HF_HOME": str(data / "hf"), "HF_HUB_OFFLINE": "", "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", "from parley.models import app; app()", "get", "base", "--data", str(data)],
        env={**os.environ, **hub_environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_get_downloads_what_a_model_needs(hub: tuple[ScriptedHub, str], data: Path) -> None:
    scripted, endpoint = hub
    result = get_base(data, endpoint)
    assert result.returncode == 0, result.stderr
    assert [model.name for model in in_data(data)] == ["base"]
    got = {path.name for path in (data / "models" / "base").iterdir()}
    assert got == set(scripted.files) - {"README.md"}
    assert "parley models use base" in result.stdout


def test_get_goes_on_where_it_stopped(hub: tuple[ScriptedHub, str], data: Path) -> None:
    scripted, endpoint = hub
    staging = data / "models" / ".base.part"
    staging.mkdir(parents=True)
    shutil.copy(MODEL / "model.bin", staging)
    result = get_base(data, endpoint)
    assert result.returncode == 0, result.stderr
    assert not [asked for asked in scripted.asked if asked.endswith("/model.bin")]


def test_get_throws_away_what_arrived_damaged(hub: tuple[ScriptedHub, str], data: Path) -> None:
    scripted, endpoint = hub
    scripted.damaged = True
    result = get_base(data, endpoint)
    assert result.returncode != 0
    assert "arrived damaged" in result.stderr
    assert in_data(data) == []
    assert get_base(data, endpoint).returncode == 0
    assert [model.name for model in in_data(data)] == ["base"]


def test_get_says_at_once_that_there_is_no_network(data: Path) -> None:
    result = get_base(data, "http://127.0.0.1:9")
    assert result.returncode != 0
    assert result.stderr.splitlines()[-1].endswith("BackendError: The model hub cannot be reached (no network?).")
    assert "Getting base" not in result.stderr
    assert not (data / "models").exists()
