"""One provider as this process knows it: its breaker, its keys, and one call to it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Generic

from parley import metrics
from parley.llm.attempts import Attempt
from parley.llm.breaker import Breaker
from parley.llm.chat import CallFailed, Chat, Exchange, Question, Reply
from parley.llm.decision import BREAKING, Outcome
from parley.llm.keys import Keys
from parley.llm.settings import ProviderSettings
from parley.llm.structured import T, WrongForm, parsed, repair_request
from parley.llm.tokens import estimate
from parley.logs import get_logger

_log = get_logger(__name__)
Connect = Callable[[ProviderSettings, int], Awaitable[Chat]]


@dataclass(frozen=True, slots=True)
class Called(Generic[T]):
    """A call that was made: the value, or what was wrong with the answer (`exchange`), or neither."""

    attempt: Attempt
    value: T | None = None
    exchange: Exchange | None = None


class Line:
    """`key` of a call is a number from `keys.usable`."""

    def __init__(self, provider: ProviderSettings, connect: Connect, clock: Callable[[], float]) -> None:
        self.provider = provider
        self.keys = Keys.of(len(provider.api_keys))
        self.breaker = Breaker()
        self._connect, self._clock = connect, clock
        self._chats: dict[int, Chat] = {}

    def objection(self, tokens: int, left: float | None) -> Attempt | None:
        """Why no call is made with a question of so many tokens and so much budget left; None where one may be."""
        provider, now = self.provider, self._clock()
        room = provider.context_tokens - provider.max_output_tokens
        if tokens > room:
            return self._not_called("too_long", f"the question has some {tokens} tokens, and there is room for {room}")
        if left is not None and provider.is_paid and (most := provider.cost(tokens, provider.max_output_tokens)) > left:
            said = f"the call may cost {most:.4f}, and of the month's budget {max(0.0, left):.4f} is left"
            return self._not_called("budget", said)
        if not self.breaker.admits(now):
            wait_s = self.breaker.wait_s(now)
            return self._not_called("resting", f"it failed of late, and is asked again in {wait_s:.0f} s", wait_s)
        if self.keys.usable(now) is None:
            wait_s = self.keys.wait_s(now)
            return self._not_called("resting", f"its keys rest for {wait_s:.0f} s", wait_s)
        return None

    def late(self) -> Attempt:
        """No call is made, since the time for the question is over."""
        return self._not_called("timeout", "the time for the question is over")

    async def call(self, question: Question, form: type[T], key: int, within_s: float) -> Called[T]:
        """One call, of `within_s` seconds at most. What it did to the breaker is noted."""
        began = self._clock()
        self.breaker = self.breaker.calling(began)
        try:
            called = await self._exchange(question, form, key, within_s)
        except BaseException:
            self.breaker = self.breaker.given_up()
            raise
        attempt = replace(called.attempt, seconds=self._clock() - began)
        self._note(attempt.outcome)
        _log.info("language model asked", **attempt.plain())
        metrics.LLM_CALLS.labels(self.provider.name, attempt.outcome).inc()
        metrics.LLM_CALL_S.labels(self.provider.name).observe(attempt.seconds)
        return replace(called, attempt=attempt)

    async def _exchange(self, question: Question, form: type[T], key: int, within_s: float) -> Called[T]:
        reply = None
        try:
            if (chat := self._chats.get(key)) is None:
                chat = self._chats[key] = await self._connect(self.provider, key)
            async with asyncio.timeout(within_s):
                reply = await chat.ask(question)
            return Called(self._attempt("ok", question, reply), parsed(reply.answer, form))
        except TimeoutError:
            said = f"{self.provider.name}: it did not answer within {within_s:.0f} s"
            return Called(replace(self._attempt("timeout"), message=said))
        except CallFailed as failed:
            paid = Reply("", failed.tokens_in, failed.tokens_out) if failed.tokens_out is not None else None
            attempt = self._attempt(failed.outcome, question, paid)
            return Called(replace(attempt, message=failed.message, retry_after_s=failed.retry_after_s))
        except WrongForm as wrong:
            assert reply is not None
            said = f"{self.provider.name}: its answer is not of the form asked for"
            exchange = Exchange(_text(reply), repair_request(wrong))
            return Called(replace(self._attempt("invalid", question, reply), message=said), exchange=exchange)

    def _note(self, outcome: Outcome) -> None:
        if outcome in BREAKING:
            self.breaker = self.breaker.failed(self._clock())
        elif outcome == "rate_limited":
            self.breaker = self.breaker.given_up()
        else:
            self.breaker = self.breaker.succeeded()

    def _attempt(self, outcome: Outcome, question: Question | None = None, reply: Reply | None = None) -> Attempt:
        """With what it cost; a provider that does not say how many tokens it counted is charged by the estimate."""
        provider = self.provider
        if question is None or reply is None:
            return Attempt(provider.name, provider.model, outcome)
        tokens_in = reply.tokens_in if reply.tokens_in is not None else tokens_of(question)
        tokens_out = reply.tokens_out if reply.tokens_out is not None else estimate(_text(reply))
        return Attempt(
            provider.name, provider.model, outcome, tokens_in, tokens_out, provider.cost(tokens_in, tokens_out)
        )

    def _not_called(self, outcome: Outcome, message: str, retry_after_s: float | None = None) -> Attempt:
        name = self.provider.name
        return Attempt(name, self.provider.model, outcome, message=f"{name}: {message}", retry_after_s=retry_after_s)


def tokens_of(question: Question) -> int:
    """Tokens of all that is sent, by the estimate: a little too many."""
    said = "".join(exchange.answer + exchange.objection for exchange in question.exchanges)
    return sum(map(estimate, (question.prompt.system, question.prompt.user, json.dumps(question.schema), said)))


def _text(reply: Reply) -> str:
    return reply.answer if isinstance(reply.answer, str) else json.dumps(reply.answer, ensure_ascii=False)
