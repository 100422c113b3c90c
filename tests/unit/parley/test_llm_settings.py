"""Settings of language models: what is wrong is named, and no key is ever shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from parley.errors import SetupError
from parley.settings import load_settings

KEY = "sk-hidden-7"


def entry(**values: Any) -> dict[str, Any]:
    return {"name": "big", "kind": "openai", "model": "m", "api_keys": [KEY]} | values


@pytest.mark.parametrize(
    ("providers", "said"),
    [
        ({"name": "big", "api_keys": [KEY]}, "PARLEY_LLM__PROVIDERS: a JSON list is wanted"),
        ([KEY], "PARLEY_LLM__PROVIDERS, entry 1: Input should be a valid dictionary"),
        ([{"name": "big", "kind": "openai", "api_keys": [KEY]}], "entry 1: model: it is missing"),
        ([entry(), entry(name="b", size=1)], "entry 2: size: no such setting"),
        ([entry(kind="opnai")], r"entry 1: kind: Input should be .*'openai-compatible' \(given: 'opnai'\)"),
        ([entry(api_keys=KEY)], "entry 1: api_keys: a JSON list is wanted"),
        ([entry(api_keys=[{"key": KEY}])], "entry 1: api_keys: Input should be a valid string"),
        ([entry(api_keys=[KEY, " "])], "entry 1: big has an empty key"),
        ([entry(api_keys=[])], "entry 1: big is openai and has no api_keys"),
        ([entry(kind="openai-compatible")], "entry 1: big is openai-compatible and has no base_url"),
        ([entry(base_url="localhost:8080")], "entry 1: base_url: base_url is no address such as"),
        ([entry(base_url=f"https://me:{KEY}@host/v1")], "entry 1: base_url: base_url carries credentials"),
        ([entry(context_tokens=8192, max_output_tokens=8000)], "entry 1: big has context_tokens 8192, which leaves"),
        ([entry(name="a b")], r"entry 1: name: String should match .* \(given: 'a b'\)"),
        ([entry(), entry()], "PARLEY_LLM: providers has big twice"),
    ],
)
def test_what_is_wrong_with_a_provider_is_named_and_its_keys_are_not(
    monkeypatch: pytest.MonkeyPatch, providers: Any, said: str
) -> None:
    monkeypatch.setenv("PARLEY_LLM__PROVIDERS", json.dumps(providers))
    with pytest.raises(SetupError, match=said) as raised:
        load_settings()
    assert KEY not in raised.value.message


def test_a_list_of_providers_that_is_no_json_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_LLM__PROVIDERS", f"name=big,key={KEY}")
    with pytest.raises(SetupError, match="PARLEY_LLM__PROVIDERS: a JSON list is wanted") as raised:
        load_settings()
    assert KEY not in raised.value.message


def test_a_route_to_no_provider_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_LLM__PROVIDERS", json.dumps([entry()]))
    monkeypatch.setenv("PARLEY_LLM__ROUTING__ASK", '["small"]')
    with pytest.raises(SetupError, match=r"routing\.ask names 'small', which is no provider; there are: big"):
        load_settings()


def test_providers_are_read_from_the_file_and_what_is_wrong_there_is_named_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARLEY_DATA", str(tmp_path))
    file = tmp_path / "settings.toml"
    file.write_text('[[llm.providers]]\nname = "home"\nkind = "ollama"\nmodel = "llama3.2"\n')
    [provider] = load_settings().llm.route("summarise")
    assert (provider.address, provider.is_paid, provider.asks_by) == ("http://127.0.0.1:11434", False, "schema")
    file.write_text('[[llm.providers]]\nname = "home"\nkind = "ollama"\n')
    with pytest.raises(SetupError) as raised:
        load_settings()
    assert raised.value.message == f"{file}: [llm] providers, entry 1: model: it is missing."


def test_without_a_route_the_best_goes_first_and_of_those_the_cheapest(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [entry(name="a", input_cost=3), entry(name="b", input_cost=1), entry(name="c", quality=80, input_cost=9)]
    monkeypatch.setenv("PARLEY_LLM__PROVIDERS", json.dumps(given))
    assert [provider.name for provider in load_settings().llm.route("ask")] == ["c", "b", "a"]


def test_no_way_to_show_the_settings_shows_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_LLM__PROVIDERS", json.dumps([entry()]))
    settings = load_settings()
    for shown in (repr(settings), str(settings.llm), settings.model_dump_json(), str(settings.model_dump())):
        assert KEY not in shown
