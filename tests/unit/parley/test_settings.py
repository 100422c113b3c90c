"""Settings: every one is documented, the environment wins over the file, a wrong value is named."""

import subprocess
import sys
from pathlib import Path

import pytest

from parley.errors import SetupError
from parley.settings import load_settings

ROOT = Path(__file__).parents[3]


def test_the_settings_page_shows_every_field_as_it_is() -> None:
    printed = subprocess.run(
        [sys.executable, ROOT / "scripts" / "settings-page"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert printed == (ROOT / "docs" / "settings.md").read_text(), "run scripts/settings-page > docs/settings.md"


def test_the_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.toml").write_text('[engine]\nmodel = "small"\nbeam_size = 2\n')
    monkeypatch.setenv("PARLEY_DATA", str(tmp_path))
    monkeypatch.setenv("PARLEY_ENGINE__BEAM_SIZE", "3")
    engine = load_settings().engine
    assert (engine.model, engine.beam_size) == ("small", 3)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PARLEY_GATEWAY__PORT", "99999"), ("PARLEY_ENGINE__RECOGNIZER", "sphinx5"), ("PARLEY_LOG_LEVEL", "loud")],
)
def test_a_wrong_value_is_named_with_its_setting(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SetupError, match=rf"{variable}.*{value}"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("PARLEY_GATEWAY__SEGMENTER__SILENCE_THRESHOLD", "0.7", "silence_threshold is above speech_threshold"),
        ("PARLEY_GATEWAY__SEGMENTER__TAIL_MS", "600", "tail_ms is above trailing_silence_ms"),
        ("PARLEY_ENGINE__MAX_SEGMENT_S", "20", "engine.max_segment_s"),
        ("PARLEY_GATEWAY__ENGINE_URLS", '["engine:8001"]', "'engine:8001' is no address such as"),
        ("PARLEY_GATEWAY__ENGINE_URLS", '["http://engine:port"]', "'http://engine:port' is no address such as"),
    ],
)
def test_settings_that_contradict_are_refused(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, named: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SetupError, match=named):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value", "shown"),
    [
        ("PARLEY_BLOB_URL", "ftp://store/x", "ftp://store/x"),
        ("PARLEY_BLOB_URL", "/var/blobs", "/var/blobs"),
        ("PARLEY_BLOB_URL", "file:blobs", "file:blobs"),
        ("PARLEY_BLOB_URL", "s3:bucket", "s3:bucket"),
        ("PARLEY_REDIS_URL", "http://cache:6379", "http://cache:6379"),
        ("PARLEY_REDIS_URL", "cache:6379", "cache:6379"),
        ("PARLEY_REDIS_URL", "redis://:a/b@cache:6379/0", "redis://:***@cache:6379/0"),
        ("PARLEY_REDIS_URL", "redis://cache:port", "redis://cache:port"),
        ("PARLEY_DATABASE_URL", "mysql://parley:hidden@db/parley", "mysql://parley:***@db/parley"),
        ("PARLEY_DATABASE_URL", "parley:hidden@db/parley", "parley:***@db/parley"),
    ],
)
def test_an_address_of_no_such_service_is_named_with_its_setting_but_without_its_password(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, shown: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SetupError) as raised:
        load_settings()
    assert raised.value.message.startswith(f"Setting {variable}: {shown!r} is no address such as ")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PARLEY_BLOB_URL", ""),
        ("PARLEY_BLOB_URL", "file:///var/blobs"),
        ("PARLEY_BLOB_URL", "memory:///"),
        ("PARLEY_BLOB_URL", "s3://bucket/prefix"),
        ("PARLEY_BLOB_URL", "gs://bucket"),
        ("PARLEY_BLOB_URL", "az://container"),
        ("PARLEY_REDIS_URL", "redis://:secret@redis:6379/0"),
        ("PARLEY_REDIS_URL", "rediss://cache"),
        ("PARLEY_REDIS_URL", "unix:///run/redis.sock"),
        ("PARLEY_DATABASE_URL", "postgresql:///parley?host=/run/sockets"),
        ("PARLEY_DATABASE_URL", "postgres://parley@a:5432,b:5432/parley"),
    ],
)
def test_addresses_of_what_is_taken_are_taken(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(load_settings(), variable.removeprefix("PARLEY_").lower()) == value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[engine\n", " cannot be read: "),
        (b"log_level = '\xe4'\n", " cannot be read: "),
        (b"[engine]\nmodle = 'x'\n", ": [engine] modle: no such setting."),
        (b"[gateway.segmenter]\ntail_ms = 1\n", ": [gateway.segmenter] tail_ms: Input should be greater"),
        (b"log_level = 'loud'\n", ": log_level: Input should be"),
        (b"engine = 3\n", ": engine: Input should be"),
    ],
)
def test_what_is_wrong_in_the_settings_file_is_named_with_the_file_and_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, said: str
) -> None:
    (tmp_path / "settings.toml").write_bytes(content)
    monkeypatch.setenv("PARLEY_DATA", str(tmp_path))
    with pytest.raises(SetupError) as raised:
        load_settings()
    assert raised.value.message.startswith(f"{tmp_path}/settings.toml{said}")


def test_a_variable_that_overrides_the_file_is_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "settings.toml").write_text("[engine]\nbeam_size = 3\n")
    monkeypatch.setenv("PARLEY_DATA", str(tmp_path))
    monkeypatch.setenv("PARLEY_ENGINE__BEAM_SIZE", "99")
    with pytest.raises(SetupError, match=r"^Setting PARLEY_ENGINE__BEAM_SIZE: .*99"):
        load_settings()


def test_a_variable_that_holds_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_GATEWAY", "many")
    with pytest.raises(SetupError, match="gateway"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PARLEY_ENGINE__GPUS", "0,1"),
        ("PARLEY_ENGINE__GPUS", "1"),
        ("PARLEY_GATEWAY__ENGINE_URLS", "http://a:1,http://b:2"),
    ],
)
def test_a_list_that_is_no_json_is_named_with_its_value(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SetupError, match=f"Setting {variable}: a JSON list is wanted, .*{value}"):
        load_settings()


def test_a_setting_of_several_kinds_tells_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_ENGINE__FINAL_WINDOW", "31")
    with pytest.raises(SetupError, match=r"'full' or 'fit'.*; or .* less than or equal to 30"):
        load_settings()
