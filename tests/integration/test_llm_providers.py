"""Every kind of provider over a real socket: good answers, and each way in which a service can fail."""

import asyncio
import json
import socket
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from parley.llm.attempts import Attempt, LanguageModelsAway, NoAnswer
from parley.llm.prompt import Prompt
from parley.llm.router import Router
from parley.llm.settings import LLMSettings, ProviderKind, ProviderSettings, Structured
from tests.integration.llm_double import BreaksOff, Entry, Garbage, LLMDouble, Never, Says, Status

KINDS: tuple[ProviderKind, ...] = ("openai", "openai-compatible", "anthropic", "mistral", "ollama")
PROMPT = Prompt.of("Write a title.", "Hello there.")


class Form(BaseModel):
    """A title."""

    title: str


class Purse:
    """No limit; what was booked."""

    def __init__(self) -> None:
        self.booked: list[Attempt] = []

    async def left(self) -> float | None:
        return None

    async def book(self, attempt: Attempt) -> None:
        self.booked.append(attempt)


GOOD = Says({"title": "Hello"}, tokens_in=1000, tokens_out=50)


def provider(double: LLMDouble, kind: ProviderKind = "openai", name: str = "one", **values: Any) -> ProviderSettings:
    values = {"api_keys": (SecretStr("sk-first"),), "timeout_s": 30} | values
    base_url = double.url if kind in ("anthropic", "ollama") else f"{double.url}/v1"
    return ProviderSettings.model_validate({"name": name, "kind": kind, "model": "m-1", "base_url": base_url} | values)


def router(*providers: ProviderSettings) -> Router:
    async def at_once(_seconds: float) -> None:
        """A wait between two calls."""

    return Router(LLMSettings(providers=providers), sleep=at_once)


def outcomes(attempts: Sequence[Attempt]) -> list[str]:
    return [f"{attempt.provider} {attempt.outcome}" for attempt in attempts]


@pytest.mark.parametrize("structured", ["schema", "tool", "prompt"])
@pytest.mark.parametrize("kind", KINDS)
async def test_each_kind_answers_in_the_form_asked_for(kind: ProviderKind, structured: Structured) -> None:
    purse = Purse()
    async with LLMDouble(GOOD).running() as double:
        one = provider(double, kind, structured=structured, input_cost=1, output_cost=2, temperature=0.5)
        answer = await router(one).ask("ask", PROMPT, Form, purse)
    assert answer.value == Form(title="Hello")
    [booked] = purse.booked
    assert (booked.tokens_in, booked.tokens_out, booked.cost) == (1000, 50, 0.0011)
    [request] = double.requests
    assert (request.key, request.body["model"]) == ("sk-first", "m-1")
    assert "Write a title." in request.system
    assert request.user == PROMPT.user
    said = json.dumps(request.body)
    assert '"title"' in said or r"\"title\"" in said  # the schema, wherever this kind wants it
    limit = request.body["options"] if kind == "ollama" else request.body
    assert 4096 in [limit.get(name) for name in ("max_tokens", "max_completion_tokens", "num_predict")]
    assert limit["temperature"] == 0.5


@pytest.mark.parametrize(
    ("entry", "calls", "outcome", "error"),
    [
        (Says("I would rather not."), 2, "invalid", "llm_unusable"),
        (Says({"subject": "Hello"}), 2, "invalid", "llm_unusable"),
        (Says({"title": "Hello"}, cut=True), 1, "cut", "llm_cut"),
        (Status(401), 1, "bad_key", "llm_misconfigured"),
        (Status(404), 1, "rejected", "llm_misconfigured"),
        (Status(500), 3, "server_error", "llm_away"),
        (Status(503), 3, "server_error", "llm_away"),
        (BreaksOff(), 3, "unreachable", "llm_away"),
        (Garbage(), 3, "server_error", "llm_away"),
    ],
    ids=["nonsense", "wrong schema", "cut", "401", "404", "500", "503", "truncated", "no JSON"],
)
@pytest.mark.parametrize("kind", KINDS)
async def test_each_failure_is_known_for_what_it_is(
    kind: ProviderKind, entry: Entry, calls: int, outcome: str, error: str
) -> None:
    async with LLMDouble(entry).running() as double:
        with pytest.raises((NoAnswer, LanguageModelsAway)) as raised:
            await router(provider(double, kind)).ask("ask", PROMPT, Form, Purse())
    assert isinstance(raised.value, NoAnswer | LanguageModelsAway)
    assert raised.value.code == error
    assert outcomes(raised.value.attempts) == [f"one {outcome}"] * calls
    assert len(double.requests) == calls
    assert "sk-first" not in raised.value.message


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ollama"])
async def test_a_limit_says_when_to_come_back(kind: ProviderKind) -> None:
    """Ollama's client hands on no headers."""
    async with LLMDouble(Status(429, {"Retry-After": "90"})).running() as double:
        with pytest.raises(LanguageModelsAway) as raised:
            await router(provider(double, kind)).ask("ask", PROMPT, Form, Purse())
    assert raised.value.retry_after_s == 90
    assert outcomes(raised.value.attempts) == ["one rate_limited"]


