"""`parley up` with real processes: PostgreSQL and Redis from their wheels, scripted gateway and engine."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import httpx
import psutil
import pytest

from parley.embedded.folder import end_leftovers
from parley.embedded.server import RunningServer, running_server

UP = (sys.executable, "-m", "tests.integration.scripted_up")
PARTS = ("postgres", "redis", "engine", "worker", "gateway")


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder of its own, not below pytest's: that is closed to the account that runs PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="up-") as folder:
        yield Path(folder) / "data"
        end_leftovers(Path(folder) / "data" / "run.json")


@pytest.fixture(scope="module")
def seed() -> Iterator[Path]:
    """A data folder that was used before."""
    with tempfile.TemporaryDirectory(prefix="up-") as folder:
        with running_server(Path(folder) / "data", command=UP):
            pass
        yield Path(folder) / "data"


@pytest.fixture
def used(seed: Path) -> Iterator[Path]:
    """`seed`, as the test before left it, so that a start takes no initdb."""
    (seed / "events").unlink(missing_ok=True)
    yield seed
    end_leftovers(seed / "run.json")


def eventually(holds: Callable[[], object], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def pids(data: Path) -> dict[str, int]:
    """The processes of the run in progress, by part."""
    return {name: pid for name, (pid, _) in json.loads((data / "run.json").read_text())["processes"].items()}


def family(data: Path) -> list[psutil.Process]:
    """Every process of the parts, PostgreSQL's own children included."""
    parents = [psutil.Process(pid) for pid in pids(data).values()]
    return [*parents, *(child for parent in parents for child in parent.children(recursive=True))]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that still run. A zombie whose new parent does not collect it (a container without an init) does not."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def events(data: Path) -> list[str]:
    """What the scripted services noted, as `gateway started`."""
    return [" ".join(line.split()[:2]) for line in (data / "events").read_text().splitlines()]


def said(data: Path) -> list[str]:
    return (data / "up.log").read_text().splitlines()


def answers(server: RunningServer) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{server.base_url}/readyz", timeout=5).status_code == 200
    return False


