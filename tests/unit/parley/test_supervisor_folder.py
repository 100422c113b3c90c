"""The data folder: its lock, its secret, its logs, and what a killed run left behind."""

import errno
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from parley.embedded import folder, postgres, redis_server, sockets
from parley.embedded.folder import AlreadyRuns, Holder, Lock, RunRecord
from parley.embedded.process import Account
from parley.errors import SetupError


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_new_folder_is_private(tmp_path: Path) -> None:
    data = folder.prepare(tmp_path / "deep" / "data")
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert (data / "logs").is_dir()


def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100, 99, 7 * 2**20))
    with pytest.raises(SetupError, match="Only 7 MB are free"):
        folder.prepare(tmp_path)


def test_a_disk_that_is_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(SetupError, match="cannot be written: No space left on device"):
        folder.prepare(tmp_path)


def test_one_at_a_time_and_the_second_is_told_who(tmp_path: Path) -> None:
    lock = Lock.take(tmp_path)
    lock.say(Holder(4711, "http://127.0.0.1:8123"))
    with pytest.raises(AlreadyRuns, match=r"\(process 4711\)\. Open http://127\.0\.0\.1:8123 "):
        Lock.take(tmp_path)
    assert folder.holder(tmp_path) == Holder(4711, "http://127.0.0.1:8123")
    lock.release()
    assert folder.holder(tmp_path) is None
    Lock.take(tmp_path).release()


def test_the_secret_is_made_once_and_kept_private(tmp_path: Path) -> None:
    secret = folder.secret(tmp_path)
    assert folder.secret(tmp_path) == secret
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_an_empty_secret_is_told(tmp_path: Path) -> None:
    (tmp_path / "secret").touch()
    with pytest.raises(SetupError, match="remove it"):
        folder.secret(tmp_path)


def test_a_start_keeps_the_three_logs_before(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    for run in range(6):
        folder.rotate(log)
        log.write_text(f"run {run}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("engine.1.log", "engine.2.log", "engine.3.log", "engine.log"),
    ]
    assert (tmp_path / "engine.3.log").read_text() == "run 2"


def test_sockets_get_a_short_path_even_where_tmpdir_is_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    made = folder.socket_folder()
    made.rmdir()
    assert len(str(made / "pg" / ".s.PGSQL.5432")) < 104


def test_what_a_killed_run_left_is_ended(tmp_path: Path) -> None:
    record = RunRecord.begin(tmp_path)
    with subprocess.Popen(("sleep", "60"), start_new_session=True) as left:
        record.add("engine", left.pid)
        folder.end_leftovers(tmp_path / "run.json", patience_s=0.05)
        assert left.wait(5) == -9
    assert not record.sockets.exists()
    assert not (tmp_path / "run.json").exists()


def test_a_process_that_only_has_the_same_number_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(("sleep", "60"), start_new_session=True) as other:
        created = psutil.Process(other.pid).create_time() - 100
        run = {"sockets": str(tmp_path / "parley-x"), "processes": {"engine": [other.pid, created]}}
        (tmp_path / "run.json").write_text(json.dumps(run))
        folder.end_leftovers(tmp_path / "run.json", patience_s=0.0)
        assert other.poll() is None
        other.kill()


def test_a_run_record_that_cannot_be_read_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{half")
    RunRecord.begin(tmp_path).end()


def test_a_wheel_that_is_missing_is_told_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (postgres, redis_server):
        monkeypatch.setattr(module, "find_spec", lambda _: None)
    with pytest.raises(SetupError, match=r"pip install 'parley\[embedded\]'.*PARLEY_DATABASE_URL"):
        postgres.Cluster(tmp_path, tmp_path).command()
    with pytest.raises(SetupError, match=r"pip install 'parley\[embedded\]'.*PARLEY_REDIS_URL"):
        redis_server.binary()


def test_only_the_way_through_is_opened(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    postgres.let_through(closed / "data", Account(uid=54321, gid=54321))
    assert stat.S_IMODE(closed.stat().st_mode) == 0o701


def test_a_half_made_database_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "postgres.unfinished").mkdir()
    assert postgres.Cluster(tmp_path / "postgres", tmp_path).version() is None


def test_an_address_is_written_as_this_machine_reaches_it() -> None:
    assert sockets.address("0.0.0.0", 8000) == "http://127.0.0.1:8000"
    assert sockets.address("::", 8000) == "http://[::1]:8000"


def test_a_host_that_is_not_here_is_told() -> None:
    with pytest.raises(SetupError, match=r"Cannot listen on 192\.0\.2\.1"):
        sockets.listen("192.0.2.1", 0)
    with pytest.raises(SetupError, match="cannot be resolved"):
        sockets.listen("no.such.host.invalid", 0)


def test_connections_wait_in_the_queue() -> None:
    with sockets.listen("127.0.0.1", 0) as listener:
        began = time.monotonic()
        with socket.create_connection(listener.getsockname(), timeout=1):
            assert time.monotonic() - began < 1


def test_the_lock_is_free_after_kill_9(tmp_path: Path) -> None:
    script = (
        "import os, sys, signal; from pathlib import Path; from parley.embedded.folder import Lock;"
        "lock = Lock.take(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run((sys.executable, "-c", script, str(tmp_path)), check=False, timeout=20)
    Lock.take(tmp_path).release()
