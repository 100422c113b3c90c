"""What a language model adds to answers: follow-ups as questions of their own, and statements in words of its own.

It sees what was retrieved, and nothing it writes is used before it was checked (`answering.claims`). Each question has
a deadline of its own, since somebody waits for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

import asyncpg

from parley.ask import Claim, Exchange, check_question
from parley.errors import ClientError, ParleyError
from parley.llm.attempts import Answer, Spending
from parley.llm.prompt import Prompt
from parley.llm.router import Router
from parley.llm.spending import LedgerSpending
from parley.llm.structured import T
from parley.logs import get_logger
from rag.answering.claims import AnswerDraft, Evidence, checked
from rag.answering.prompt import StandaloneQuestion, to_answer, to_rewrite

REWRITE_S = 10.0
"""For a follow-up's rewriting; then it is searched for together with what it follows."""
_log = get_logger(__name__)


class ModelAway(ParleyError):
    """No language model gave an answer; the message says why, for a person."""

    code = "llm_away"


@dataclass(frozen=True, slots=True)
class Written:
    """The claims that hold; without any, the model found no answer (`dropped` is 0) or none that holds."""

    claims: tuple[Claim, ...]
    dropped: int
    provider: str
    model: str


class Writer:
    """`spending_of` gives an owner's budget and ledger; `deadline_s` is for one answer, with all models tried."""

    def __init__(self, router: Router, spending_of: Callable[[str], Spending], deadline_s: float) -> None:
        self._router = router
        self._spending_of = spending_of
        self._deadline_s = deadline_s

    @property
    def is_there(self) -> bool:
        """Whether any language model is to be asked."""
        return bool(self._router.settings.route("ask"))

    async def standalone(self, owner: str, question: str, history: Sequence[Exchange]) -> str:
        """A follow-up as a question of its own. Raises ModelAway, also where what comes is no question."""
        written = (await self._ask(owner, to_rewrite(question, history), StandaloneQuestion, REWRITE_S)).value
        try:
            check_question(written.question)
        except ClientError as error:
            raise ModelAway(error.message) from None
        return written.question.strip()

    async def answer(self, owner: str, question: str, evidence: Evidence) -> Written:
        """What a model says to the question, checked. Raises ModelAway."""
        answer = await self._ask(owner, to_answer(question, evidence), AnswerDraft, self._deadline_s)
        claims, dropped = checked(answer.value, evidence)
        for each in dropped:
            _log.info("dropped of an answer", fault=each.fault, segment=each.segment, provider=answer.provider)
        return Written(claims, len(dropped), answer.provider, answer.model)

    async def _ask(self, owner: str, prompt: Prompt, form: type[T], within_s: float) -> Answer[T]:
        try:
            async with asyncio.timeout(within_s):
                return await self._router.ask("ask", prompt, form, self._spending_of(owner))
        except TimeoutError:
            raise ModelAway(f"The language model did not answer within {within_s:.0f} s.") from None
        except ParleyError as error:
            raise ModelAway(error.message) from error


def ledger(pool: asyncpg.Pool, budget: float | None) -> Callable[[str], Spending]:
    """The spending of an owner on one question, booked under a name of its own."""

    def spending_of(owner: str) -> Spending:
        question = uuid4().hex
        return LedgerSpending(pool, owner, budget, "ask", lambda call: f"ask:{question}:{call}")

    return spending_of
