"""The step `translate`: every segment under its number, or a plain word why not."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from batch.pipeline import step_types
from batch.steps.translate import translate
from parley import store
from parley.embedded.server import RunningServer
from parley.errors import ClientError, NotFound
from parley.llm.attempts import LanguageModelsAway
from parley.store.translations import TranslatedSegment, Translations
from tests.integration.llm_double import LLMDouble, Says, Status
from tests.integration.llm_steps import due, provider, run, spoken, tools
from tests.integration.stores import own_database


@pytest.fixture(scope="module")
def database(server: RunningServer) -> Iterator[str]:
    with own_database(server) as url:
        yield url


@pytest.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool]:
    pool = await store.connect(database)
    await pool.execute("TRUNCATE jobs, recordings, usage CASCADE")
    yield pool
    await pool.close()


def lines_of(body: dict[str, Any]) -> list[tuple[int, str]]:
    user = next(message["content"] for message in body["messages"] if message["role"] == "user")
    return [(int(number), text) for number, text in re.findall(r"^(\d+) \| (.*)$", user, re.MULTILINE)]


def shouted(body: dict[str, Any]) -> dict[str, Any]:
    return {"lines": [{"number": number, "text": text.upper()} for number, text in lines_of(body)]}


SHOUTS = Says(shouted)


async def texts(pool: asyncpg.Pool, recording_id: str) -> list[str]:
    return [each.text for each in await Translations(pool, "alice").get(recording_id, "de")]


def test_it_plugs_in_by_its_file() -> None:
    known = step_types()["translate"]
    assert (known.kind, list(known.needs), list(known.gives)) == ("llm", ["transcript"], ["translation"])


async def test_each_segment_is_translated_under_its_number(pool: asyncpg.Pool) -> None:
    recording_id = await spoken(pool, "Hello there.", "", "Good bye.")
    lease = await due(pool, "translate", recording_id, translate_to="de")
    async with LLMDouble(SHOUTS).running() as double:
        result = await run(translate, lease, tools(pool, provider(double)))
    assert result.value == {"language": "de", "segments": 2, "models": ["one m-1"]}
    assert await Translations(pool, "alice").get(recording_id, "de") == [
        TranslatedSegment(0, "HELLO THERE.", "one", "m-1"),
        TranslatedSegment(2, "GOOD BYE.", "one", "m-1"),
    ]
    assert '"de"' in double.requests[0].system


async def test_a_long_recording_goes_in_parts_that_leave_nothing_out(pool: asyncpg.Pool) -> None:
    said = [f"This is sentence number {number} of many. " * 4 for number in range(60)]
    recording_id = await spoken(pool, *said)
    async with LLMDouble(SHOUTS).running() as double:
        one = provider(double, max_output_tokens=2000)
        await run(translate, await due(pool, "translate", recording_id, translate_to="de"), tools(pool, one))
    assert len(double.requests) > 2
    assert await texts(pool, recording_id) == [text.strip().upper() for text in said]


async def test_a_segment_that_was_left_out_is_asked_for_once_more(pool: asyncpg.Pool) -> None:
    recording_id = await spoken(pool, "One.", "Two.", "Three.")
    lazy = Says({"lines": [{"number": 0, "text": "EINS."}, {"number": 9, "text": "NEUN."}, {"number": 2, "text": " "}]})
    async with LLMDouble(lazy, SHOUTS).running() as double:
        lease = await due(pool, "translate", recording_id, translate_to="de")
        await run(translate, lease, tools(pool, provider(double)))
    assert [lines_of(request.body) for request in double.requests[1:]] == [[(1, "Two."), (2, "Three.")]]
    assert await texts(pool, recording_id) == ["EINS.", "TWO.", "THREE."]
    async with LLMDouble(lazy).running() as double:
        lease = await due(pool, "translate", recording_id, translate_to="de")
        with pytest.raises(ClientError, match=r"left out the segments \[1, 2\], twice"):
            await run(translate, lease, tools(pool, provider(double)))
    assert await texts(pool, recording_id) == ["EINS.", "TWO.", "THREE."]  # as it was


async def test_an_answer_that_does_not_fit_is_asked_for_in_halves(pool: asyncpg.Pool) -> None:
    recording_id = await spoken(pool, "One.", "Two.")
    async with LLMDouble(Says(shouted, cut=True), SHOUTS).running() as double:
        lease = await due(pool, "translate", recording_id, translate_to="de")
        await run(translate, lease, tools(pool, provider(double)))
    assert [len(lines_of(request.body)) for request in double.requests] == [2, 1, 1]
    assert await texts(pool, recording_id) == ["ONE.", "TWO."]


async def test_what_is_spoken_in_the_language_needs_no_model(pool: asyncpg.Pool) -> None:
    recording_id = await spoken(pool, "Guten Tag.", language="de")
    result = await run(translate, await due(pool, "translate", recording_id, translate_to="de"), tools(pool))
    assert result.value == {"language": "de", "segments": 1, "models": []}
    assert await texts(pool, recording_id) == ["Guten Tag."]


async def test_without_a_model_or_a_language_it_is_refused_in_plain_words(pool: asyncpg.Pool) -> None:
    recording_id = await spoken(pool, "Hello.")
    lease = await due(pool, "translate", recording_id, translate_to="de")
    with pytest.raises(ClientError, match=r"cannot be translated\. No language model is configured") as raised:
        await run(translate, lease, tools(pool))
    assert raised.value.code == "llm_none"
    with pytest.raises(ClientError, match="needs the option translate_to") as raised:
        await run(translate, await due(pool, "translate", recording_id), tools(pool))
    assert raised.value.code == "no_language"


async def test_a_model_that_is_away_delays_it(pool: asyncpg.Pool) -> None:
    lease = await due(pool, "translate", await spoken(pool, "Hello."), translate_to="de")
    async with LLMDouble(Status(503)).running() as double:
        with pytest.raises(LanguageModelsAway):
            await run(translate, lease, tools(pool, provider(double)))


async def test_a_translation_is_its_owners_alone(pool: asyncpg.Pool) -> None:
    recording_id = await spoken(pool, "Guten Tag.", language="de")
    await run(translate, await due(pool, "translate", recording_id, translate_to="de"), tools(pool))
    assert await Translations(pool, "bob").of(recording_id) == []
    with pytest.raises(NotFound, match="there is: none"):
        await Translations(pool, "bob").get(recording_id, "de")
    with pytest.raises(NotFound, match="there is: de"):
        await Translations(pool, "alice").get(recording_id, "fr")
