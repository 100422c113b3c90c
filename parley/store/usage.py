"""What was used and what it cost: a ledger that outlives the jobs it is about. Months are calendar months in UTC.

Costs are in the currency of the prices in the settings, as exact decimals.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from parley.errors import ClientError
from parley.store import queries
from parley.store.failures import database_errors

_queries: Any = queries.load(Path(__file__).parent / "usage.sql")

MOST_JOBS = 100
"""Jobs that a month's sums name: those that cost most."""


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a provider, such as a call of a language model.

    `entry` names it: booked again, it changes nothing. `step_entry` makes one for a step's calls. `provider` is whose
    it was, as the settings name it; `purpose` what for, such as `notes` or `translation`.
    """

    entry: str
    purpose: str
    provider: str
    model: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    audio_s: float = 0.0
    cost: Decimal = Decimal(0)
    job_id: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class Spending:
    """A sum of uses."""

    uses: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    audio_s: float = 0.0
    cost: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class MonthOfUsage:
    """A month's sums, the costliest first.

    `providers` by provider and model; `steps` by step (None outside of jobs) and purpose; `jobs` by job and its
    recording (None where the job is gone or had none), of those that cost most.
    """

    month: datetime
    total: Spending
    providers: tuple[tuple[str, str, Spending], ...]
    steps: tuple[tuple[str | None, str, Spending], ...]
    jobs: tuple[tuple[str, str | None, Spending], ...]


def step_entry(step_id: int, fence: int, number: int) -> str:
    """The entry of a step's use `number` in the attempt under `fence`: another attempt calls, and pays, anew."""
    return f"step:{step_id}:{fence}:{number}"


async def book(connection: Any, owner: str, use: Use) -> bool:
    """Books `use` on an asyncpg connection or pool; False where it was booked already.

    What was paid was paid: book it at once, not in the transaction of a step that may still fail.
    """
    async with database_errors():
        booked = await _queries.book_usage(
            connection,
            owner=owner,
            entry=use.entry,
            job_id=UUID(use.job_id) if use.job_id else None,
            step=use.step,
            purpose=use.purpose,
            provider=use.provider,
            model=use.model,
            tokens_in=use.tokens_in,
            tokens_out=use.tokens_out,
            audio_s=float(use.audio_s),
            cost=use.cost,
        )
    return booked is not None


class Usage:
    """What `owner` used. The owner is bound here, once, and every query filters by it (invariant 9).

    Every call raises BackendError where PostgreSQL does not answer.
    """

    def __init__(self, pool: asyncpg.Pool, owner: str) -> None:
        self._pool = pool
        self._owner = owner

    async def month_cost(self, month: datetime | None = None) -> Decimal:
        """What the month that holds `month` has cost so far; the current one by default."""
        first, until = _bounds(month or datetime.now(UTC))
        async with database_errors():
            cost: Decimal = await _queries.cost_between(self._pool, owner=self._owner, first=first, until=until)
        return cost

    async def of_month(self, month: datetime) -> MonthOfUsage:
        """The sums of the month that holds `month`, as they were at one moment."""
        first, until = _bounds(month)
        span = {"owner": self._owner, "first": first, "until": until}
        async with (
            database_errors(),
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            sums = [row async for row in _queries.sums_between(connection, **span)]
            jobs = [row async for row in _queries.jobs_between(connection, count=MOST_JOBS, **span)]
        return MonthOfUsage(
            month=first,
            total=next(_spending(row) for row in sums if not row["of_provider"] and not row["of_step"]),
            providers=tuple((row["provider"], row["model"], _spending(row)) for row in sums if row["of_provider"]),
            steps=tuple((row["step"], row["purpose"], _spending(row)) for row in sums if row["of_step"]),
            jobs=tuple((str(row["job_id"]), _text(row["recording_id"]), _spending(row)) for row in jobs),
        )

    async def of_job(self, job_id: str) -> Spending:
        """All that the job cost, in all of its attempts."""
        async with database_errors():
            return _spending(await _queries.sum_of_job(self._pool, owner=self._owner, job_id=UUID(job_id)))


def parse_month(text: str) -> datetime:
    """`text` as YYYY-MM. Raises ClientError."""
    try:
        return _bounds(datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC))[0]
    except ValueError:
        raise ClientError(f"month: {text[:40]!r} is no month such as 2026-11.", code="bad_request") from None


def _bounds(moment: datetime) -> tuple[datetime, datetime]:
    """The first moment of its month, and that of the next."""
    first = moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    year, month = divmod(first.year * 12 + first.month, 12)
    return first, first.replace(year=year, month=month + 1)


def _spending(row: asyncpg.Record) -> Spending:
    return Spending(row["uses"], int(row["tokens_in"]), int(row["tokens_out"]), row["audio_s"], row["cost"])


def _text(value: UUID | None) -> str | None:
    return str(value) if value else None
