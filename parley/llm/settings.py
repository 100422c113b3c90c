"""The settings of language models; `parley.settings` has them as `llm`."""

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

ProviderKind = Literal["openai", "anthropic", "mistral", "ollama", "openai-compatible"]
Purpose = Literal["summarise", "translate", "ask"]
Structured = Literal["schema", "tool", "prompt"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$")]

_HOMES: dict[ProviderKind, str] = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "mistral": "https://api.mistral.ai/v1",
    "ollama": "http://127.0.0.1:11434",
}
"""Where each kind is, unless the settings say otherwise. Always handed over: no variable of a library moves it."""
_NEED_KEYS: frozenset[ProviderKind] = frozenset({"openai", "anthropic", "mistral"})
_STRUCTURED: dict[ProviderKind, Structured] = {"anthropic": "tool"}
_LEAST_PROMPT_TOKENS = 3500
"""Instructions, the answer's schema, and some transcript: less room makes no notes."""


class _Slice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ProviderSettings(_Slice):
    """A language model that can be asked."""

    name: Name
    """What it is called in routes, in the ledger and on the page."""
    kind: ProviderKind
    """The protocol that it speaks."""
    model: str = Field(min_length=1)
    """The model's name there, such as `gpt-5-mini`."""
    base_url: str = ""
    """Its address; empty: the kind's own. Needed for `openai-compatible`."""
    api_keys: tuple[SecretStr, ...] = ()
    """Keys, in the order in which they are used: where one is refused or over its limit, the next takes over."""
    context_tokens: int = Field(default=32_768, ge=4096)
    """Tokens of question and answer together that the model bears. Ollama is told to make that much room."""
    max_output_tokens: int = Field(default=4096, ge=256)
    """Tokens of one answer at most."""
    input_cost: float = Field(default=0.0, ge=0)
    """What a million tokens of the question cost, in the currency of the budget. 0 on both sides: it is free."""
    output_cost: float = Field(default=0.0, ge=0)
    """What a million tokens of the answer cost."""
    quality: int = Field(default=50, ge=0, le=100)
    """How good it is, by your own measure: where a route is empty, the best goes first."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Sampling temperature; unset: the model's own, which some models insist on."""
    timeout_s: float = Field(default=120.0, gt=0)
    """Seconds of one call at most."""
    structured: Structured | None = None
    """How the form of an answer is asked for: a JSON `schema` that the server enforces, a `tool` to call, or words in
    the `prompt` for a server that knows neither. Unset: `tool` for Anthropic, `schema` for the others."""

    @property
    def address(self) -> str:
        return self.base_url or _HOMES[self.kind]

    @property
    def is_paid(self) -> bool:
        return self.input_cost > 0 or self.output_cost > 0

    @property
    def asks_by(self) -> Structured:
        return self.structured or _STRUCTURED.get(self.kind, "schema")

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """What so many tokens cost, in the currency of the budget."""
        return (tokens_in * self.input_cost + tokens_out * self.output_cost) / 1_000_000

    @field_validator("base_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            fits = not url or (parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
        except ValueError:
            fits = False
        if not fits:
            raise ValueError("base_url is no address such as http://127.0.0.1:8080/v1")
        if parts.username or parts.password:
            raise ValueError("base_url carries credentials; they belong in api_keys")
        return url

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.kind == "openai-compatible" and not self.base_url:
            raise ValueError(f"{self.name} is openai-compatible and has no base_url")
        if self.kind in _NEED_KEYS and not self.api_keys:
            raise ValueError(f"{self.name} is {self.kind} and has no api_keys")
        if any(not key.get_secret_value().strip() for key in self.api_keys):
            raise ValueError(f"{self.name} has an empty key in api_keys")
        if self.context_tokens - self.max_output_tokens < _LEAST_PROMPT_TOKENS:
            raise ValueError(
                f"{self.name} has context_tokens {self.context_tokens}, which leaves less than {_LEAST_PROMPT_TOKENS}"
                f" beside max_output_tokens {self.max_output_tokens}"
            )
        return self


class RoutingSettings(_Slice):
    """Which language models are asked for what, in order."""

    summarise: tuple[str, ...] = ()
    """Names of providers for notes; empty: all, the best first, and of those the cheapest."""
    translate: tuple[str, ...] = ()
    """Names of providers for translations; empty: all."""
    ask: tuple[str, ...] = ()
    """Names of providers for answers to questions; empty: all."""


class LLMSettings(_Slice):
    """Language models."""

    providers: tuple[ProviderSettings, ...] = ()
    """The models that can be asked, see below; without any, notes are extracts and are marked so."""
    monthly_budget: float | None = Field(default=None, ge=0)
    """What one owner's paid calls may cost in a calendar month (UTC); then only free models are asked. Unset: no
    limit."""
    patience_s: float = Field(default=1800.0, ge=0)
    """Seconds for which notes wait for a model that is away, before they are made of extracts."""
    deadline_s: float = Field(default=600.0, gt=0)
    """Seconds of one question at most, with all its repeats and all the models that were asked in turn."""
    routing: RoutingSettings = RoutingSettings()
    """Who is asked for what"""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        names = [provider.name for provider in self.providers]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"providers has {', '.join(twice)} twice")
        for purpose, route in self.routing:
            if unknown := [name for name in route if name not in names]:
                known = ", ".join(names) or "none"
                raise ValueError(f"routing.{purpose} names {unknown[0]!r}, which is no provider; there are: {known}")
        return self

    def route(self, purpose: Purpose) -> tuple[ProviderSettings, ...]:
        """The providers to ask, in order."""
        names: tuple[str, ...] = getattr(self.routing, purpose)
        if names:
            by_name = {provider.name: provider for provider in self.providers}
            return tuple(by_name[name] for name in dict.fromkeys(names))
        return tuple(sorted(self.providers, key=lambda each: (-each.quality, each.input_cost + each.output_cost)))