async def ask(database_url: str, query: str) -> object:
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def fail(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`parley up` where it is expected to end by itself."""
    return subprocess.run(
        (*UP, *arguments), capture_output=True, text=True, timeout=30, check=False, env={**os.environ, **env}
    )


def one_line(result: subprocess.CompletedProcess[str]) -> str:
    """What was said, which must be one line and nothing on stdout."""
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr.strip()


def test_a_first_start_brings_up_every_part_and_hands_the_services_their_urls(data: Path) -> None:
    with running_server(data, command=UP) as server:
        assert re.fullmatch(
            rf"Parley is ready at http://127\.0\.0\.1:\d+ · recogniser: scripted none · data in {data} · .*Ctrl-C.*",
            server.ready_line,
        )
        assert answers(server)
        env = json.loads((data / "gateway.env").read_text())
        assert env["PARLEY_GATEWAY__PORT"] == server.base_url.rpartition(":")[2]
        assert httpx.get(f"{json.loads(env['PARLEY_GATEWAY__ENGINE_URLS'])[0]}/healthz").json()["engine"] == "engine"
        assert env["PARLEY_BLOB_URL"] == f"file://{data}/blobs"
        assert len(env["PARLEY_SECRET_KEY"]) > 30
        assert asyncio.run(ask(env["PARLEY_DATABASE_URL"], "SELECT current_database()")) == "parley"
        assert asyncio.run(ask(env["PARLEY_DATABASE_URL"], "SHOW timezone")) == "UTC"
        assert Path(env["PARLEY_REDIS_URL"].removeprefix("unix://")).is_socket()
        if os.geteuid() == 0:
            assert all(uid != 0 for uid in psutil.Process(pids(data)["postgres"]).uids())
    assert server.process.returncode == 0


def test_a_second_start_is_quick_and_keeps_the_secret(used: Path) -> None:
    before, began = (used / "secret").read_text(), time.monotonic()
    with running_server(used, command=UP):
        assert time.monotonic() - began < 12
        assert (used / "secret").read_text() == before
    assert (used / "logs" / "postgres.1.log").exists()


def test_parts_stop_in_order_and_leave_nothing(used: Path) -> None:
    with running_server(used, command=UP) as server:
        sockets = Path(json.loads((used / "run.json").read_text())["sockets"])
        before = family(used)
        assert sockets.stat().st_mode & 0o066 == 0
    assert server.process.returncode == 0
    assert said(used)[-1] == "Stopped."
    assert "Stopping. Press Ctrl-C again to stop by force." in said(used)
    assert [line.split()[0] for line in said(used) if line.endswith("stopping")] == [
        "Gateway",
        "Worker",
        "Engine",
        "Redis",
        "PostgreSQL",
    ]
    assert events(used)[-3:] == ["gateway stopped", "batch stopped", "engine stopped"]
    assert not alive(before)
    assert not sockets.exists()
    assert "database system is shut down" in (used / "logs" / "postgres.log").read_text()


def test_a_killed_part_starts_again(used: Path) -> None:
    with running_server(used, command=UP) as server:
        for part in PARTS:
            before = pids(used)[part]
            readies = len([line for line in said(used) if "ready after" in line])
            os.kill(before, signal.SIGKILL)
            eventually(lambda count=readies: len([x for x in said(used) if "ready after" in x]) > count)  # type: ignore[misc]
            assert pids(used)[part] != before
        assert answers(server)


def test_requests_wait_while_the_gateway_restarts(used: Path) -> None:
    with running_server(used, command=UP) as server:
        os.kill(pids(used)["gateway"], signal.SIGKILL)
        eventually(lambda: not psutil.pid_exists(pids(used)["gateway"]))
        assert answers(server)


def test_kill_9_of_up_leaves_no_orphan_and_the_next_start_works_at_once(used: Path) -> None:
    with running_server(used, command=UP) as killed:
        orphans = family(used)
        assert len(orphans) > len(PARTS)
        sockets = json.loads((used / "run.json").read_text())["sockets"]
        killed.process.kill()
        port = int(killed.base_url.rpartition(":")[2])
        with running_server(used, command=UP, port=port) as server:
            assert server.base_url == killed.base_url
            assert answers(server)
            assert not alive(orphans)
            assert not Path(sockets).exists()


def test_kill_9_of_up_alone_ends_everything(used: Path) -> None:
    with running_server(used, command=UP) as server:
        orphans = family(used)
        server.process.kill()
        eventually(lambda: not alive(orphans), within_s=5)


def test_a_second_up_says_who_runs_and_where(used: Path) -> None:
    with running_server(used, command=UP) as server:
        result = fail("--port", "0", "--data", str(used))
        assert result.returncode == 3
        line = one_line(result)
        assert f"Open {server.base_url} " in line
        assert f"process {server.process.pid}" in line
        assert answers(server)
        port = server.base_url.rpartition(":")[2]
        assert f"Port {port} on 127.0.0.1 is taken by another Parley" in one_line(
            fail("--port", port, "--data", str(used.with_name("other")))
        )


def test_a_taken_port_is_told_in_one_line(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = fail("--port", str(port), "--data", str(data))
    assert result.returncode == 3
    assert f"Port {port} on 127.0.0.1 is taken by another program" in one_line(result)


def test_a_folder_that_cannot_be_written_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = fail("--data", str(tmp_path / "file" / "data"))
    assert result.returncode == 2
    assert f"{tmp_path}/file/data cannot be written" in one_line(result)


def test_a_database_of_another_major_version_is_told_in_one_line(data: Path) -> None:
    (data / "postgres").mkdir(parents=True)
    (data / "postgres" / "PG_VERSION").write_text("12\n")
    result = fail("--port", "0", "--data", str(data))
    assert result.returncode == 2
    assert "PostgreSQL 12" in one_line(result)


def test_a_wrong_setting_is_told_in_one_line(data: Path) -> None:
    result = fail("--data", str(data), PARLEY_GATEWAY__PORT="many")
    assert result.returncode == 2
    assert "PARLEY_GATEWAY__PORT" in one_line(result)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("/nowhere/model", "The configured model /nowhere/model cannot be used: no such folder."),
        ("smal", "There is no model 'smal' on this machine, and no known model has that name."),
        ("small", "The configured model 'small' is not on this machine, and the model hub is not asked"),
    ],
)
def test_a_configured_model_that_is_missing_is_told_before_anything_starts(data: Path, model: str, said: str) -> None:
    nothing = str(data.with_name("hf"))
    result = fail("--data", str(data), PARLEY_ENGINE__MODEL=model, HF_HUB_OFFLINE="1", HF_HOME=nothing)
    assert result.returncode == 2
    assert said in one_line(result)
    assert not data.exists()


def test_an_engine_that_says_why_it_cannot_run_is_quoted_without_its_log(used: Path) -> None:
    result = fail("--port", "0", "--data", str(used), "--engine=--fails 3 --says parley:&No&GPU.")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == "Engine: No GPU."


def test_an_engine_that_dies_again_and_again_is_given_up_with_its_last_words(used: Path) -> None:
    result = fail("--port", "0", "--data", str(used), "--engine=--fails 1")
    assert result.returncode == 1
    assert result.stdout == ""
    assert "Engine failed 5 times within 120 s; the last time it ended with status 1." in result.stderr
    assert result.stderr.rstrip().endswith("the engine says why it cannot go on")
    assert "gateway stopped" in events(used)
    assert not (used / "run.json").exists()


def test_an_engine_that_cannot_run_here_is_given_up_at_once(used: Path) -> None:
    result = fail("--port", "0", "--data", str(used), "--engine=--fails 3")
    assert result.returncode == 1
    assert "Engine cannot run here (it ended with status 3)." in result.stderr
    assert events(used).count("engine started") == 1


def test_a_second_signal_stops_by_force(used: Path) -> None:
    with running_server(used, command=(*UP, "--gateway=--ignores-stop")) as server:
        before, began = family(used), time.monotonic()
        server.process.send_signal(signal.SIGINT)
        eventually(lambda: "gateway stopped" in events(used))
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(5) == 130
        assert time.monotonic() - began < 5
        assert not alive(before)


def test_a_closed_terminal_stops_it(used: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and that is inherited
    try:
        with running_server(used, command=UP) as server:
            server.process.send_signal(signal.SIGHUP)
            assert server.process.wait(15) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_crash_of_everything_is_recovered_from(used: Path) -> None:
    with running_server(used, command=UP) as server:
        for process in (psutil.Process(server.process.pid), *family(used)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
    assert (used / "postgres" / "postmaster.pid").exists()
    with running_server(used, command=UP) as server:
        assert answers(server)


def test_a_lock_file_that_names_a_process_of_another_is_no_obstacle(used: Path) -> None:
    lock = used / "postgres" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{used}/postgres\n1\n5432\n/tmp\n\n\nready\n")
    with running_server(used, command=UP) as server:
        assert answers(server)


def test_a_deep_data_folder_works(data: Path) -> None:
    deep = data.joinpath(*(["a folder with a long name, and blanks"] * 5))
    assert len(str(deep)) > 150
    with running_server(deep, command=UP) as server:
        assert answers(server)


def test_a_part_whose_url_is_set_is_not_started(used: Path) -> None:
    with running_server(used, command=UP, env={"PARLEY_REDIS_URL": "redis://redis.example/0"}):
        assert set(pids(used)) == {"postgres", "engine", "worker", "gateway"}
        assert json.loads((used / "gateway.env").read_text())["PARLEY_REDIS_URL"] == "redis://redis.example/0"


def test_settings_for_another_postgresql_do_not_disturb_ours(used: Path) -> None:
    with running_server(used, command=UP, env={"PGPORT": "5999", "PGUSER": "someone", "PGHOST": "nowhere"}) as server:
        assert answers(server)


def test_several_of_a_service_each_have_an_address_and_a_process_of_their_own(used: Path) -> None:
    with running_server(used, command=UP, gateways=2, engines=2) as server:
        assert list(server.places) == ["engine", "engine-2", "worker", "gateway", "gateway-2"]
        assert server.base_urls == (server.places["gateway"], server.places["gateway-2"])
        for name, place in server.places.items():
            assert httpx.get(f"{place}/readyz").json()["pid"] == server.pid(name)
        for url in server.base_urls:
            env = json.loads((used / f"gateway-{url.rpartition(':')[2]}.env").read_text())
            assert json.loads(env["PARLEY_GATEWAY__ENGINE_URLS"]) == [
                server.places["engine"],
                server.places["engine-2"],
            ]
    assert events(used)[-5:] == [*["gateway stopped"] * 2, "batch stopped", *["engine stopped"] * 2]


def test_gateways_take_one_port_after_the_other(used: Path) -> None:
    with running_server(used, command=UP) as server:
        port = int(server.base_url.rpartition(":")[2])
    with running_server(used, command=UP, gateways=2, port=port) as server:
        assert server.base_urls == tuple(f"http://127.0.0.1:{port + index}" for index in (0, 1))
        taken = fail("--port", str(port), "--data", str(used.with_name("other")), PARLEY_UP__GATEWAYS="2")
        assert f"Port {port} on 127.0.0.1 is taken by another Parley" in one_line(taken)
    few = fail("--port", "65535", "--data", str(used), PARLEY_UP__GATEWAYS="2", PARLEY_UP__NGINX="no")
    assert "There are no 2 ports from 65535 up" in one_line(few)


def test_of_several_gateways_one_that_is_killed_refuses_at_once_while_the_other_serves(used: Path) -> None:
    with running_server(used, command=UP, gateways=2) as server:
        first, second = server.base_urls
        os.kill(server.pid("gateway"), signal.SIGKILL)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{first}/healthz", timeout=0.2)
        assert httpx.get(f"{second}/healthz").status_code == 200
        eventually(lambda: answers(server))
