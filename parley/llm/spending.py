"""An owner's budget of this month, and the ledger that says what is left of it."""

from collections.abc import Callable
from decimal import Decimal

import asyncpg

from parley.llm.attempts import Attempt
from parley.llm.settings import Purpose
from parley.store.usage import Usage, Use, book


class LedgerSpending:
    """Books each call as soon as it is over: what was paid was paid, whatever becomes of the step.

    `entry` names the call of a number, so that none is booked twice. Between asking what is left and booking, another
    worker's call can be under way: so a budget can be passed by one call a worker, and by no more.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        owner: str,
        budget: float | None,
        purpose: Purpose,
        entry: Callable[[int], str],
        *,
        job_id: str | None = None,
        step: str | None = None,
    ) -> None:
        self._pool, self._owner, self._budget = pool, owner, budget
        self._purpose, self._entry, self._job_id, self._step = purpose, entry, job_id, step
        self.calls = 0

    async def left(self) -> float | None:
        """Raises BackendError where PostgreSQL does not answer."""
        if self._budget is None:
            return None
        return self._budget - float(await Usage(self._pool, self._owner).month_cost())

    async def book(self, attempt: Attempt) -> None:
        """Raises BackendError where PostgreSQL does not answer."""
        use = Use(
            entry=self._entry(self.calls),
            purpose=self._purpose,
            provider=attempt.provider,
            model=attempt.model,
            tokens_in=attempt.tokens_in,
            tokens_out=attempt.tokens_out,
            cost=Decimal(str(attempt.cost)),
            job_id=self._job_id,
            step=self._step,
        )
        self.calls += 1
        if attempt.tokens_in or attempt.tokens_out:
            await book(self._pool, self._owner, use)
