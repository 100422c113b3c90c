"""How a worker is, over HTTP: `/healthz` (it lives and hears), `/readyz` (it can work), `/metrics`."""

import asyncio
import os
import socket

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from batch.worker import Worker
from parley import __version__


def health_app(worker: Worker) -> Starlette:
    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        """200 while a step could be taken, else 503 and which part is missing."""
        troubles = await worker.troubles()
        body = {
            "status": "unavailable" if troubles else "ready",
            "version": __version__,
            "pid": os.getpid(),
            "parts": {part: troubles.get(part, "ok") for part in ("database", "broker", "consumer")},
            "queues": list(worker.kinds),
            "running": worker.running_steps,
        }
        return JSONResponse(body, 503 if troubles else 200)

    async def metrics_page(_request: Request) -> Response:
        return Response(generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics_page)],
    )


async def serve_health(worker: Worker, host: str, port: int, fd: int | None) -> None:
    """Serves until it is cancelled. Nothing where neither a port nor an inherited socket is given."""
    if not port and fd is None:
        await asyncio.Event().wait()
    config = uvicorn.Config(
        health_app(worker), host=host, port=port, log_config=None, access_log=False, server_header=False, lifespan="off"
    )
    await uvicorn.Server(config).serve(sockets=None if fd is None else [socket.socket(fileno=fd)])
