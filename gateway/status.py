"""How the gateway is: `/healthz` (it lives), `/readyz` (it can serve), `/api/v1/status` (what the page shows)."""

import asyncio
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict
from spectree import Response as Responses
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.openapi import describe
from gateway.wiring import Gateway
from parley import __version__, wire
from parley.engine_pool import EngineState
from parley.errors import BackendError


class EngineBody(BaseModel):
    """One engine. `load` is 0 idle, 1 full; while it is not ready, `load` is null and `reason` says why."""

    model_config = ConfigDict(frozen=True)
    address: str
    state: Literal["ready", "unavailable"]
    load: float | None
    reason: str

    @classmethod
    def of(cls, engine: EngineState) -> Self:
        if engine.report is None:
            return cls(address=engine.address, state="unavailable", load=None, reason=engine.reason)
        return cls(address=engine.address, state="ready", load=round(engine.report.load, 3), reason="")


class StatusBody(BaseModel):
    """`recognizer` is null while no engine is ready; else it is the first one's that is."""

    model_config = ConfigDict(frozen=True)
    version: str
    engine: Literal["ready", "unavailable"]
    recognizer: wire.RecognizerInfo | None
    engines: list[EngineBody]


async def healthz(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """200 when a session could begin now, else 503; each part with what is wrong with it. Redis may be away.

    A gateway that stops says 503 with all parts in order, so that nobody new is sent to it.
    """
    gateway: Gateway = request.app.state.gateway
    database, storage, events, _ = await asyncio.gather(
        _said(gateway.recordings("readiness").page(count=1)),
        _said(gateway.blobs.check()),
        _said(gateway.events.check()),
        gateway.engines.first_look(),
    )
    engines = gateway.engines.states()
    engine = _none_ready(engines)
    parts = {"database": database, "storage": storage, "engine": engine, "events": events}
    ready = not (database or storage or engine or gateway.sessions.going_away)
    body = {
        "status": "ready" if ready else "unavailable",
        "parts": {k: v or "ok" for k, v in parts.items()},
        "engines": [EngineBody.of(engine).model_dump() for engine in engines],
    }
    return JSONResponse(body, 200 if ready else 503)


@describe(resp=Responses(HTTP_200=StatusBody), tags=["status"])
async def status(request: Request) -> Response:
    """The version, which recogniser writes, and each engine."""
    gateway: Gateway = request.app.state.gateway
    await gateway.engines.first_look()
    engines = gateway.engines.states()
    report = next((engine.report for engine in engines if engine.report), None)
    body = StatusBody(
        version=__version__,
        engine="ready" if report else "unavailable",
        recognizer=wire.RecognizerInfo.of(report.recognizer) if report else None,
        engines=[EngineBody.of(engine) for engine in engines],
    )
    return Response(body.model_dump_json(), media_type="application/json")


def _none_ready(engines: Sequence[EngineState]) -> str | None:
    """What is wrong where no engine is ready: the words of each."""
    if any(engine.report for engine in engines):
        return None
    return " ".join(dict.fromkeys(engine.reason for engine in engines)) or "There is no engine in the settings."


async def _said(check: Any) -> str | None:
    """What is wrong according to `check`; None when it passes."""
    try:
        await check
    except BackendError as error:
        return error.message
    return None


routes = [
    Route("/healthz", healthz),
    Route("/readyz", readyz),
    Route("/api/v1/status", status, methods=["GET"]),
]
