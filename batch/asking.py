"""How a step asks language models: within its owner's budget, and once for each question.

An answer is kept until the step is done (`parley.store.answers`): a worker that dies, or a model that goes away in the
ninth of ten parts, does not pay for the other eight again.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from batch.pipeline import StepContext
from parley.llm.attempts import Attempt, LanguageModelsAway, NoAnswer
from parley.llm.prompt import Prompt
from parley.llm.settings import Purpose
from parley.llm.spending import LedgerSpending
from parley.llm.structured import T
from parley.store import answers
from parley.store.answers import Answers, KeptAnswer
from parley.store.usage import step_entry

_MOST_TOLD = 50
"""Attempts that a step's usage names; the ledger has them all."""


@dataclass(frozen=True, slots=True)
class Said(Generic[T]):
    """An answer, and which model it is from."""

    value: T
    provider: str
    model: str


class Asker:
    """Asks for one run of a step. `attempts` is all that was tried."""

    def __init__(self, context: StepContext, purpose: Purpose) -> None:
        step = context.step
        self._lease, self._models, self._pool = context.lease, context.tools.models, context.tools.pool
        self._owner, self._step_id, self._purpose = context.owner, step.step_id, purpose
        self._answers = Answers(self._pool, context.owner, context.recording_id)
        self._spending = LedgerSpending(
            self._pool,
            context.owner,
            self._models.settings.monthly_budget,
            purpose,
            entry=lambda number: step_entry(step.step_id, step.fence, number),
            job_id=step.job_id,
            step=step.name,
        )
        self.attempts: list[Attempt] = []

    @property
    def rooms(self) -> tuple[int, ...]:
        """As `Router.rooms`."""
        return self._models.rooms(self._purpose)

    @property
    def answer_room(self) -> int:
        """As `Router.answer_room`."""
        return self._models.answer_room(self._purpose)

    async def ask(self, prompt: Prompt, form: type[T]) -> Said[T]:
        """Raises LanguageModelsAway, NoAnswer, and BackendError where PostgreSQL does not answer."""
        question = question_hash(prompt, form.model_json_schema())
        if (kept := await self._answers.get(question)) is not None:
            return Said(form.model_validate_json(kept.answer), kept.provider, kept.model)
        try:
            answer = await self._models.ask(self._purpose, prompt, form, self._spending)
        except (LanguageModelsAway, NoAnswer) as error:
            self._tried(error.attempts)
            raise
        self._tried(answer.attempts)
        if self._lease.step.delays:
            await answers.end_wait(self._pool, self._step_id)  # it is back
        said = KeptAnswer(json.dumps(answer.value.model_dump(mode="json")), answer.provider, answer.model)
        await self._answers.keep(question, self._purpose, said)
        return Said(answer.value, answer.provider, answer.model)

    def _tried(self, attempts: Sequence[Attempt]) -> None:
        self.attempts += attempts
        if any(attempt.tokens_out for attempt in self.attempts):
            self._lease.spent = self.usage()

    async def out_of_patience(self) -> bool:
        """Whether the step has waited for a model for as long as it may; the first call begins the wait."""
        return await answers.waited_s(self._pool, self._owner, self._step_id) >= self._models.settings.patience_s

    async def done(self, connection: Any) -> None:
        """Forgets what was kept for this step, in the transaction in which it succeeds."""
        await self._answers.forget(connection, self._purpose)
        await answers.end_wait(connection, self._step_id)

    def usage(self) -> Mapping[str, Any] | None:
        """What this run cost, and what was tried; None where nothing was."""
        if not self.attempts:
            return None
        return {
            "tokens_in": sum(attempt.tokens_in for attempt in self.attempts),
            "tokens_out": sum(attempt.tokens_out for attempt in self.attempts),
            "cost": round(sum(attempt.cost for attempt in self.attempts), 6),
            "attempts": [attempt.plain() for attempt in self.attempts[-_MOST_TOLD:]],
        }


def question_hash(prompt: Prompt, schema: Mapping[str, Any]) -> bytes:
    """One name for all that is asked. Pure."""
    asked = json.dumps([prompt.system, prompt.user, schema], sort_keys=True)
    return hashlib.sha256(asked.encode()).digest()
