"""Finals from a service that has OpenAI's `/v1/audio/transcriptions`: OpenAI's own, or any that speaks like it."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from batch.transcription.answers import Answer, Stretch, finals, stretches
from batch.transcription.record import flac
from batch.transcription.speech import Piece
from batch.transcription.transcriber import Final, Order, Quality
from parley.audio import SAMPLE_RATE
from parley.errors import AtCapacity, BackendError, ClientError, ParleyError, QuotaSpent, SetupError
from parley.settings import TranscriptionSettings
from parley.tasks import in_order, to_its_end

if TYPE_CHECKING:
    from openai import APIError, APIStatusError, AsyncOpenAI

_RETRY_AFTER_S = 15.0
_OWN_RETRIES = 2
_OPENAI = "https://api.openai.com/v1"
"""Named, so that no variable of the library leads elsewhere."""


class Service:
    """One service, by the settings."""

    def __init__(self, client: "AsyncOpenAI", settings: TranscriptionSettings) -> None:
        self._client = client
        self._settings = settings

    def model(self, quality: Quality) -> str:
        fast = self._settings.fast_model if quality == "fast" else ""
        return fast or self._settings.model

    def label(self, quality: Quality) -> str:
        return f"{self._client.base_url} {self.model(quality)}"

    async def check(self, quality: Quality) -> None:
        """Only a request tells whether it is there."""

    def run(self, order: Order) -> "ServiceRun":
        return ServiceRun(self._client, self._settings, order, self.model(order.quality))


@contextlib.asynccontextmanager
async def open_service(settings: TranscriptionSettings) -> AsyncIterator[Service]:
    """The service of the settings. Raises SetupError where it wants a key and there is none."""
    from openai import AsyncOpenAI

    if not settings.api_key and not settings.base_url:
        raise SetupError("PARLEY_TRANSCRIPTION__API_KEY is not set, and OpenAI wants one.", code="bad_setting")
    client = AsyncOpenAI(
        api_key=settings.api_key or "none",
        base_url=settings.base_url or _OPENAI,
        organization="",
        project="",
        timeout=settings.timeout_s,
        max_retries=_OWN_RETRIES,
    )
    async with client:
        yield Service(client, settings)


class ServiceRun:
    """One attempt at one recording."""

    def __init__(self, client: "AsyncOpenAI", settings: TranscriptionSettings, order: Order, model: str) -> None:
        self._client = client
        self._settings = settings
        self._order = order
        self._model = model
        self._provider = str(client.base_url.host)
        self._samples = 0

    @property
    def writer(self) -> Mapping[str, Any]:
        return {"recognizer": self._provider, "model": self._model}

    @property
    def usage(self) -> Mapping[str, Any]:
        seconds = self._samples / SAMPLE_RATE
        told = {"provider": self._provider, "model": self._model, "audio_s": round(seconds, 3)}
        return told | {"cost": round(self._cost(seconds), 6)}

    def _cost(self, seconds: float) -> float:
        return seconds / 60 * self._settings.cost_per_minute

    async def finals(self, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[Final, None]:
        sent = stretches(pieces, int(self._settings.max_request_s * SAMPLE_RATE))
        written = in_order(sent, self._written, at_once=self._settings.requests_at_once)
        async with contextlib.aclosing(pieces), contextlib.aclosing(written):
            async for together in written:
                for final in together:
                    yield final

    async def _written(self, stretch: Stretch) -> list[Final]:
        from openai import APIError, omit

        await self._order.purse.check()
        audio = stretch.audio()
        data = await to_its_end(lambda: flac(audio))
        options = self._order.options
        try:
            response = await self._client.audio.transcriptions.with_raw_response.create(
                file=("audio.flac", data, "audio/flac"),
                model=self._model,
                response_format="verbose_json",
                timestamp_granularities=["word", "segment"],
                temperature=0,
                language=options.language or omit,
                prompt=", ".join(options.vocabulary) or omit,
            )
        except APIError as error:
            raise trouble(error, self._model) from error
        self._samples += stretch.samples
        seconds = stretch.samples / SAMPLE_RATE
        await self._order.purse.book(self._provider, self._model, seconds, self._cost(seconds))
        return finals(stretch, _answer(response.text, self._model), options.language)


def _answer(text: str, model: str) -> Answer:
    """Raises ParleyError for what is no transcription, SetupError for one without times."""
    try:
        answer = Answer.model_validate_json(text)
    except ValidationError as error:
        said = f"The transcription service answered with what is no transcription: {text[:100]!r}."
        raise ParleyError(said, code="provider_answer", retryable=True) from error
    if not answer.tells_times:
        raise SetupError(f"The service's model {model!r} tells no times; another one is needed.", code="no_times")
    return answer


def trouble(error: "APIError", model: str) -> ParleyError:
    """What a call's failure means for the job."""
    from openai import APIStatusError

    if not isinstance(error, APIStatusError):
        return BackendError(f"The transcription service does not answer: {error.message}", code="provider_unavailable")
    said = f"The transcription service said {error.status_code}: {_said(error)}"
    match error.status_code:
        case 402 | 429 if error.status_code == 402 or "insufficient_quota" in (error.code, error.type):
            return QuotaSpent(said)
        case 429:
            return AtCapacity(said, retry_after_s=_retry_after_s(error))
        case 401 | 403 | 404:
            return SetupError(f"{said} Its address, key and model ({model!r}) are settings.", code="provider_refused")
        case status if status >= 500 or status in (408, 409):
            return ParleyError(said, code="provider_failed", retryable=True)
    return ClientError(said, code="provider_refused")


def _said(error: "APIStatusError") -> str:
    body = error.body
    message = body.get("message") if isinstance(body, Mapping) else None
    return str(message or error.message)[:300]


def _retry_after_s(error: "APIStatusError") -> float:
    try:
        return max(0.0, float(error.response.headers.get("retry-after", _RETRY_AFTER_S)))
    except ValueError:  # a date
        return _RETRY_AFTER_S