@pytest.mark.parametrize("kind", KINDS)
async def test_one_that_never_answers_is_left_at_its_deadline_and_the_next_answers(kind: ProviderKind) -> None:
    async with LLMDouble(Never()).running() as silent, LLMDouble(GOOD).running() as double:
        first = provider(silent, kind, "silent", timeout_s=0.3, quality=90)
        asked = router(first, provider(double))
        answers = [await asked.ask("ask", PROMPT, Form, Purse()) for _ in range(2)]
    assert [outcomes(answer.attempts) for answer in answers] == [
        ["silent timeout"] * 3 + ["one ok"],
        ["silent resting", "one ok"],
    ]


async def test_where_nobody_listens_the_next_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with LLMDouble(GOOD).running() as double:
        gone = ProviderSettings(
            name="gone", kind="openai-compatible", model="m", base_url=f"http://127.0.0.1:{port}/v1", quality=90
        )
        answer = await router(gone, provider(double)).ask("ask", PROMPT, Form, Purse())
    assert outcomes(answer.attempts) == ["gone unreachable"] * 3 + ["one ok"]


async def test_where_one_service_fails_another_ones_answer_is_taken() -> None:
    """The fallback, over two protocols."""
    async with LLMDouble(Status(500)).running() as failing, LLMDouble(GOOD).running() as double:
        asked = router(provider(failing, "openai", "a", quality=90), provider(double, "anthropic", "b"))
        answer = await asked.ask("ask", PROMPT, Form, Purse())
    assert (answer.provider, answer.value.title) == ("b", "Hello")
    assert outcomes(answer.attempts) == ["a server_error"] * 3 + ["b ok"]


async def test_keys_take_turns_when_one_is_refused_and_one_is_over_its_limit() -> None:
    by_key: dict[str, Entry] = {"k1": Status(401), "k2": Status(429, {"Retry-After": "90"}), "k3": GOOD}
    async with LLMDouble(by_key=by_key).running() as double:
        keys = tuple(SecretStr(key) for key in by_key)
        asked = router(provider(double, api_keys=keys))
        await asked.ask("ask", PROMPT, Form, Purse())
        await asked.ask("ask", PROMPT, Form, Purse())
    assert [request.key for request in double.requests] == ["k1", "k2", "k3", "k3"]


async def test_used_up_credit_is_no_rate_limit() -> None:
    said = "You exceeded your current quota, please check your plan and billing details."
    async with LLMDouble(Status(429, message=said)).running() as double:
        with pytest.raises(NoAnswer, match="it answered 429: You exceeded your current quota") as raised:
            await router(provider(double)).ask("ask", PROMPT, Form, Purse())
    assert raised.value.code == "llm_misconfigured"


async def test_an_answer_that_does_not_fit_is_repaired_by_telling_what_is_wrong() -> None:
    async with LLMDouble(Says({"subject": "Hello"}), GOOD).running() as double:
        answer = await router(provider(double)).ask("ask", PROMPT, Form, Purse())
    assert outcomes(answer.attempts) == ["one invalid", "one ok"]
    *_, its_own, objection = double.requests[1].body["messages"]
    assert json.loads(its_own["content"]) == {"subject": "Hello"}
    assert "title: Field required" in objection["content"]


async def test_a_question_that_is_cancelled_hangs_up() -> None:
    async with LLMDouble(Never()).running() as double:
        asking = asyncio.create_task(router(provider(double)).ask("ask", PROMPT, Form, Purse()))
        await double.asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await double.left.wait()


@pytest.mark.parametrize("kind", KINDS)
async def test_no_variable_of_a_library_sends_what_was_said_elsewhere(
    kind: ProviderKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with LLMDouble(Status(500)).running() as elsewhere, LLMDouble(GOOD).running() as double:
        for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_BASE_URL", "MISTRAL_BASE_URL", "OLLAMA_HOST"):
            monkeypatch.setenv(name, elsewhere.url)
        for name in ("LANGSMITH_ENDPOINT", "LANGCHAIN_ENDPOINT", "LANGSMITH_GATEWAY"):
            monkeypatch.setenv(name, elsewhere.url)
        for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
            monkeypatch.setenv(name, "true")
        for name in ("LANGSMITH_API_KEY", "LANGSMITH_GATEWAY_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
            monkeypatch.setenv(name, "sk-environment")
        answer = await router(provider(double, kind)).ask("ask", PROMPT, Form, Purse())
        assert answer.value.title == "Hello"
        assert [request.key for request in double.requests] == ["sk-first"]
        await asyncio.sleep(0.2)  # a tracer would send from a thread of its own
    assert elsewhere.requests == []
