"""REST for jobs: make, list, get, cancel, delete; dead letters replayed or discarded. Each handler is a few lines."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from spectree import Response as Responses
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admission import owner_of, priority_of
from gateway.cursors import from_cursor, to_cursor
from gateway.intake import JobRequest, idempotency_key, steps_of
from gateway.job_bodies import JobBody, JobPage, bodies_of
from gateway.job_events import deleted_event
from gateway.openapi import ErrorBody, body_of, describe, query_of
from gateway.wiring import Gateway
from parley.errors import ClientError
from parley.jobs import Job, JobState
from parley.pipelines import Artefact
from parley.store.failures import database_errors
from parley.store.intake import add_job
from parley.store.jobs import Jobs
from parley.store.sources import Sources

_MODEL = ConfigDict(frozen=True, extra="forbid")
_MOST_IDS = 1000
_PAGE = 200


class JobsQuery(BaseModel):
    """`recording`: only the jobs of this one. The dead letters are those in state `dead`."""

    model_config = _MODEL
    state: JobState | None = None
    recording: str | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None


class DeadLetters(BaseModel):
    """Which dead letters: their ids, or `all`."""

    model_config = _MODEL
    ids: Annotated[list[UUID], Field(min_length=1, max_length=_MOST_IDS)] | Literal["all"]


class DeadLettersBody(BaseModel):
    """`done` are those for which it was done. The others were not dead, are not there, or (replay) their audio is
    another job's by now."""

    model_config = _MODEL
    done: list[str]
    passed_over: list[str]


_ONE = Responses(HTTP_200=JobBody, HTTP_404=ErrorBody)


@describe(query=JobsQuery, resp=Responses(HTTP_200=JobPage, HTTP_400=ErrorBody), tags=["jobs"])
async def list_jobs(request: Request) -> Response:
    """The jobs, newest first, a page at a time; of one state or one recording, where that is asked for."""
    query = query_of(request, JobsQuery)
    found = await _jobs(request).page(
        count=query.limit + 1, before=from_cursor(query.cursor), state=query.state, recording_id=query.recording
    )
    page = found[: query.limit]
    next_cursor = to_cursor(page[-1].created_at, page[-1].id) if len(found) > query.limit else None
    return _json(JobPage(jobs=await _bodies(request, page), next_cursor=next_cursor))


@describe(resp=_ONE, tags=["jobs"])
async def get_job(request: Request) -> Response:
    """One job: its state, how far it is and what is left, each step with its attempts, failures, result and cost."""
    return await _shown(request, await _jobs(request).get(_id(request)))


@describe(
    json=JobRequest,
    resp=Responses(HTTP_202=JobBody, HTTP_400=ErrorBody, HTTP_404=ErrorBody, HTTP_409=ErrorBody),
    tags=["jobs"],
)
async def create_job(request: Request) -> Response:
    """Another job for a recording: notes anew, a translation, its file transcribed again where the first job failed.

    `Idempotency-Key`: the same request again gets the same job.
    """
    gateway, owner = _gateway(request), owner_of(request)
    key = idempotency_key(request)
    asked = await body_of(request, JobRequest)
    recording_id = _id(request)
    state, has_source = await Sources(gateway.pool, owner).standing(recording_id)
    if state == "recording":
        message = "The recording is still being made; its job begins when it ends."
        raise ClientError(message, code="still_recording", retryable=True)
    unwritten = state == "processing"
    have: set[Artefact] = set() if unwritten else {"audio", "transcript"}
    if has_source:
        have.add("source")
    steps = await steps_of(
        request,
        asked,
        default="upload" if unwritten else "live",
        have=have,
        first="fetch" if unwritten and "source" not in have else None,
    )
    async with database_errors(), gateway.pool.acquire() as connection, connection.transaction():
        job_id = await add_job(
            connection,
            owner,
            recording_id,
            steps,
            alone=unwritten,
            priority=priority_of(request, asked.priority),
            options=asked.options.model_dump(mode="json", exclude_defaults=True),
            idempotency_key=key,
        )
    job = await _jobs(request).get(job_id)
    await gateway.job_events.tell_of(owner, [job])
    return await _shown(request, job, 202)


