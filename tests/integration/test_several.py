"""Two gateways and two engines of one `parley up`, without nginx: a client that knows both gateways loses nothing."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import httpx
import pytest

from parley.embedded.server import RunningServer, running_server
from tests.conftest import CLIPS, MINI_WHISPER
from tests.integration.live import Followed, eventually, follow, speak

CLIP = CLIPS[11]
BACK_WITHIN_S = 3.0


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with running_server(gateways=2, engines=2, env={"PARLEY_ENGINE__MODEL": str(MINI_WHISPER)}) as running:
        yield running


async def all_ready(server: RunningServer) -> None:
    """Until every gateway knows every engine as ready."""

    async def know_all() -> bool:
        try:
            answers = [(await client.get(f"{url}/readyz")).json() for url in server.base_urls]
        except httpx.HTTPError:
            return False
        return all([engine["state"] for engine in answer["engines"]] == ["ready"] * 2 for answer in answers)

    async with httpx.AsyncClient(timeout=10) as client:
        await eventually(know_all)


def whole(heard: Followed) -> None:
    assert heard.text == CLIP.text
    assert heard.segments == list(range(len(heard.segments)))


async def test_each_gateway_serves_and_knows_both_engines(server: RunningServer) -> None:
    await all_ready(server)
    for url in server.base_urls:
        assert (await speak(url, CLIP)).text == CLIP.text


@pytest.mark.parametrize("part", ["gateway", "engine"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
async def test_a_part_that_ends_in_the_middle_costs_no_word_and_little_time(
    server: RunningServer, part: str, number: signal.Signals
) -> None:
    await all_ready(server)
    sessions = [asyncio.create_task(follow(server.base_urls, CLIP)) for _ in range(4)]
    await asyncio.sleep(2)
    os.kill(server.pid(part), number)
    ended = time.monotonic()
    for heard in await asyncio.gather(*sessions):
        whole(heard)
        assert (heard.resumed > 0) == (part == "gateway")
        assert min(at for at in heard.text_at_s if at > ended) - ended < BACK_WITHIN_S
