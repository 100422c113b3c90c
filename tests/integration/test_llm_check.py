"""`parley llm check`: what is configured, and whether it answers."""

import json
import subprocess
import sys
from typing import Any

import pytest

from parley import doctor
from parley.llm.check import report, survey
from parley.llm.settings import ProviderSettings
from parley.settings import load_settings
from tests.integration.llm_double import LLMDouble, Says, Status


def provider(double: LLMDouble, name: str) -> dict[str, Any]:
    return {"name": name, "kind": "openai", "model": "m-1", "base_url": f"{double.url}/v1", "api_keys": ["sk-hidden"]}


async def test_each_is_asked_and_what_is_wrong_with_one_is_said() -> None:
    good, bad = LLMDouble(Says({"understood": True})), LLMDouble(Status(401, message="no such key: sk-hidden"))
    async with good.running(), bad.running():
        providers = [ProviderSettings.model_validate(provider(each, name)) for each, name in ((good, "a"), (bad, "b"))]
        first, second = report(await survey(providers))
    assert first.startswith(f"✓ a: m-1 at {good.url}/v1 answers (")
    assert second == f"✗ b: m-1 at {bad.url}/v1: it answered 401: no such key: ***"


def test_with_none_it_says_what_that_means() -> None:
    done = subprocess.run([sys.executable, "-m", "parley", "llm", "check"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("No language model is configured; docs/language-models.md shows how.")


def test_doctor_names_them_without_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.language_models(load_settings()).text.startswith("no language model is configured")
    monkeypatch.setenv("PARLEY_LLM__PROVIDERS", json.dumps([{"name": "home", "kind": "ollama", "model": "llama3.2"}]))
    finding = doctor.language_models(load_settings())
    assert (finding.level, finding.text) == (
        "ok",
        "home (llama3.2 at http://127.0.0.1:11434); `parley llm check` asks them",
    )
