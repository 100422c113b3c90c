"""A worker that is connected to its broker and receives nothing notices that, and is started again."""

import json
import tempfile
from pathlib import Path

from tests.integration.batch_server import batch_server, ended, make_job, open_pool, until
from tests.integration.deafening_proxy import DeafeningProxy


async def test_a_deaf_worker_ends_and_its_successor_does_the_work() -> None:
    with tempfile.TemporaryDirectory(prefix="deaf-") as folder:
        data = Path(folder) / "data"

        def redis_socket() -> Path:
            return Path(json.loads((data / "run.json").read_text())["sockets"]) / "redis.sock"

        with (
            DeafeningProxy(redis_socket) as proxy,
            batch_server(1, data, BROKER_URL=proxy.url, DEAF_AFTER_S="3", ANNOUNCE_AFTER_S="1") as server,
        ):
            async with open_pool(server) as pool:
                assert (await until(pool, await make_job(pool), ended)).state == "succeeded"
                before = server.pid("worker")
                proxy.deafen()
                assert (await until(pool, await make_job(pool), ended, 60)).state == "succeeded"
                assert server.pid("worker") != before
                log = (data / "logs" / "worker.log").read_text()
                assert '"code": "deaf"' in log
                assert "none came here" in log
