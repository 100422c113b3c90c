"""How the gateway is: `/healthz` (it lives), `/readyz` (it can serve), `/api/v1/status` (what the page shows)."""

import asyncio
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from spectree import Response as Responses
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.openapi import describe
from gateway.wiring import Gateway
from parley import __version__, wire
from parley.engine_connection import engine_status
from parley.errors import BackendError, EngineError
from parley.transcript import Recognizer


class StatusBody(BaseModel):
    """`recognizer` is null while no engine is ready."""

    model_config = ConfigDict(frozen=True)
    version: str
    engine: Literal["ready", "unavailable"]
    recognizer: wire.RecognizerInfo | None


async def healthz(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """200 when a session could begin now, else 503; each part with what is wrong with it. Redis may be away."""
    gateway: Gateway = request.app.state.gateway
    database, storage, events, engine = await asyncio.gather(
        _said(gateway.recordings("readiness").page(count=1)),
        _said(gateway.blobs.check()),
        _said(gateway.events.check()),
        _said(_first_ready_engine(gateway)),
    )
    parts = {"database": database, "storage": storage, "engine": engine, "events": events}
    ready = not (database or storage or engine)
    body = {"status": "ready" if ready else "unavailable", "parts": {k: v or "ok" for k, v in parts.items()}}
    return JSONResponse(body, 200 if ready else 503)


@describe(resp=Responses(HTTP_200=StatusBody), tags=["status"])
async def status(request: Request) -> Response:
    """The version, and which recogniser writes."""
    try:
        recognizer = await _first_ready_engine(request.app.state.gateway)
    except EngineError:
        body = StatusBody(version=__version__, engine="unavailable", recognizer=None)
    else:
        body = StatusBody(version=__version__, engine="ready", recognizer=wire.RecognizerInfo.of(recognizer))
    return Response(body.model_dump_json(), media_type="application/json")


async def _first_ready_engine(gateway: Gateway) -> Recognizer:
    error = EngineError("There is no engine in the settings.")
    for url in gateway.settings.engine_urls:
        try:
            return await engine_status(url)
        except EngineError as unavailable:
            error = unavailable
    raise error


async def _said(check: Any) -> str | None:
    """What is wrong according to `check`; None when it passes."""
    try:
        await check
    except (BackendError, EngineError) as error:
        return error.message
    return None


routes = [
    Route("/healthz", healthz),
    Route("/readyz", readyz),
    Route("/api/v1/status", status, methods=["GET"]),
]
