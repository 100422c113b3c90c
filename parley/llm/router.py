"""Asks the language models of a purpose, one after the other, until one answers in the form asked for.

Everything that happened is told: each call is an Attempt, in the answer or in the error, and is booked when it is over.
What happens after a call is `decision`'s; here is only who is asked, and who waits. Breakers and resting keys are this
process's own: each worker learns for itself that a provider is away.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Generic

from parley.llm import chat
from parley.llm.attempts import Answer, Attempt, Spending, no_answer
from parley.llm.chat import Question
from parley.llm.decision import AWAY, OF_A_KEY, Again, decide
from parley.llm.keys import rest_s
from parley.llm.line import Connect, Line, tokens_of
from parley.llm.prompt import Prompt
from parley.llm.settings import LLMSettings, Purpose
from parley.llm.structured import T


class Router:
    """The language models of a process. `connect` opens one; clock, sleep and dice are a test's to replace."""

    def __init__(
        self,
        settings: LLMSettings,
        *,
        connect: Connect = chat.connect,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        luck: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self._clock, self._sleep, self._luck = clock, sleep, luck
        self._lines = {each.name: Line(each, connect, clock) for each in settings.providers}

    def rooms(self, purpose: Purpose) -> tuple[int, ...]:
        """Tokens that a question may have, its schema included, so that the first of the route can be asked; then, each
        smaller than the one before, so that another one can, too."""
        rooms: list[int] = []
        for each in self.settings.route(purpose):
            room = each.context_tokens - each.max_output_tokens
            if not rooms or room < rooms[-1]:
                rooms.append(room)
        return tuple(rooms)

    def answer_room(self, purpose: Purpose) -> int:
        """Tokens that an answer may have, whoever of the route gives it; 0 without a provider."""
        return min((each.max_output_tokens for each in self.settings.route(purpose)), default=0)

    async def ask(self, purpose: Purpose, prompt: Prompt, form: type[T], spending: Spending) -> Answer[T]:
        """The answer to `prompt` as a `form`, after `deadline_s` at most.

        Raises LanguageModelsAway and NoAnswer. A cancelled call is gone: the connection is closed.
        """
        inquiry = _Inquiry(self, form, spending)
        for provider in self.settings.route(purpose):
            value = await inquiry.ask(self._lines[provider.name], Question(prompt, form.model_json_schema()))
            if value is not None:
                return Answer(value, provider.name, provider.model, tuple(inquiry.attempts))
        raise no_answer(inquiry.attempts)


class _Inquiry(Generic[T]):
    """One question on its way along the route."""

    def __init__(self, router: Router, form: type[T], spending: Spending) -> None:
        self._clock, self._sleep, self._luck = router._clock, router._sleep, router._luck
        self._form, self._spending = form, spending
        self._ends = self._clock() + router.settings.deadline_s
        self.attempts: list[Attempt] = []

    async def ask(self, line: Line, question: Question) -> T | None:
        """The answer of one provider, after as many calls as `decide` allows; None where it has none."""
        failures = 0
        while True:
            if (objection := line.objection(tokens_of(question), await self._spending.left())) is not None:
                self.attempts.append(objection)
                return None
            if (left_s := self._ends - self._clock()) <= 0:
                self.attempts.append(line.late())
                return None
            key = line.keys.usable(self._clock()) or 0
            called = await line.call(question, self._form, key, min(line.provider.timeout_s, left_s))
            self.attempts.append(called.attempt)
            await self._spending.book(called.attempt)
            if called.value is not None:
                return called.value
            failures += called.attempt.outcome in AWAY
            then = self._decide(line, key, called.attempt, failures, repaired=bool(question.exchanges))
            if then is None:
                return None
            if then.repair and called.exchange:
                question = replace(question, exchanges=(*question.exchanges, called.exchange))
            if then.after_s:
                await self._sleep(then.after_s)

    def _decide(self, line: Line, key: int, attempt: Attempt, failures: int, *, repaired: bool) -> Again | None:
        """Whether the same provider is called again; a key that is to blame rests until then, or for longer."""
        now = self._clock()
        then = decide(
            attempt.outcome,
            failures=failures,
            repaired=repaired,
            other_key=line.keys.usable(now, beside=key) is not None,
            retry_after_s=attempt.retry_after_s,
            luck=self._luck(),
        )
        again = then if isinstance(then, Again) and now + then.after_s < self._ends else None
        if attempt.outcome in OF_A_KEY:
            waited_out = again is not None and again.after_s > 0
            rest = again.after_s if again and waited_out else rest_s(attempt.outcome, attempt.retry_after_s)
            line.keys = line.keys.rests(key, now + rest)
        return again
