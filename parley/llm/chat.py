"""One call to a language model, through LangChain's chat models. LangChain is imported here alone, by the first call.

The libraries below neither repeat nor wait (`max_retries=0`): the router does both, and says so. Addresses and keys are
always handed over, so that no variable of a library sends anything elsewhere; and LangSmith's tracing, which variables
switch on too, is off: what was said in a recording goes to the model that the settings name, and to nobody else.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

from parley.errors import ParleyError
from parley.llm.decision import Outcome
from parley.llm.prompt import Prompt, with_schema
from parley.llm.settings import ProviderSettings

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage

_SAID_CHARACTERS = 300
_ENDED_EARLY = frozenset({"length", "max_tokens", "model_length", "model_context_window_exceeded"})
_WOULD_NOT = frozenset({"refusal", "content_filter"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """An answer that did not fit, and what is said about it."""

    answer: str
    objection: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the JSON schema of the answer. `exchanges`: what was said since."""

    prompt: Prompt
    schema: Mapping[str, Any]
    exchanges: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote: text, or the arguments of the tool that it called. Tokens are None where it did not say."""

    answer: str | dict[str, Any]
    tokens_in: int | None = None
    tokens_out: int | None = None


class CallFailed(ParleyError):
    """A call that brought nothing to read; `outcome` says why. Tokens, where it cost some all the same."""

    code = "llm_call_failed"

    def __init__(
        self,
        outcome: Outcome,
        message: str,
        *,
        retry_after_s: float | None = None,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
    ) -> None:
        super().__init__(message)
        self.outcome = outcome
        self.tokens_in, self.tokens_out = tokens_in, tokens_out
        self._retry_after_s = retry_after_s

    @property
    def retry_after_s(self) -> float | None:
        return self._retry_after_s


class Chat(Protocol):
    """One model, with one key."""

    async def ask(self, question: Question) -> Reply:
        """Raises CallFailed. It takes as long as it takes: the deadline is the caller's."""
        ...


async def connect(provider: ProviderSettings, key: int) -> Chat:
    """The model of `provider` with the key of this number. Raises CallFailed where its package is not installed."""
    said = provider.api_keys[key].get_secret_value() if provider.api_keys else ""
    try:
        model = await asyncio.to_thread(_build, provider, said)  # the first imports: seconds of a processor
    except ImportError as error:
        raise CallFailed(
            "rejected", f"{provider.name}: {error.name} is not installed; pip install 'parley[llm]' brings it"
        ) from error
    return LangChainChat(provider, said, model)


class LangChainChat:
    """A chat model of LangChain's."""

    def __init__(self, provider: ProviderSettings, key: str, model: "BaseChatModel") -> None:
        self._provider, self._key, self._model = provider, key, model

    async def ask(self, question: Question) -> Reply:
        from langsmith import tracing_context

        try:
            with tracing_context(enabled=False):
                message = await self._invoke(self._model, question)
            return _reply(message, by_tool=self._provider.asks_by == "tool")
        except Exception as error:  # the edge to other people's libraries
            raise self._failure(error) from error

    async def _invoke(self, model: "BaseChatModel", question: Question) -> "AIMessage":
        if self._provider.asks_by == "prompt":
            written = with_schema(question.prompt, question.schema)
            return await model.ainvoke(_messages(written, question.exchanges))
        method = "function_calling" if self._provider.asks_by == "tool" else "json_schema"
        structured = model.with_structured_output(dict(question.schema), method=method, include_raw=True)
        answered = await structured.ainvoke(_messages(question.prompt, question.exchanges))
        message: AIMessage = answered["raw"]  # type: ignore[index]
        return message  # and not its `parsed`: that parser completes an object which was cut short

    def _failure(self, error: Exception) -> CallFailed:
        failure = failure_of(error)
        said = f"{self._provider.name}: {failure.message}"
        failure.message = said.replace(self._key, "***") if self._key else said
        failure.args = (failure.message,)
        return failure


def _build(provider: ProviderSettings, key: str) -> "BaseChatModel":
    common: dict[str, Any] = {"model": provider.model, "base_url": provider.address}
    if provider.temperature is not None:
        common["temperature"] = provider.temperature
    hosted = common | {"api_key": key or "none", "timeout": provider.timeout_s, "max_retries": 0}
    match provider.kind:
        case "openai":
            from langchain_openai import ChatOpenAI

            return ChatOpenAI(**hosted, max_completion_tokens=provider.max_output_tokens, use_responses_api=False)
        case "openai-compatible":
            from langchain_openai.chat_models.base import BaseChatOpenAI  # says `max_tokens`, as such servers want it

            return BaseChatOpenAI(**hosted, max_tokens=provider.max_output_tokens, use_responses_api=False)
        case "anthropic":
            from langchain_anthropic import ChatAnthropic

            return ChatAnthropic(**hosted | {"max_tokens": provider.max_output_tokens})
        case "mistral":
            from langchain_mistralai import ChatMistralAI

            whole_s = max(1, round(provider.timeout_s))
            return ChatMistralAI(**hosted | {"timeout": whole_s}, max_tokens=provider.max_output_tokens)
        case "ollama":
            from langchain_ollama import ChatOllama

            headers = {"Authorization": f"Bearer {key}"} if key else {}
            return ChatOllama(
                **common,
                num_ctx=provider.context_tokens,
                num_predict=provider.max_output_tokens,
                client_kwargs={"timeout": provider.timeout_s, "headers": headers},
            )


