"""REST for what was used and what it cost: by provider, by step, by job."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainSerializer
from spectree import Response as Responses
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.admission import owner_of
from gateway.openapi import ErrorBody, describe, query_of
from gateway.wiring import Gateway
from parley.store.usage import MonthOfUsage, Spending, Usage, parse_month

_MODEL = ConfigDict(frozen=True, extra="forbid")
Cost = Annotated[Decimal, PlainSerializer(float, return_type=float)]
"""In the currency of the prices in the settings."""


class UsageQuery(BaseModel):
    """`month` as YYYY-MM, in UTC; the current one by default."""

    model_config = _MODEL
    month: str | None = None


class SpendingBody(BaseModel):
    """A sum. `uses`: how many there were, such as calls of a language model; `audio_s`: seconds of audio."""

    model_config = _MODEL
    uses: int
    tokens_in: int
    tokens_out: int
    audio_s: float
    cost: Cost


class ProviderUsage(SpendingBody):
    provider: str
    model: str


class StepUsage(SpendingBody):
    """`step` is null for what no job asked for, such as answers to questions."""

    step: str | None
    purpose: str


class JobUsage(SpendingBody):
    """`recording_id` is null where the job had none, or is gone."""

    job_id: str
    recording_id: str | None


class UsageBody(BaseModel):
    """A month's usage, the costliest first; `jobs` are the hundred that cost most.

    `budget` is what paid calls may cost in a month, null for no limit; what is beyond it is done without them.
    """

    model_config = _MODEL
    month: str
    total: SpendingBody
    budget: float | None
    providers: tuple[ProviderUsage, ...]
    steps: tuple[StepUsage, ...]
    jobs: tuple[JobUsage, ...]

    @classmethod
    def of(cls, month: MonthOfUsage, budget: float | None) -> "UsageBody":
        return cls(
            month=f"{month.month:%Y-%m}",
            total=SpendingBody(**_fields(month.total)),
            budget=budget,
            providers=tuple(
                ProviderUsage(provider=provider, model=model, **_fields(sum_))
                for provider, model, sum_ in month.providers
            ),
            steps=tuple(StepUsage(step=step, purpose=purpose, **_fields(sum_)) for step, purpose, sum_ in month.steps),
            jobs=tuple(JobUsage(job_id=job, recording_id=about, **_fields(sum_)) for job, about, sum_ in month.jobs),
        )


@describe(query=UsageQuery, resp=Responses(HTTP_200=UsageBody, HTTP_400=ErrorBody), tags=["usage"])
async def get_usage(request: Request) -> Response:
    """What was used in a month, and what it cost."""
    query = query_of(request, UsageQuery)
    month = parse_month(query.month) if query.month is not None else datetime.now(UTC)
    gateway: Gateway = request.app.state.gateway
    found = await Usage(gateway.pool, owner_of(request)).of_month(month)
    return Response(UsageBody.of(found, gateway.monthly_budget).model_dump_json(), media_type="application/json")


routes = [Route("/api/v1/usage", get_usage, methods=["GET"])]


def _fields(sum_: Spending) -> dict[str, Any]:
    return {name: getattr(sum_, name) for name in Spending.__slots__}
