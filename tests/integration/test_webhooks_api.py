"""REST for webhooks: made, changed, tried out, and their log read; what cannot be told is refused at once."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from parley import store
from parley.embedded.server import RunningServer
from parley.store.webhooks import MOST_WEBHOOKS, Webhooks
from parley.webhooks import EVENTS

PATH = "/api/v1/webhooks"
URL = "https://receiver.example/hook"


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.base_url) as client:
        yield client


@pytest.fixture
async def pool(server: RunningServer) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(server.database_url)
    yield pool
    await pool.execute("DELETE FROM webhooks")
    await pool.close()


async def refused(response: httpx.Response, status: int, code: str) -> str:
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code)
    return str(error["message"])


async def test_a_webhook_shows_its_secret_once(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    made = await client.post(PATH, json={"url": URL})
    assert made.status_code == 201
    body = made.json()
    assert body.pop("secret").startswith("whsec_")
    assert (body["url"], body["events"], body["active"], body["why_off"]) == (URL, list(EVENTS), True, None)
    assert (await client.get(f"{PATH}/{body['id']}")).json() == body
    assert (await client.get(PATH)).json() == {"webhooks": [body]}


async def test_a_webhook_is_changed_bit_by_bit_and_deleted(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    given = {"url": URL, "events": ["job.dead", "job.dead"], "secret": "0123456789abcdef"}
    made = (await client.post(PATH, json=given)).json()
    assert (made["events"], made["secret"]) == (["job.dead"], given["secret"])
    path = f"{PATH}/{made['id']}"
    changed = (await client.patch(path, json={"active": False})).json()
    assert changed == {name: made[name] for name in changed} | {"active": False}
    changed = (await client.patch(path, json={"url": f"{URL}2", "events": ["job.failed"], "secret": "x" * 20})).json()
    assert (changed["url"], changed["events"], changed["active"]) == (f"{URL}2", ["job.failed"], False)
    assert (await Webhooks(pool, "local").get(made["id"])).secret == "x" * 20
    assert (await client.delete(path)).status_code == 204
    for response in (await client.get(path), await client.patch(path, json={}), await client.delete(path)):
        await refused(response, 404, "no_such_webhook")


@pytest.mark.parametrize(
    ("change", "code", "wrong"),
    [
        ({"url": "ftp://receiver.example/"}, "forbidden_url", "ftp"),
        ({"url": "receiver.example"}, "forbidden_url", "http"),
        ({"url": "https://u:p@receiver.example/"}, "forbidden_url", "password"),
        ({"url": "https://receiver.example:22/"}, "forbidden_url", "port 22"),
        ({"url": "http://127.0.0.1/"}, "forbidden_address", "not public"),
        ({"url": "http://0x7f.1/"}, "forbidden_address", "not public"),
        ({"url": "http://[::1]:8000/"}, "forbidden_address", "not public"),
        ({"url": "http://169.254.169.254/"}, "forbidden_address", "metadata"),
        ({"url": ""}, "bad_request", "url"),
        ({"url": "https://receiver.example/" + "x" * 2000}, "bad_request", "url"),
        ({"events": []}, "bad_request", "events"),
        ({"events": ["job.exploded"]}, "bad_request", "job.exploded"),
        ({"secret": "short"}, "bad_request", "secret"),
        ({"secret": "with a blank in it"}, "bad_request", "secret"),
        ({"colour": "red"}, "bad_request", "colour"),
    ],
)
async def test_what_cannot_be_told_is_refused_at_once(
    client: httpx.AsyncClient, pool: asyncpg.Pool, change: dict[str, Any], code: str, wrong: str
) -> None:
    assert wrong in await refused(await client.post(PATH, json={"url": URL} | change), 400, code)
    made = (await client.post(PATH, json={"url": URL})).json()
    assert wrong in await refused(await client.patch(f"{PATH}/{made['id']}", json=change), 400, code)
    assert len((await client.get(PATH)).json()["webhooks"]) == 1


async def test_no_more_webhooks_than_there_can_be(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    for _ in range(MOST_WEBHOOKS):
        assert (await client.post(PATH, json={"url": URL})).status_code == 201
    await refused(await client.post(PATH, json={"url": URL}), 409, "too_many")


async def test_a_test_is_in_the_log_and_the_log_is_paged(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    made = (await client.post(PATH, json={"url": URL})).json()
    sent = [(await client.post(f"{PATH}/{made['id']}/test")) for _ in range(3)]
    assert {response.status_code for response in sent} == {202}
    assert sent[0].json()["event"] == sent[0].json()["payload"]["type"] == "webhook.test"
    path = f"{PATH}/{made['id']}/deliveries"
    first = (await client.get(path, params={"limit": 2})).json()
    rest = (await client.get(path, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    ids = [each["id"] for each in (*first["deliveries"], *rest["deliveries"])]
    assert (ids, rest["next_cursor"]) == ([response.json()["id"] for response in sent][::-1], None)
    everything = (await client.get(f"{PATH}/deliveries", params={"limit": 200})).json()["deliveries"]
    assert {each["id"] for each in everything} >= set(ids)
    assert (await client.get(f"{PATH}/deliveries", params={"job": str(uuid4())})).json()["deliveries"] == []
    for response in (await client.get(f"{PATH}/{uuid4()}/deliveries"), await client.post(f"{PATH}/{uuid4()}/test")):
        await refused(response, 404, "no_such_webhook")
    await refused(await client.get(path, params={"cursor": "x"}), 400, "bad_request")
    await refused(await client.get(path, params={"state": "lost"}), 400, "bad_request")
    await refused(await client.get(f"{PATH}/deliveries", params={"job": "x"}), 404, "no_such_job")


async def test_what_is_over_can_be_delivered_once_more(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    made = (await client.post(PATH, json={"url": URL})).json()
    delivery = (await client.post(f"{PATH}/{made['id']}/test")).json()["id"]
    await pool.execute(
        "UPDATE webhook_deliveries SET state = 'failed', finished_at = now(), fence = fence + 1 WHERE id::text = $1",
        delivery,
    )
    again = await client.post(f"{PATH}/deliveries/{delivery}/redeliver")
    assert (again.status_code, again.json()["state"], again.json()["attempts"]) == (202, "pending", 0)
    await refused(await client.post(f"{PATH}/deliveries/{uuid4()}/redeliver"), 404, "no_such_delivery")


async def test_the_key_of_jobs_own_addresses_is_shown_and_replaced(client: httpx.AsyncClient) -> None:
    first = (await client.get(f"{PATH}/key")).json()
    assert first == (await client.get(f"{PATH}/key")).json()
    second = (await client.post(f"{PATH}/key")).json()
    assert second == (await client.get(f"{PATH}/key")).json() != first


async def test_another_owners_webhooks_are_not_found(client: httpx.AsyncClient, pool: asyncpg.Pool) -> None:
    theirs = await Webhooks(pool, "somebody else").create(URL, EVENTS)
    await refused(await client.get(f"{PATH}/{theirs.id}"), 404, "no_such_webhook")
    assert (await client.get(PATH)).json() == {"webhooks": []}
