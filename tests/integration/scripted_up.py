"""`parley up` with scripted services: `[--gateway WORDS] [--engine WORDS] --port N --data DIR`."""

import argparse
import sys
from pathlib import Path

from parley.embedded.parts import Services
from parley.up import run

SERVICE = str(Path(__file__).with_name("scripted_service.py"))


async def no_migration(_database_url: str) -> None:
    pass


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--gateway", default="")
    parser.add_argument("--engine", default="")
    parser.add_argument("--port", type=int)
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    services = Services(
        gateway=(sys.executable, SERVICE, "gateway", *given.gateway.split()),
        engine=(sys.executable, SERVICE, "engine", *given.engine.split()),
        migrate=no_migration,
    )
    sys.exit(run(data=given.data, services=services, gateway={"port": given.port}))
