"""`parley up` with scripted services: `[--gateway WORDS] [--engine WORDS] [--worker WORDS] [--rag WORDS]
--port N --data DIR`; with `--real-workers` these are real."""

import argparse
import sys
from pathlib import Path

from parley.embedded.parts import Services
from parley.store import migrate
from parley.up import run

SERVICE = str(Path(__file__).with_name("scripted_service.py"))


async def no_migration(_database_url: str) -> None:
    pass


def services(given: argparse.Namespace) -> Services:
    """Real workers need a real database."""
    scripted = {
        kin: (sys.executable, SERVICE, name, *getattr(given, kin).split())
        for kin, name in (("gateway", "gateway"), ("engine", "engine"), ("worker", "batch"), ("rag", "rag"))
    }
    if given.real_workers:
        del scripted["worker"]
        return Services(**scripted, migrate=migrate)
    return Services(**scripted, migrate=no_migration)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--gateway", default="")
    parser.add_argument("--engine", default="")
    parser.add_argument("--worker", default="")
    parser.add_argument("--rag", default="")
    parser.add_argument("--real-workers", action="store_true")
    parser.add_argument("--port", type=int)
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    sys.exit(run(data=given.data, services=services(given), gateway={"port": given.port}))
