"""The router: who is asked, what is waited for, and what is told of it. Models here are scripts, without a socket."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from parley.llm.attempts import Attempt, LanguageModelsAway, NoAnswer
from parley.llm.chat import CallFailed, Question, Reply
from parley.llm.prompt import Prompt
from parley.llm.router import Router
from parley.llm.settings import LLMSettings, ProviderSettings, RoutingSettings


class Form(BaseModel):
    title: str


GOOD = Reply({"title": "It"}, 1000, 100)
NONSENSE = Reply("I would rather not.", 1000, 10)
DOWN = CallFailed("server_error", "it answered 500")
LIMITED = CallFailed("rate_limited", "it answered 429", retry_after_s=4)
LIMITED_LONG = CallFailed("rate_limited", "it answered 429", retry_after_s=400)
REFUSED_KEY = CallFailed("bad_key", "it answered 401")
PROMPT = Prompt.of("Summarise.", "Hello.")


class World:
    """Models by script, a clock that only sleeping moves, and a purse."""

    def __init__(self, scripts: dict[str, Sequence[Reply | BaseException]], left: float | None = None) -> None:
        self.scripts = {name: list(script) for name, script in scripts.items()}
        self.asked: list[tuple[str, int, Question]] = []
        self.booked: list[Attempt] = []
        self.slept: list[float] = []
        self.now = 0.0
        self.purse = left

    async def connect(self, provider: ProviderSettings, key: int) -> "Script":
        return Script(self, provider.name, key)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def left(self) -> float | None:
        return self.purse

    async def book(self, attempt: Attempt) -> None:
        self.booked.append(attempt)
        if self.purse is not None:
            self.purse -= attempt.cost

    def router(self, *providers: ProviderSettings, **values: Any) -> Router:
        settings = LLMSettings(providers=providers, **values)
        return Router(settings, connect=self.connect, clock=lambda: self.now, sleep=self.sleep, luck=lambda: 0.0)


class Script:
    def __init__(self, world: World, name: str, key: int) -> None:
        self.world, self.name, self.key = world, name, key

    async def ask(self, question: Question) -> Reply:
        self.world.asked.append((self.name, self.key, question))
        script = self.world.scripts[self.name]
        entry = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(entry, BaseException):
            raise entry
        return entry


def provider(name: str, keys: int = 1, **values: Any) -> ProviderSettings:
    api_keys = tuple(SecretStr(f"key-{number}") for number in range(keys))
    return ProviderSettings(name=name, kind="openai", model=f"{name}-1", api_keys=api_keys, **values)


def told(attempts: Sequence[Attempt]) -> list[str]:
    return [f"{attempt.provider} {attempt.outcome}" for attempt in attempts]


async def test_the_best_answers_and_what_it_cost_is_booked() -> None:
    world = World({"a": [GOOD], "b": [GOOD]})
    answer = await world.router(provider("b", quality=40), provider("a", quality=60, input_cost=2, output_cost=10)).ask(
        "summarise", PROMPT, Form, world
    )
    assert (answer.value, answer.provider, answer.model) == (Form(title="It"), "a", "a-1")
    assert [(each.tokens_in, each.tokens_out, each.cost) for each in world.booked] == [(1000, 100, 0.003)]


async def test_a_route_names_who_is_asked_in_order() -> None:
    world = World({"a": [GOOD], "b": [DOWN], "c": [GOOD]})
    router = world.router(provider("a"), provider("b"), provider("c"), routing=RoutingSettings(ask=("b", "c")))
    assert (await router.ask("ask", PROMPT, Form, world)).provider == "c"
    assert (await router.ask("translate", PROMPT, Form, world)).provider == "a"


async def test_where_one_fails_the_next_answers_and_both_are_told_of() -> None:
    world = World({"a": [DOWN], "b": [GOOD]})
    answer = await world.router(provider("a"), provider("b")).ask("ask", PROMPT, Form, world)
    assert answer.provider == "b"
    assert told(answer.attempts) == ["a server_error"] * 3 + ["b ok"]
    assert world.slept == [0.5, 1.0]


async def test_nonsense_gets_one_more_chance_with_what_was_wrong() -> None:
    world = World({"a": [NONSENSE, GOOD]})
    answer = await world.router(provider("a")).ask("ask", PROMPT, Form, world)
    assert told(answer.attempts) == ["a invalid", "a ok"]
    [exchange] = world.asked[1][2].exchanges
    assert exchange.answer == NONSENSE.answer
    assert "no JSON object" in exchange.objection
    assert [attempt.tokens_out for attempt in world.booked] == [10, 100]


async def test_nonsense_twice_is_the_next_ones_turn_and_from_all_is_no_answer() -> None:
    world = World({"a": [NONSENSE], "b": [NONSENSE]})
    with pytest.raises(NoAnswer) as raised:
        await world.router(provider("a"), provider("b")).ask("ask", PROMPT, Form, world)
    assert raised.value.code == "llm_unusable"
    assert told(raised.value.attempts) == ["a invalid", "a invalid", "b invalid", "b invalid"]


async def test_a_key_that_is_refused_or_limited_makes_way_for_the_next_and_stays_away() -> None:
    world = World({"a": [REFUSED_KEY, LIMITED_LONG, GOOD]})
    router = world.router(provider("a", keys=3))
    await router.ask("ask", PROMPT, Form, world)
    await router.ask("ask", PROMPT, Form, world)
    assert [key for _, key, _ in world.asked] == [0, 1, 2, 2]
    assert world.slept == []
    world.now = 500.0
    await router.ask("ask", PROMPT, Form, world)
    world.now = 700.0
    await router.ask("ask", PROMPT, Form, world)
    assert [key for _, key, _ in world.asked[4:]] == [1, 0]


async def test_a_limit_is_waited_out_where_it_is_short() -> None:
    world = World({"a": [LIMITED, GOOD]})
    answer = await world.router(provider("a")).ask("ask", PROMPT, Form, world)
    assert told(answer.attempts) == ["a rate_limited", "a ok"]
    assert world.slept == [4]


async def test_a_long_limit_of_all_is_told_with_its_end() -> None:
    world = World({"a": [LIMITED_LONG]})
    router = world.router(provider("a"))
    with pytest.raises(LanguageModelsAway) as raised:
        await router.ask("ask", PROMPT, Form, world)
    assert (raised.value.code, raised.value.retry_after_s) == ("llm_away", 300)
    with pytest.raises(LanguageModelsAway, match="its keys rest for 400 s"):
        await router.ask("ask", PROMPT, Form, world)
    assert len(world.asked) == 1


async def test_the_breaker_opens_and_one_call_tries_whether_it_is_back() -> None:
    world = World({"a": [DOWN, DOWN, DOWN, GOOD], "b": [GOOD]})
    router = world.router(provider("a"), provider("b"))
    await router.ask("ask", PROMPT, Form, world)
    answer = await router.ask("ask", PROMPT, Form, world)
    assert told(answer.attempts) == ["a resting", "b ok"]
    world.now += 31
    assert (await router.ask("ask", PROMPT, Form, world)).provider == "a"


async def test_a_question_goes_to_those_whose_window_it_fits_into() -> None:
    world = World({"small": [GOOD], "large": [GOOD]})
    small, large = provider("small", context_tokens=8192), provider("large", context_tokens=100_000)
    router = world.router(small, large, routing=RoutingSettings(ask=("small", "large")))
    assert router.rooms("ask") == (8192 - 4096,)
    assert router.rooms("translate") == (8192 - 4096,)
    assert world.router(large, small).rooms("ask") == (100_000 - 4096, 8192 - 4096)
    long = Prompt.of("Summarise.", "word " * 5000)
    answer = await router.ask("ask", long, Form, world)
    assert told(answer.attempts) == ["small too_long", "large ok"]
    with pytest.raises(NoAnswer, match=r"some \d+ tokens, and there is room for 4096") as raised:
        await world.router(small).ask("ask", long, Form, world)
    assert raised.value.code == "llm_too_long"


async def test_what_may_cost_more_than_is_left_is_not_asked_and_what_is_free_is() -> None:
    world = World({"paid": [GOOD], "free": [GOOD]}, left=0.05)
    paid, free = provider("paid", quality=90, input_cost=3, output_cost=10), provider("free")
    router = world.router(paid, free)
    assert (await router.ask("ask", PROMPT, Form, world)).provider == "paid"
    world.purse = 0.02
    answer = await router.ask("ask", PROMPT, Form, world)
    assert told(answer.attempts) == ["paid budget", "free ok"]
    with pytest.raises(NoAnswer, match=r"of the month's budget 0\.0200 is left") as raised:
        await world.router(paid).ask("ask", PROMPT, Form, world)
    assert raised.value.code == "llm_budget"


async def test_with_no_provider_there_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="No language model is configured"):
        await World({}).router().ask("ask", PROMPT, Form, World({}))


async def test_a_question_ends_at_its_deadline() -> None:
    world = World({"a": [DOWN], "b": [DOWN]})
    with pytest.raises(LanguageModelsAway):
        await world.router(provider("a"), provider("b"), deadline_s=0.4).ask("ask", PROMPT, Form, world)
    assert (world.slept, world.now) == ([], 0)


async def test_a_probe_that_is_cancelled_lets_the_next_one_try() -> None:
    world = World({"a": [DOWN, DOWN, DOWN, asyncio.CancelledError(), GOOD]})
    router = world.router(provider("a"))
    with pytest.raises(LanguageModelsAway):
        await router.ask("ask", PROMPT, Form, world)
    world.now += 31
    with pytest.raises(asyncio.CancelledError):
        await router.ask("ask", PROMPT, Form, world)
    assert (await router.ask("ask", PROMPT, Form, world)).value == Form(title="It")
