"""RabbitMQ as a process of a test, with everything that is its own in one folder."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_S = 180.0


def binary() -> Path | None:
    """None where RabbitMQ is not installed."""
    found = subprocess.run(
        [ROOT / "scripts" / "find-rabbitmq", "--only-find"], capture_output=True, text=True, check=False
    )
    return Path(found.stdout.strip()) if found.returncode == 0 else None


class RabbitMQ:
    """A server that can be ended and started again. Its queues are kept, as they would be."""

    def __init__(self, program: Path, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._ports = _free_ports(3)
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._ports[0]}//"

    def start(self) -> None:
        """Returns when it takes connections. Erlang's register of names is started first: else it starts itself, as a
        daemon that stays behind."""
        register = ("epmd", "-port", str(self._ports[2]), "-address", "127.0.0.1")
        with (self._folder / "rabbitmq.log").open("ab") as log:
            for command in (register, (str(self._program),)):
                self._processes.append(
                    subprocess.Popen(command, env=self._env(), stdout=log, stderr=log, start_new_session=True)
                )
        deadline = time.monotonic() + START_S
        while not self._answers():
            on_its_way = self._processes[-1].poll() is None and time.monotonic() < deadline
            assert on_its_way, (self._folder / "rabbitmq.log").read_text()[-4000:]
            time.sleep(0.2)

    def kill(self) -> None:
        """All that belongs to it, at once."""
        while self._processes:
            process = self._processes.pop()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def queues(self) -> dict[str, str]:
        """Each queue's kind, as RabbitMQ itself says it."""
        command = [
            str(self._program.with_name("rabbitmqctl")),
            "--silent",
            "list_queues",
            "--no-table-headers",
            "name",
            "type",
        ]
        said = subprocess.run(command, env=self._env(), capture_output=True, text=True, check=True, timeout=60).stdout
        return dict(line.split("\t") for line in said.splitlines() if "\t" in line)

    def _env(self) -> dict[str, str]:
        amqp, distribution, epmd = self._ports
        return {
            **os.environ,
            "HOME": str(self._folder),
            "RABBITMQ_NODENAME": f"parley{amqp}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(amqp),
            "RABBITMQ_DIST_PORT": str(distribution),
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(self._folder / "none.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        }

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self._ports[0]), timeout=2) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(connection.recv(1))
        except OSError:
            return False


@contextlib.contextmanager
def rabbitmq(folder: Path) -> Iterator[RabbitMQ]:
    program = binary()
    assert program is not None
    (folder / "rabbitmq.conf").write_text("loopback_users.guest = true\n")
    server = RabbitMQ(program, folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in taken]
