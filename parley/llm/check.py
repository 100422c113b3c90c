"""`parley llm check`: each configured language model is asked one short question."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from pydantic import BaseModel

from parley.errors import ParleyError
from parley.llm.attempts import Attempt, LanguageModelsAway, NoAnswer
from parley.llm.prompt import Prompt
from parley.llm.router import Router
from parley.llm.settings import LLMSettings, ProviderSettings
from parley.settings import load_settings

DEADLINE_S = 20.0
_PROMPT = Prompt.of("Say whether you understood: answer with `understood` true.", "Hello.")

app = typer.Typer(no_args_is_help=True, help="Language models: are those in the settings there, and do they answer?")


class _Understood(BaseModel):
    """Whether the instructions were understood."""

    understood: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How one provider did. `seconds` of the call that answered; `problem` empty where one did."""

    provider: ProviderSettings
    seconds: float = 0.0
    problem: str = ""


class _Free:
    """Nobody's budget: whoever checks pays some hundred tokens."""

    async def left(self) -> float | None:
        return None

    async def book(self, _attempt: Attempt) -> None:
        pass


@app.callback()
def group() -> None:
    """Keeps `check` a command of its own while it is the only one."""


@app.command()
def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Ask each language model of the settings one short question. The exit status is 1 if one does not answer."""
    providers = load_settings().llm.providers
    standings = asyncio.run(survey(providers))
    if as_json:
        print(json.dumps([_plain(standing) for standing in standings], indent=2))
    else:
        for line in report(standings):
            print(line)
    raise typer.Exit(1 if any(standing.problem for standing in standings) else 0)


async def survey(providers: Sequence[ProviderSettings]) -> list[Standing]:
    """How each does, all at the same time, within some DEADLINE_S."""
    return list(await asyncio.gather(*map(_ask, providers)))


async def _ask(provider: ProviderSettings) -> Standing:
    hurried = provider.model_copy(update={"timeout_s": min(provider.timeout_s, DEADLINE_S)})
    router = Router(LLMSettings(providers=(hurried,), deadline_s=DEADLINE_S))
    try:
        answer = await router.ask("ask", _PROMPT, _Understood, _Free())
    except (NoAnswer, LanguageModelsAway) as error:
        return Standing(provider, problem=_last_word(error))
    except ParleyError as error:
        return Standing(provider, problem=error.message)
    return Standing(provider, answer.attempts[-1].seconds)


def _last_word(error: NoAnswer | LanguageModelsAway) -> str:
    said = error.attempts[-1].message if error.attempts else error.message
    return said.split(": ", 1)[-1]


def report(standings: Sequence[Standing]) -> list[str]:
    """Lines for people."""
    if not standings:
        return ["No language model is configured; docs/language-models.md shows how. Notes are made of extracts."]
    lines = []
    for each in standings:
        what = f"{each.provider.name}: {each.provider.model} at {each.provider.address}"
        lines.append(f"✗ {what}: {each.problem}" if each.problem else f"✓ {what} answers ({each.seconds:.1f} s)")
    return lines


def _plain(standing: Standing) -> dict[str, object]:
    return {
        "name": standing.provider.name,
        "kind": standing.provider.kind,
        "model": standing.provider.model,
        "address": standing.provider.address,
        "answers": not standing.problem,
        "seconds": round(standing.seconds, 3),
        "problem": standing.problem,
    }
