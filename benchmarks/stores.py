"""Where a running server's own PostgreSQL listens."""

import json
from pathlib import Path

from parley.embedded import postgres
from parley.embedded.server import RunningServer


def database_url(server: RunningServer) -> str:
    return postgres.url(Path(json.loads((server.data / "run.json").read_text())["sockets"]))
