"""What transcription uses, in the ledger at once: what was paid was paid, whatever becomes of the step."""

import itertools
from decimal import Decimal

from batch.pipeline import StepContext
from parley.errors import QuotaSpent
from parley.store.usage import Usage, Use, book, step_entry


class Spending:
    """Of one attempt at a step. Every call raises BackendError where PostgreSQL does not answer."""

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._numbers = itertools.count()

    async def check(self) -> None:
        """Raises QuotaSpent where the owner's budget of this month leaves nothing to pay with."""
        budget = self._context.tools.settings.llm.monthly_budget
        if budget is None:
            return
        cost = await Usage(self._context.tools.pool, self._context.owner).month_cost()
        if float(cost) >= budget:
            raise QuotaSpent(f"This month's budget of {budget:g} is spent, so nothing more is sent to the service.")

    async def book(self, provider: str, model: str, audio_s: float, cost: float = 0.0) -> None:
        """Another use."""
        step = self._context.step
        use = Use(
            entry=step_entry(step.step_id, step.fence, next(self._numbers)),
            purpose="transcription",
            provider=provider,
            model=model,
            audio_s=audio_s,
            cost=Decimal(str(round(cost, 6))),
            job_id=step.job_id,
            step=step.name,
        )
        await book(self._context.tools.pool, self._context.owner, use)
