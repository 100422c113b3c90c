"""What asking language models came to: an answer or an error, and either way what was tried and what it cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, Protocol, TypeVar

from parley.errors import BackendError, ParleyError
from parley.llm.decision import AWAY, Outcome

_T = TypeVar("_T")
_LONGEST_RETRY_S = 300.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """A call to a provider, or why there was none. `cost` is in the currency of the budget."""

    provider: str
    model: str
    outcome: Outcome
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    message: str = ""
    retry_after_s: float | None = None

    def plain(self) -> dict[str, Any]:
        """As it is kept with a step, in JSON; without what does not matter."""
        kept = {name: value for name, value in asdict(self).items() if value not in (None, "", 0)}
        return kept | {"seconds": round(self.seconds, 3), "cost": round(self.cost, 6)}


@dataclass(frozen=True, slots=True)
class Answer(Generic[_T]):
    """What a model said, whose it is, and the attempts up to it."""

    value: _T
    provider: str
    model: str
    attempts: tuple[Attempt, ...]


class LanguageModelsAway(BackendError):
    """No model answered, and one at least may be back: limited, failing, or out of reach."""

    code = "llm_away"

    def __init__(self, message: str, attempts: tuple[Attempt, ...], retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.attempts = attempts
        self._retry_after_s = retry_after_s

    @property
    def retry_after_s(self) -> float | None:
        return self._retry_after_s


class NoAnswer(ParleyError):
    """No model answered, and asking again would change nothing.

    `code`: `llm_none` (no provider), `llm_budget`, `llm_too_long` (for every model's window), `llm_cut` (the answer is
    longer than any model may write), `llm_unusable` (nonsense, or it would not), `llm_misconfigured` (keys, models or
    credit that the providers refuse).
    """

    code = "llm_none"

    def __init__(self, message: str, attempts: tuple[Attempt, ...] = (), *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.attempts = attempts


class Spending(Protocol):
    """What an owner may still spend, and the book of what was spent."""

    async def left(self) -> float | None:
        """What is left of this month's budget; None: there is no limit."""
        ...

    async def book(self, attempt: Attempt) -> None:
        """A call that was made, also one that brought nothing."""
        ...


_CODES: tuple[tuple[str, frozenset[Outcome]], ...] = (
    ("llm_cut", frozenset({"cut"})),
    ("llm_too_long", frozenset({"too_long"})),
    ("llm_unusable", frozenset({"invalid", "refused"})),
    ("llm_budget", frozenset({"budget"})),
    ("llm_misconfigured", frozenset({"bad_key", "spent", "rejected"})),
)
"""What is said where several things went wrong: the first of these."""


def no_answer(attempts: Sequence[Attempt]) -> LanguageModelsAway | NoAnswer:
    """The error of a question that nobody answered. Pure."""
    last = {attempt.provider: attempt for attempt in attempts}  # what each provider came to
    if not last:
        return NoAnswer("No language model is configured.")
    said = "; ".join(attempt.message or f"{name}: {attempt.outcome}" for name, attempt in last.items())
    away = [attempt for attempt in last.values() if attempt.outcome in AWAY]
    if away:
        waits = [each.retry_after_s for each in away if each.retry_after_s is not None]
        after_s = min(_LONGEST_RETRY_S, *waits) if waits else None
        return LanguageModelsAway(f"No language model answers: {said}.", tuple(attempts), after_s)
    outcomes = {attempt.outcome for attempt in last.values()}
    code = next(code for code, those in _CODES if outcomes & those)
    return NoAnswer(f"No language model gave an answer: {said}.", tuple(attempts), code=code)
