"""By which names the gateway answers, and what it says to others."""

from collections.abc import Sequence

import httpx
import pytest
from starlette.types import Message, Scope

from gateway.app import create_app
from parley.settings import GatewaySettings, Settings


async def answer(host: str, *, allowed: Sequence[str] = (), listening: str = "127.0.0.1") -> httpx.Response:
    settings = Settings(gateway=GatewaySettings(host=listening, allowed_hosts=tuple(allowed)))
    transport = httpx.ASGITransport(create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.get("/healthz", headers={"Host": host})


@pytest.mark.parametrize("host", ["notes.example", "notes.example:8143", "user@localhost", "[::1", "", "x" * 9000])
async def test_a_host_that_is_not_known_is_named_with_the_setting_that_allows_it(host: str) -> None:
    refused = await answer(host)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert (error["code"], error["retryable"]) == ("unknown_host", False)
    assert error["request_id"] == refused.headers["x-request-id"]
    assert host[:253] in error["message"]
    assert "PARLEY_GATEWAY__ALLOWED_HOSTS" in error["message"]
    assert len(error["message"]) < 500


@pytest.mark.parametrize("host", ["notes.example", "notes.example:8143", "NOTES.example"])
async def test_a_host_that_is_allowed_is_answered_on_every_port(host: str) -> None:
    assert (await answer(host, allowed=["notes.example"])).json() == {"status": "ok"}
    assert (await answer(host, allowed=["*.example"])).status_code == 200
    assert (await answer(host, allowed=["other.example"])).json()["error"]["code"] == "unknown_host"


async def test_any_host_is_answered_where_the_gateway_does_not_listen_on_a_loopback_address_only() -> None:
    assert (await answer("notes.example", listening="0.0.0.0")).status_code == 200


async def test_a_session_under_an_unknown_host_is_refused_before_it_is_one() -> None:
    sent: list[Message] = []
    scope: Scope = {"type": "websocket", "path": "/ws/s2t", "headers": [(b"host", b"notes.example")]}

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    await create_app(Settings())(scope, receive, send)
    assert [message["type"] for message in sent] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert sent[0]["status"] == 400
    assert b'"unknown_host"' in sent[1]["body"]
