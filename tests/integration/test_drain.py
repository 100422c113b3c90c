"""A gateway that is asked to stop makes durable what it has, sends its sessions elsewhere, and is gone in time."""

import asyncio
import json
import os
import signal
import time

import httpx
import numpy as np

from parley import wire
from parley.embedded.server import RunningServer
from tests.integration.live import chunked
from tests.integration.test_resume import SPEECH, hear, opened, ready_of, stored


def gateway_pid(server: RunningServer) -> int:
    return int(json.loads((server.data / "run.json").read_text())["processes"]["gateway"][0])


async def test_a_stopping_gateway_acknowledges_all_and_tells_its_clients_to_resume(server: RunningServer) -> None:
    pid = gateway_pid(server)
    connection, heard = await opened(server)
    hearing = asyncio.create_task(hear(connection, heard))
    half = len(SPEECH) // 2
    for chunk in chunked(SPEECH[:half]):
        await connection.send(chunk)
    await asyncio.sleep(0.3)
    asked = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    await hearing
    assert heard.error_codes == ["going_away"]
    assert heard.of(wire.Error)[0].retryable
    assert heard.close_code == 1012
    acknowledged = heard.of(wire.Ack)[-1].samples
    while gateway_pid(server) == pid:
        assert time.monotonic() - asked < 12
        await asyncio.sleep(0.05)
    connection, again = await opened(server, resume=ready_of(heard).resume_token)
    assert ready_of(again).next_sample == acknowledged > 0
    for chunk in chunked(SPEECH[acknowledged:]):
        await connection.send(chunk)
    await connection.send('{"type": "stop"}')
    await hear(connection, again)
    assert isinstance(again.messages[-1], wire.Closed)
    assert np.array_equal((await stored(server, again.recording_id))[2], SPEECH)
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        assert (await client.get("/readyz")).status_code == 200