@describe(resp=_ONE, tags=["jobs"])
async def cancel_job(request: Request) -> Response:
    """Cancels a job at any moment; one that had ended stays as it was."""
    cancelled = await _jobs(request).cancel(_id(request))
    job = await _jobs(request).get(_id(request))
    if cancelled:
        await _gateway(request).job_events.tell_of(owner_of(request), [job])
    return await _shown(request, job)


@describe(resp=Responses("HTTP_204", HTTP_404=ErrorBody), tags=["jobs"])
async def delete_job(request: Request) -> Response:
    """Deletes a job and all that its steps said, at any moment. Its recording stays."""
    job = await _jobs(request).get(_id(request))
    await _jobs(request).delete(job.id)
    await _gateway(request).events.publish_jobs(owner_of(request), [deleted_event(job)])
    return Response(status_code=204)


@describe(json=DeadLetters, resp=Responses(HTTP_200=DeadLettersBody, HTTP_400=ErrorBody), tags=["jobs"])
async def replay_jobs(request: Request) -> Response:
    """Gives dead letters all their attempts again, from the step that died: some, or all."""
    return await _for_dead(request, _jobs(request).replay)


@describe(json=DeadLetters, resp=Responses(HTTP_200=DeadLettersBody, HTTP_400=ErrorBody), tags=["jobs"])
async def discard_jobs(request: Request) -> Response:
    """Takes dead letters for failed, for good: some, or all."""
    return await _for_dead(request, _jobs(request).discard)


async def _for_dead(request: Request, change: Callable[[list[str]], Awaitable[Collection[str]]]) -> Response:
    asked = await body_of(request, DeadLetters)
    ids = await _all_dead(_jobs(request)) if asked.ids == "all" else list(dict.fromkeys(map(str, asked.ids)))
    done = await change(ids)
    for job_id in done:
        await _gateway(request).job_events.tell(owner_of(request), job_id)
    passed_over = [job_id for job_id in ids if job_id not in done]
    return _json(DeadLettersBody(done=list(done), passed_over=passed_over))


async def _all_dead(jobs: Jobs) -> list[str]:
    found: list[str] = []
    before = None
    while page := await jobs.page(count=_PAGE, before=before, state="dead"):
        found += [job.id for job in page]
        before = page[-1].created_at, page[-1].id
    return found


routes = [
    Route("/api/v1/jobs", list_jobs, methods=["GET"]),
    Route("/api/v1/jobs/replay", replay_jobs, methods=["POST"]),
    Route("/api/v1/jobs/discard", discard_jobs, methods=["POST"]),
    Route("/api/v1/jobs/{id}", get_job, methods=["GET"]),
    Route("/api/v1/jobs/{id}", delete_job, methods=["DELETE"]),
    Route("/api/v1/jobs/{id}/cancel", cancel_job, methods=["POST"]),
    Route("/api/v1/recordings/{id}/jobs", create_job, methods=["POST"]),
]


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway


def _jobs(request: Request) -> Jobs:
    return Jobs(_gateway(request).pool, owner_of(request))


def _id(request: Request) -> str:
    return str(request.path_params["id"])


async def _bodies(request: Request, jobs: Sequence[Job]) -> list[JobBody]:
    gateway = _gateway(request)
    return await bodies_of(gateway.job_events.rates, jobs)


async def _shown(request: Request, job: Job, status: int = 200) -> Response:
    [body] = await _bodies(request, [job])
    return _json(body, status)


def _json(body: BaseModel, status: int = 200) -> Response:
    return Response(
        body.model_dump_json(by_alias=True),
        status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
