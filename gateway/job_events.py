"""One job, watched: server-sent events with its state now, what was missed, and every change."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

from spectree import Response as Responses
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admission import check_origin, owner_of
from gateway.events import KEEP_ALIVE_S, JobEvent
from gateway.openapi import ErrorBody, describe
from gateway.wiring import Gateway
from parley.errors import BackendError, NotFound
from parley.job_events import job_event
from parley.jobs import Job
from parley.logs import get_logger
from parley.store.jobs import Jobs, step_rates

_RETRY_S = 2.0
_EVENT_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_log = get_logger(__name__)


@describe(resp=Responses(HTTP_200=JobEvent, HTTP_404=ErrorBody), tags=["jobs", "events"])
async def watch_job(request: Request) -> Response:
    """A stream of `job` events (text/event-stream): how the job is now, then each change. With `Last-Event-ID` what was
    missed comes first. It ends where the job is deleted.
    """
    gateway: Gateway = request.app.state.gateway
    check_origin(request, gateway.settings.allowed_origins)
    owner, job_id = owner_of(request), str(request.path_params["id"])
    await Jobs(gateway.pool, owner).get(job_id)
    last_id = request.headers.get("last-event-id", "")
    watch = _Watch(gateway, owner, job_id)
    return EventSourceResponse(watch.run(last_id if _EVENT_ID.fullmatch(last_id) else None), ping=KEEP_ALIVE_S)


def deleted_event(job: Job) -> dict[str, Any]:
    """What an event says of a job that is no more."""
    gone = {"delayed": None, "step": None, "stage": None, "percent": 0, "remaining_s": None}
    return {"job_id": job.id, "recording_id": job.recording_id, "state": "deleted", **gone}


class _Gone(Exception):
    pass


class _Watch:
    """One reader of one job. What Redis tells is told on; now and then, and with Redis away, PostgreSQL is asked."""

    def __init__(self, gateway: Gateway, owner: str, job_id: str) -> None:
        self._gateway = gateway
        self._owner = owner
        self._job_id = job_id
        self._position: str | None = None
        self._said: Mapping[str, Any] | None = None

    async def run(self, last_id: str | None) -> AsyncIterator[ServerSentEvent]:
        try:
            for event in await self._missed(last_id):
                yield event
            while True:
                try:
                    async for event in self._follow():
                        yield event
                except BackendError as error:
                    _log.warning("events are away", error=error.message)
                    async for event in self._look():
                        yield event
                    await asyncio.sleep(_RETRY_S)
        except _Gone:
            return

    async def _missed(self, last_id: str | None) -> list[ServerSentEvent]:
        """What came behind `last_id`; then how the job is now, where that is something else.

        The position is taken before PostgreSQL is asked, so that nothing falls between the two.
        """
        try:
            missed, self._position = await self._gateway.events.since(self._owner, last_id)
        except BackendError:
            missed = []
        told = [self._say(event.data, event.id) for event in missed if self._is_ours(event.data)]
        return told + [event async for event in self._look()]

    async def _follow(self) -> AsyncIterator[ServerSentEvent]:
        async for event in self._gateway.events.follow(self._owner, self._position):
            if event is None:
                async for now in self._look():
                    yield now
                continue
            self._position = event.id
            if self._is_ours(event.data) and event.data != self._said:
                yield self._say(event.data, event.id)
                if event.data["state"] == "deleted":
                    raise _Gone
            elif event.data.get("change") == "deleted":
                async for now in self._look():
                    yield now

    async def _look(self) -> AsyncIterator[ServerSentEvent]:
        """How the job is, by PostgreSQL, where that is not what was said last."""
        try:
            job = await Jobs(self._gateway.pool, self._owner).get(self._job_id)
            data = job_event(job, await step_rates(self._gateway.pool, job.pipeline))
        except NotFound:
            raise _Gone from None
        except BackendError as error:
            _log.warning("a watched job was not looked at", error=error.message)
            return
        if self._said is None or _essence(data) != _essence(self._said):
            yield self._say(data, self._position)

    def _is_ours(self, data: Mapping[str, Any]) -> bool:
        return data.get("job_id") == self._job_id

    def _say(self, data: Mapping[str, Any], event_id: str | None) -> ServerSentEvent:
        self._said = data
        return ServerSentEvent(json.dumps(data), event="job", id=event_id)


def _essence(data: Mapping[str, Any]) -> dict[str, Any]:
    """Without the seconds that are left, which change by themselves."""
    return {name: value for name, value in data.items() if name != "remaining_s"}


routes = [Route("/api/v1/jobs/{id}/events", watch_job, methods=["GET"])]
