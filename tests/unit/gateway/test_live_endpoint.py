"""The endpoint of live sessions, as far as it goes without a session."""

from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from gateway.app import RequestIds
from gateway.live import live
from gateway.sessions import Sessions


async def test_a_gateway_that_stops_refuses_while_it_is_still_http() -> None:
    app = Starlette(routes=[WebSocketRoute("/ws/s2t", live)], middleware=[Middleware(RequestIds)])
    app.state.gateway = SimpleNamespace(sessions=Sessions())
    await app.state.gateway.sessions.drain(timeout_s=1)
    with (
        pytest.raises(WebSocketDenialResponse) as denied,
        TestClient(app).websocket_connect("/ws/s2t", headers={"X-Request-Id": "of-the-proxy"}),
    ):
        pass
    assert denied.value.status_code == 503
    error = denied.value.json()["error"]
    assert (error["code"], error["retryable"], error["request_id"]) == ("going_away", True, "of-the-proxy")
