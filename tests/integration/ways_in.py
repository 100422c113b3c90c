"""A gateway on its own database, that no worker and no engine serves: what comes in stays as it was taken."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from gateway.app import create_app
from parley.embedded import redis_server
from parley.embedded.server import RunningServer
from parley.settings import GatewaySettings, Settings

NOWHERE = 9
"""A port at which nobody answers."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a gateway keeps what it takes."""

    database_url: str
    blobs: Path
    redis_url: str = f"redis://127.0.0.1:{NOWHERE}/0"

    def settings(self, **values: Any) -> Settings:
        return Settings(
            database_url=self.database_url,
            redis_url=self.redis_url,
            secret_key="a test's",
            gateway=GatewaySettings(engine_urls=(f"http://127.0.0.1:{NOWHERE}",)),
            **{"blob_url": self.blobs.as_uri(), **values},
        )

    def files_of(self, recording_id: str) -> list[Path]:
        folder = self.blobs / "sources" / recording_id
        return sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []


def redis_of(server: RunningServer) -> str:
    """The address of a test server's own Redis."""
    return redis_server.url(Path(json.loads((server.data / "run.json").read_text())["sockets"]))


@contextlib.contextmanager
def serving_gateway(settings: Settings) -> Iterator[str]:
    """The address of a gateway in a thread of its own."""
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join(15)
        assert not thread.is_alive()
