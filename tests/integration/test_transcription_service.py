"""Files that a service writes down, by settings alone: a double that speaks OpenAI's protocol over a real socket."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batch.retry import classify
from batch.transcription.choose import open_transcriber
from batch.transcription.record import flac
from parley.audio import SAMPLE_RATE, Samples
from parley.embedded.server import RunningServer
from parley.errors import ClientError, ParleyError, QuotaSpent, SetupError
from parley.llm.settings import LLMSettings
from parley.settings import Settings, TranscriptionSettings
from parley.store.usage import Usage
from tests.integration.stores import own_database
from tests.integration.transcribing import Desk, desk, spoken
from tests.integration.transcription_double import Asked, Double, refusal, service


@pytest.fixture(scope="module")
def database(server: RunningServer) -> Iterator[str]:
    with own_database(server) as url:
        yield url


@pytest.fixture(scope="module")
def talk() -> Samples:
    return spoken(0, 1, 2, 3)


def hears(asked: Asked) -> Mapping[str, Any]:
    """A word for each half second with sound."""
    half = SAMPLE_RATE // 2
    loud = [
        at for at in range(0, len(asked.samples) - half, half) if np.abs(asked.samples[at : at + half]).max() > 1000
    ]
    times = [(at / SAMPLE_RATE, at / SAMPLE_RATE + 0.4) for at in loud]
    return {
        "task": "transcribe",
        "language": "english",
        "duration": len(asked.samples) / SAMPLE_RATE,
        "text": " ".join("Word" for _ in times),
        "words": [{"word": "word", "start": start, "end": end} for start, end in times],
        "segments": [
            {"id": 0, "seek": 0, "text": "Word", "start": 0.0, "end": len(asked.samples) / SAMPLE_RATE}
            | {"tokens": [1], "temperature": 0.0, "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0}
        ],
    }


Shop = Callable[..., AbstractAsyncContextManager[Desk]]
"""A desk that uses a double, with more settings."""


@pytest.fixture
def shop(database: str, tmp_path: Path) -> Shop:
    @contextlib.asynccontextmanager
    async def opened(double: Double, budget: float | None = None, **settings: Any) -> AsyncIterator[Desk]:
        transcription = TranscriptionSettings(
            provider="openai", base_url=double.url, api_key="secret", model="large", **settings
        )
        tree = Settings(transcription=transcription, llm=LLMSettings(monthly_budget=budget))
        async with open_transcriber(tree) as transcriber, desk(database, tmp_path, transcriber, tree) as it:
            yield it

    return opened


async def test_settings_alone_send_a_file_to_a_service_and_its_words_come_back(shop: Shop, talk: Samples) -> None:
    async with service(hears) as double, shop(double, cost_per_minute=0.06, fast_model="small") as it:
        options = {"language": "en", "vocabulary": ["Parley", "Whisper"]}
        recording_id = await it.hand_in(flac(talk), options=options)
        result = await it.attempt()
        segments = await it.segments(recording_id)
    [asked] = double.asked
    assert asked.key == "secret"
    assert asked.fields == {
        "model": ["large"],
        "response_format": ["verbose_json"],
        "timestamp_granularities[]": ["word", "segment"],
        "temperature": ["0"],
        "language": ["en"],
        "prompt": ["Parley, Whisper"],
    }
    assert len(segments) == result.value["segments"] > 3
    assert all(segment.text.startswith("Word") for segment in segments)
    assert all(segment.start <= word.start <= word.end <= segment.end for segment in segments for word in segment.words)
    assert result.value["recognizer"] == "127.0.0.1"
    assert result.usage is not None
    sent_s = len(asked.samples) / SAMPLE_RATE
    assert result.usage["audio_s"] == pytest.approx(sent_s, abs=0.001)
    assert result.usage["cost"] == pytest.approx(0.06 * sent_s / 60, abs=1e-5)
    assert (result.usage["provider"], result.usage["model"]) == ("127.0.0.1", "large")


async def test_each_request_is_in_the_ledger_also_of_an_attempt_that_failed(shop: Shop) -> None:
    long = spoken(*[0, 1, 2, 3, 4] * 4)
    settings = {"max_request_s": 30, "requests_at_once": 1, "cost_per_minute": 0.6}
    async with service(hears, refusal(400, "no")) as double, shop(double, **settings) as it:
        await it.hand_in(flac(long))
        with pytest.raises(ClientError):
            await it.attempt()
        spent = (await Usage(it.pool, "alice").of_month(datetime.now(UTC))).total
    sent_s = len(double.asked[0].samples) / SAMPLE_RATE
    assert spent.uses == 1
    assert spent.audio_s == pytest.approx(sent_s)
    assert float(spent.cost) == pytest.approx(sent_s / 100, abs=1e-5)


async def test_a_month_whose_budget_is_spent_sends_nothing_more(shop: Shop, talk: Samples) -> None:
    async with service(hears) as double, shop(double, budget=0.0) as it:
        await it.hand_in(flac(talk))
        with pytest.raises(QuotaSpent, match="budget of 0 is spent"):
            await it.attempt()
    assert double.asked == []


async def test_a_long_file_goes_in_several_requests_cut_at_silence(shop: Shop) -> None:
    long = spoken(*[0, 1, 2, 3, 4] * 4)
    async with service(hears) as double, shop(double, max_request_s=30) as it:
        recording_id = await it.hand_in(flac(long))
        await it.attempt()
        segments = await it.segments(recording_id)
    assert len(double.asked) >= 2
    assert all(len(asked.samples) <= 30 * SAMPLE_RATE for asked in double.asked)
    assert [segment.number for segment in segments] == list(range(len(segments)))
    spoken_samples = sum(segment.end - segment.start for segment in segments)
    assert sum(len(asked.samples) for asked in double.asked) >= spoken_samples


async def test_urgent_jobs_go_to_the_fast_model(shop: Shop, talk: Samples) -> None:
    async with service(hears) as double, shop(double, fast_model="small") as it:
        await it.hand_in(flac(talk), priority="urgent")
        await it.attempt()
    assert double.asked[0].fields["model"] == ["small"]


async def test_a_service_that_stumbles_is_asked_again(shop: Shop, talk: Samples) -> None:
    stumbling = refusal(500, "oops"), refusal(429, "slow down", **{"retry-after": "0.01"}), hears
    async with service(*stumbling) as double, shop(double) as it:
        await it.hand_in(flac(talk))
        result = await it.attempt()
    assert len(double.asked) == 3
    assert result.value["segments"] > 3


@pytest.mark.parametrize(
    ("answer", "error_class", "said"),
    [
        (refusal(500, "oops"), "retryable", "said 500: oops"),
        (refusal(429, "slow down", **{"retry-after": "0.01"}), "delayed", "said 429: slow down"),
        (refusal(429, "Your credit is used up.", "insufficient_quota"), "quota", "Your credit is used up."),
        (refusal(401, "Incorrect key."), "delayed", "said 401: Incorrect key."),
        (refusal(404, "No such model."), "delayed", "'large'"),
        (refusal(400, "Unknown language."), "permanent", "said 400: Unknown language."),
        (lambda _asked: {"nothing": "of use"}, "retryable", "what is no transcription"),
        (lambda _asked: {"text": "words without times"}, "delayed", "tells no times"),
    ],
    ids=["500", "429", "quota", "401", "404", "400", "nonsense", "no times"],
)
async def test_what_a_service_refuses_is_told_in_its_words_and_tried_again_where_that_helps(
    shop: Shop, talk: Samples, answer: Any, error_class: str, said: str
) -> None:
    async with service(answer) as double, shop(double) as it:
        await it.hand_in(flac(talk))
        with pytest.raises(ParleyError) as raised:
            await it.attempt()
    assert said in raised.value.message
    assert "secret" not in raised.value.message
    assert classify(raised.value).error_class == error_class


async def test_a_service_that_is_not_there_delays_the_job(shop: Shop, talk: Samples) -> None:
    async with shop(Double([], url="http://127.0.0.1:1/v1")) as it:
        await it.hand_in(flac(talk))
        with pytest.raises(ParleyError) as raised:
            await it.attempt()
    assert classify(raised.value).error_class == "delayed"


async def test_after_a_failure_only_the_rest_is_sent(shop: Shop) -> None:
    long = spoken(*[0, 1, 2, 3, 4] * 4)
    async with service(hears, refusal(400, "no")) as double, shop(double, max_request_s=30, requests_at_once=1) as it:
        recording_id = await it.hand_in(flac(long))
        with pytest.raises(ClientError):
            await it.attempt()
        assert await it.segments(recording_id) == []  # nothing is durable yet
        double.answers[:] = [hears]
        await it.pool.execute("UPDATE job_steps SET state = 'waiting', lease_until = NULL")
        await it.attempt()
        assert len(await it.segments(recording_id)) > 10


async def test_openai_itself_wants_a_key() -> None:
    settings = Settings(transcription=TranscriptionSettings(provider="openai"))
    with pytest.raises(SetupError, match="PARLEY_TRANSCRIPTION__API_KEY"):
        async with open_transcriber(settings):
            raise AssertionError


def test_a_spent_quota_waits_as_quotas_do() -> None:
    assert classify(QuotaSpent("The credit is used up.")).error_class == "quota"