def _messages(prompt: Prompt, exchanges: Sequence[Exchange]) -> "list[BaseMessage]":
    from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

    messages: list[BaseMessage] = [SystemMessage(prompt.system), HumanMessage(prompt.user)]
    for exchange in exchanges:
        messages += [AIMessage(exchange.answer), HumanMessage(exchange.objection)]
    return messages


def _reply(message: "AIMessage", *, by_tool: bool) -> Reply:
    usage = message.usage_metadata
    tokens_in, tokens_out = (usage["input_tokens"], usage["output_tokens"]) if usage else (None, None)
    said = message.response_metadata
    reason = said.get("finish_reason") or said.get("stop_reason") or said.get("done_reason")
    if reason in _ENDED_EARLY:
        raise CallFailed(
            "cut", "its answer was cut off at max_output_tokens", tokens_in=tokens_in, tokens_out=tokens_out
        )
    if reason in _WOULD_NOT or message.additional_kwargs.get("refusal"):
        raise CallFailed("refused", "it would not answer", tokens_in=tokens_in, tokens_out=tokens_out)
    if reason is None and "done" in said and not said["done"]:
        raise CallFailed("unreachable", "its answer broke off")
    answer = message.tool_calls[0]["args"] if by_tool and message.tool_calls else str(message.text)
    return Reply(answer, tokens_in, tokens_out)


def failure_of(error: Exception) -> CallFailed:
    """What LangChain, a vendor's library or httpx raised, as one of our outcomes."""
    if isinstance(error, CallFailed):
        return error
    status, said = _status(error), _said(error)
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    if status is not None:
        outcome = _outcome(status, f"{error} {getattr(error, 'body', '')}")
        return CallFailed(outcome, f"it answered {status}: {said}", retry_after_s=_retry_after(headers))
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"LengthFinishReasonError", "ContentFilterFinishReasonError"}:
        usage = getattr(getattr(error, "completion", None), "usage", None)
        tokens = {
            "tokens_in": getattr(usage, "prompt_tokens", None),
            "tokens_out": getattr(usage, "completion_tokens", None),
        }
        if "LengthFinishReasonError" in names:
            return CallFailed("cut", "its answer was cut off at max_output_tokens", **tokens)
        return CallFailed("refused", "it would not answer", **tokens)
    if names & {"TimeoutException", "APITimeoutError", "TimeoutError"}:
        return CallFailed("timeout", "it did not answer in time")
    if names & {"TransportError", "APIConnectionError", "ConnectionError"}:
        return CallFailed("unreachable", f"it cannot be reached, or broke off: {said}")
    return CallFailed("server_error", f"its answer cannot be read: {type(error).__name__}: {said}")


def _status(error: Exception) -> int | None:
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) and status >= 400 else None


def _outcome(status: int, said: str) -> Outcome:
    if status == 402 or (status in (400, 429) and re.search(r"insufficient_quota|credit balance|billing", said)):
        return "spent"  # OpenAI says 429, Anthropic 400
    if status in (401, 403):
        return "bad_key"
    if status == 429:
        return "rate_limited"
    return "server_error" if status >= 500 or status in (408, 409, 425) else "rejected"


def _said(error: Exception) -> str:
    """What the other side said, on one line; of its error object only the message."""
    said = " ".join(str(error).split())
    if found := re.search(r"""["']message["']: (["'])(.+?)\1[,}]""", said):
        said = found[2]
    said = said.removesuffix(".")[:_SAID_CHARACTERS] or type(error).__name__
    return re.sub(r"^Error code: \d+ - ", "", said)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from `retry-after-ms` or `Retry-After`, which is a number of seconds or a date (RFC 9110, 10.2.3)."""
    try:
        if (milliseconds := headers.get("retry-after-ms")) is not None:
            return max(0.0, float(milliseconds) / 1000)
        if (said := headers.get("retry-after")) is None:
            return None
        if re.fullmatch(r"\s*\d+(\.\d+)?\s*", said):
            return float(said)
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
