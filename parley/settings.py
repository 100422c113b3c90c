"""Every setting of every service: one frozen tree, read once at startup from the environment and `DATA/settings.toml`.

The environment wins. Nested names join with two underscores: `PARLEY_GATEWAY__PORT=8080`. Slices of the tree are
handed down; nothing reads a setting by itself. `docs/settings.md` shows every field, and a test checks that.
"""

import json
import os
import re
import tomllib
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_origin
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from parley.errors import SetupError
from parley.llm.settings import LLMSettings

SETTINGS_FILE = "settings.toml"
_CLOUDS = frozenset({"s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "https", "http"})
"""Schemes of object storage that obstore takes, beside folders and memory."""


class _Slice(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _host(url: str) -> str:
    """The host that `url` names; empty where it names none, or its port is no port."""
    try:
        parts = urlsplit(url)
        return (parts.hostname or "") if parts.port != 0 else ""
    except ValueError:
        return ""


def _checked_url(url: str, is_one: Callable[[SplitResult], bool], example: str) -> str:
    """`url`, if it is empty or fits. Raises ValueError that shows it without its password."""
    try:
        if not url or is_one(urlsplit(url)):
            return url
    except ValueError:  # the port is no port
        pass
    shown = re.sub(r"^((?:[^/]*//)?[^:/@]*:).*@", r"\1***@", url)
    raise ValueError(f"{shown!r} is no address such as {example}")


def _names_redis(parts: SplitResult) -> bool:
    return bool(parts.path) if parts.scheme == "unix" else parts.scheme in ("redis", "rediss") and parts.port != 0


def _names_storage(parts: SplitResult) -> bool:
    match parts.scheme:
        case "memory":
            return True
        case "file":
            return parts.netloc in ("", "localhost") and parts.path.startswith("/")
        case _:
            return parts.scheme in _CLOUDS and bool(parts.netloc)


_BROKERS = frozenset({"redis", "rediss", "amqp", "amqps", "pyamqp"})
_PIPELINES: dict[str, tuple[str, ...]] = {
    "upload": ("transcribe", "summarise", "index", "notify"),
    "import": ("fetch", "transcribe", "summarise", "index", "notify"),
    "live": ("summarise", "index", "notify"),
}


def _names_broker(parts: SplitResult) -> bool:
    match parts.scheme:
        case "unix":
            return bool(parts.path)
        case "sqs":
            return True
        case "gcpubsub":
            return parts.netloc == "projects" and len(parts.path) > 1
        case _:
            return parts.scheme in _BROKERS and parts.port != 0


def _engine_urls(urls: tuple[str, ...]) -> tuple[str, ...]:
    """`urls`, if they are addresses. Raises ValueError that shows the one that is none."""
    for url in urls:
        if not url.startswith(("http://", "https://")) or not _host(url):
            raise ValueError(f"{url!r} is no address such as http://127.0.0.1:8001")
    return urls


class SegmenterSettings(_Slice):
    """Where speech begins and ends (endpointing)."""

    speech_threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability from which a frame counts as speech."""
    silence_threshold: float = Field(default=0.35, gt=0, lt=1)
    """Probability below which a frame counts as silence; between the two the state before it holds."""
    pre_roll_ms: int = Field(default=300, ge=0)
    """Milliseconds of audio kept in front of the first speech frame."""
    min_speech_ms: int = Field(default=96, ge=0)
    """Milliseconds of speech before a segment begins; shorter clicks are ignored."""
    trailing_silence_ms: int = Field(default=512, ge=32)
    """Milliseconds of silence that end a segment."""
    tail_ms: int = Field(default=256, ge=32)
    """Milliseconds of that silence that the segment keeps; then its final is decoded in advance."""
    max_segment_s: float = Field(default=28.0, ge=2, le=29)
    """Seconds after which a segment is cut, at its quietest recent place. Whisper hears at most 30 s at a time."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.silence_threshold > self.speech_threshold:
            raise ValueError(f"silence_threshold is above speech_threshold, {self.speech_threshold}")
        if self.tail_ms > self.trailing_silence_ms:
            raise ValueError(f"tail_ms is above trailing_silence_ms, {self.trailing_silence_ms}")
        return self


class GatewaySettings(_Slice):
    """The gateway: accepts audio, keeps it, finds the speech in it."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on."""
    engine_urls: tuple[str, ...] = Field(default=("http://127.0.0.1:8001",), min_length=1)
    """Addresses of the engines, such as `http://engine.default.svc:8001`. A name with several addresses means several
    engines; each new session goes to one that is ready and less loaded than others."""
    engine_silence_timeout_s: float = Field(default=20.0, ge=10)
    """Seconds without any word from an engine (which says every 5 s that it lives) until it counts as lost; then its
    sessions go on at another."""
    allowed_origins: tuple[str, ...] = ()
    """Origins of other sites whose pages may connect, such as `https://notes.example`. The page itself always may."""
    allowed_hosts: tuple[str, ...] = ()
    """Names by which the gateway may be called (`notes.example`, `*.example`). Empty: on a loopback address only this
    machine's own names, so that no page of another site can pose as it (DNS rebinding); else any."""
    web_dir: Path | None = None
    """Folder of the built web app; unset: the one of this checkout, where it was built."""
    start_timeout_s: float = Field(default=10.0, gt=0)
    """Seconds that a new connection has to send `start`."""
    idle_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds without audio and without `ping` after which a session is closed."""
    stalled_client_timeout_s: float = Field(default=30.0, gt=0)
    """Seconds after which a client that does not read what it is sent is let go."""
    drain_timeout_s: float = Field(default=60.0, gt=0)
    """Seconds without any progress after which a stopped session no longer waits for its last finals."""
    max_backlog_s: float = Field(default=120.0, ge=40)
    """Seconds of audio that may wait for an engine; then the client is read no faster than the engine decodes. Where no
    engine is there at all, the audio is kept and its text comes later."""
    resume_token_max_age_s: int = Field(default=604_800, gt=0)
    """Seconds for which a recording can be resumed after its client last connected."""
    abandoned_after_s: float = Field(default=120.0, ge=30)
    """Seconds without a sign of a recording's client after which its last words are written and it is closed as
    interrupted. It can still be resumed."""
    max_frame_bytes: int = Field(default=1_048_576, ge=4096, le=16_000_000)
    """Bytes of one audio message at most."""
    journal_part_s: float = Field(default=4.0, gt=0, le=60)
    """Seconds of audio in one durable part; an ack follows each."""
    vad_tick_ms: int = Field(default=32, ge=0)
    """Milliseconds to gather frames of all sessions into one call of the voice activity detector."""
    no_words_after_s: float = Field(default=20.0, gt=0)
    """Seconds of speech in a row without a word after which the client is told (`no_words`)."""
    segmenter: SegmenterSettings = SegmenterSettings()
    """Endpointing."""

    @field_validator("engine_urls")
    @classmethod
    def _reachable(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return _engine_urls(urls)


class UploadSettings(_Slice):
    """Files that come in: uploads, forms, addresses to fetch from."""

    max_bytes: int = Field(default=5_000_000_000, gt=0)
    """Bytes of one file at most, whichever way it comes."""
    max_part_bytes: int = Field(default=33_554_432, ge=65_536)
    """Bytes of one request of a resumable upload at most. Proxies have limits of their own; nginx here 32 MiB."""
    max_form_bytes: int = Field(default=512_000_000, gt=0)
    """Bytes of one form at most; larger files come in parts, and lose nothing where a connection breaks."""
    lifetime_s: float = Field(default=86_400.0, gt=0)
    """Seconds after its last part until an unfinished upload is deleted."""
    presigned_s: float = Field(default=3600.0, gt=0, le=604_800)
    """Seconds for which an address for an upload straight to object storage is good."""
    stalled_after_s: float = Field(default=60.0, gt=0)
    """Seconds without a byte after which an upload's request is let go; what came of a part is kept."""
    import_ports: tuple[Annotated[int, Field(gt=0, le=65_535)], ...] = Field(default=(80, 443), min_length=1)
    """Ports that files are fetched from by URL."""
    import_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """Networks that files may be fetched from although they are not public, such as `10.1.0.0/16` of a storage in the
    house. Empty: only public addresses."""
    import_timeout_s: float = Field(default=3600.0, gt=0)
    """Seconds for fetching one file."""


class EngineSettings(_Slice):
    """The stream engine: turns segments into words."""

    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8001, ge=0, le=65535)
    """Port to listen on."""
    recognizer: Literal["auto", "faster-whisper", "pocketsphinx"] = "auto"
    """Recogniser; `auto` takes the best that this machine has."""
    model: str = ""
    """Whisper model: a folder, a model on this machine, or a hub name such as `small`. Empty: chosen."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the model runs."""
    gpus: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1)
    """Numbers of the GPUs; the model is loaded on each, and whichever is free takes the next batch."""
    compute_type: str = "auto"
    """CTranslate2 compute type (`int8`, `float16`, …); `auto`: int8 on a CPU, float16 on a GPU."""
    cores: int = Field(default=0, ge=0)
    """CPU cores that this engine may use; 0: all. `parley up` shares the machine's out among its engines."""
    cpu_threads: int = Field(default=0, ge=0)
    """Threads of one decode on a CPU; 0: one for small models, up to four for others."""
    replicas: int = Field(default=0, ge=0)
    """Decodes that run at the same time; 0: as many as the cores have room for. On GPUs: on each, 0 is one."""
    beam_size: int = Field(default=5, ge=1, le=20)
    """Beam of finals that were in doubt when they were decoded greedily. Partials are decoded greedily."""
    beam_below: float = Field(default=-0.5, le=0)
    """Mean log-probability of a token below which a final is in doubt; 0: every final is decoded again."""
    fallback_temperatures: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.4,)
    """Temperatures at which a final that the guards suspect even then is sampled, one after the other."""
    language_threshold: float = Field(default=0.5, ge=0, le=1)
    """Probability from which the language that a segment of a file seems to be in is believed; below it, that of the
    recording's first clear segment is taken."""
    hub_timeout_s: float = Field(default=5.0, gt=0)
    """Seconds to wait for the model hub before falling back."""
    partial_interval_ms: int = Field(default=240, ge=50)
    """Milliseconds of new audio before an open segment is decoded again."""
    guard_ms: int = Field(default=300, ge=0)
    """Milliseconds at the end of the audio in which words stay tentative."""
    trim_after_s: float = Field(default=3.5, ge=3)
    """Seconds of an open segment's window after which it moves up behind committed words."""
    final_window: Literal["full", "fit"] | Annotated[float, Field(gt=0, le=30)] = 8.0
    """Window of finals: Whisper's `full` 30 s, `fit` to the segment, or a floor in seconds. Finals in doubt are decoded
    again with the full one."""
    max_batch_sessions: int = Field(default=16, ge=1)
    """Jobs whose segments are decoded at the same time, behind all that is live; more are refused until later."""
    max_batch: int = Field(default=0, ge=0)
    """Windows decoded together at most; 0: 16 on a CPU, 64 on a GPU."""
    max_batch_s: float = Field(default=0.0, ge=0)
    """Seconds of windows decoded together at most, so that no batch holds up the next for long; 0: 32 on a CPU, no
    limit on a GPU."""
    decode_timeout_s: float = Field(default=300.0, gt=0)
    """Seconds of one batch after which the device counts as hung; the engine then stops, and is started again."""
    slowest_partial_s: float = Field(default=2.0, gt=0)
    """Seconds between two partials of a speaker up to which the device takes new live sessions: their finals are in
    time, and what time is left for partials is shared out."""
    max_segment_s: float = Field(default=30.0, ge=3, le=30)
    """Seconds of one segment at most; a gateway cuts a second before, at the latest."""


class BatchSettings(_Slice):
    """The workers of the batch path: from a file or a finished recording to notes."""

    broker_url: str = ""
    """Message broker: `redis://…`, `rediss://…`, `unix://…`, `amqp://…`, `amqps://…`, `sqs://`,
    `gcpubsub://projects/ID`. Empty: `redis_url`."""
    queues: tuple[Literal["stt", "llm", "index", "notify"], ...] = Field(
        default=("stt", "llm", "index", "notify"), min_length=1
    )
    """Kinds of steps that `python -m batch` runs (`celery -A batch worker` is told by `-Q`)."""
    concurrency: int = Field(default=4, ge=1, le=256)
    """Steps of each kind that one worker runs at the same time."""
    host: str = "127.0.0.1"
    """Address of a worker's `/healthz`, `/readyz` and `/metrics`."""
    port: int = Field(default=0, ge=0, le=65535)
    """Port of these; 0: none."""
    lease_s: float = Field(default=90.0, ge=1)
    """Seconds without a sign of life from a worker after which others may take its step."""
    heartbeat_s: float = Field(default=20.0, gt=0)
    """Seconds between two signs of life."""
    longest_step_s: float = Field(default=21_600.0, gt=0)
    """Seconds that one run of a step may take; then it is stopped, and tried again."""
    sweep_s: float = Field(default=5.0, gt=0)
    """Seconds between two looks for steps that are due and for workers that are gone."""
    announce_after_s: float = Field(default=20.0, gt=0)
    """Seconds that a message about a step has to bring a worker, before another is sent: a broker may lose it."""
    deaf_after_s: float = Field(default=60.0, gt=0)
    """Seconds for which a worker with room hears nothing of steps that are due, though the broker takes messages about
    them; then it counts as deaf, stops, and is started again."""
    stop_s: float = Field(default=10.0, gt=0)
    """Seconds that a worker which is asked to stop has to give back its steps."""
    step_modules: tuple[str, ...] = ()
    """Python modules with further steps, beside the files of `batch/steps/`."""
    pipelines: dict[str, tuple[str, ...]] = Field(default=_PIPELINES)
    """Pipelines by name, as JSON: the steps, in order. `upload`, `import` and `live` are what is done with a file, an
    address, and a live recording that ended; they are there unless they are said otherwise."""

    @field_validator("broker_url")
    @classmethod
    def _is_broker(cls, url: str) -> str:
        return _checked_url(url, _names_broker, "redis://127.0.0.1:6379/0 or amqp://user@127.0.0.1//")

    @field_validator("pipelines")
    @classmethod
    def _with_built_in(cls, given: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        return {**_PIPELINES, **given}

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.heartbeat_s > self.lease_s / 2:
            raise ValueError(f"heartbeat_s is above half of lease_s, {self.lease_s:g}: one that is late loses the step")
        return self


class WebhookSettings(_Slice):
    """Webhooks: who is told what becomes of jobs."""

    allow_private: bool = False
    """Whether addresses in this network and on this machine may be told too. Where strangers can make webhooks, they
    could then reach what stands there. A cloud's metadata service is never told anything."""
    timeout_s: float = Field(default=10.0, gt=0, le=60)
    """Seconds that a receiver has to answer."""
    keep_days: int = Field(default=30, ge=1)
    """Days for which the log of deliveries is kept."""


class TranscriptionSettings(_Slice):
    """Who writes down files: engines, or somebody's service."""

    provider: Literal["engine", "openai"] = "engine"
    """`engine`: Parley's own, in the lane behind all that is live. `openai`: a service that has OpenAI's
    `/v1/audio/transcriptions`; the audio leaves this installation then."""
    accurate_engine_urls: tuple[str, ...] = ()
    """Engines for jobs of quality `accurate`, that of normal and bulk priority; empty: those of the gateway."""
    fast_engine_urls: tuple[str, ...] = ()
    """Engines for jobs of quality `fast`, that of urgent priority; empty: those for `accurate`."""
    base_url: str = ""
    """The service's address, such as `http://speaches.default.svc:8000/v1`; empty: OpenAI's own."""
    api_key: str = ""
    """Key of the service."""
    model: str = "whisper-1"
    """Model of jobs of quality `accurate`; it has to tell times (`verbose_json`)."""
    fast_model: str = ""
    """Model of jobs of quality `fast`; empty: the same."""
    cost_per_minute: float = Field(default=0.0, ge=0)
    """Price of a minute of audio, in the currency of all other costs."""
    max_request_s: float = Field(default=600.0, ge=30, le=1400)
    """Seconds of audio in one request at most; it is cut at silence. 1,400 s of FLAC stay below 25 MB."""
    requests_at_once: int = Field(default=4, ge=1)
    """Requests of one recording that are under way together."""
    timeout_s: float = Field(default=300.0, gt=0)
    """Seconds that the service may take for one request."""

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        example = "https://api.example.com/v1"
        return _checked_url(url, lambda parts: parts.scheme in ("http", "https") and bool(parts.netloc), example)

    @field_validator("accurate_engine_urls", "fast_engine_urls")
    @classmethod
    def _reachable(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        return _engine_urls(urls)


class RagSettings(_Slice):
    """The rag service: embeddings, the index of what was said, search."""

    url: str = ""
    """Where gateways and workers reach it, such as `http://rag:8002`; `parley up` sets it to its own. Empty: there is
    no search."""
    token: str = ""
    """Bearer token that it asks for; the same in gateways and workers. `parley up` makes one."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8002, ge=0, le=65535)
    """Port to listen on."""
    model: str = ""
    """Embedding model: a folder, or a name on the model hub such as
    `sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2` (50 languages). Empty: all-MiniLM-L6-v2 (English),
    from its wheel. Another model means another index, which is built beside the one in use."""
    max_tokens: int = Field(default=256, ge=64, le=8192)
    """Tokens of a passage that the model reads at most; its own limit, where that is lower."""
    cores: int = Field(default=0, ge=0)
    """CPU cores for embeddings; 0: all. What is indexed runs behind what is asked."""
    answer_deadline_s: float = Field(default=60.0, gt=0)
    """Seconds that a language model has for an answer to a question, all that are tried together; then extracts do."""
    index_url: str = ""
    """A Qdrant server or cluster, `https://host:6333`. Empty: the index lies in `DATA/index`, in the rag process."""
    index_key: str = ""
    """API key of that server."""

    @field_validator("url", "index_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        return _checked_url(
            url, lambda parts: parts.scheme in ("http", "https") and bool(_host(url)), "http://127.0.0.1:8002"
        )


class UpSettings(_Slice):
    """What `parley up` starts on this machine."""

    gateways: int = Field(default=1, ge=1, le=64)
    """Gateways. Without nginx the second listens on the port after the first's, and so on."""
    engines: int = Field(default=1, ge=1, le=64)
    """Engines, each with the model in its memory and its share of the cores."""
    workers: int = Field(default=1, ge=0, le=64)
    """Workers of the batch path; 0: they run elsewhere."""
    nginx: bool | None = None
    """Whether nginx stands before the gateways, so that there is one address. Unset: with several, where it is
    installed."""
    rag: bool | None = None
    """Whether the rag service is started. Unset: where its packages are installed and no other is named."""


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_",
        env_nested_delimiter="__",
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )

    data: Path = Path("data")
    """Folder of everything that `parley up` keeps: database, audio, models, logs."""
    database_url: str = ""
    """PostgreSQL, `postgresql://…`. `parley up` sets it to its own."""
    redis_url: str = ""
    """Redis, `redis://…` or `unix://…`. `parley up` sets it to its own."""
    blob_url: str = ""
    """Object storage: `file:///folder`, `s3://bucket/prefix`, `gs://…`, `az://…`. `parley up`: `DATA/blobs`."""
    secret_key: str = ""
    """Key that signs resume tokens; the same in every gateway. `parley up` makes one."""
    log_format: Literal["json", "console"] = "json"
    """Form of the log."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least level that is logged."""
    gateway: GatewaySettings = GatewaySettings()
    """The gateway."""
    uploads: UploadSettings = UploadSettings()
    """Files that come in."""
    engine: EngineSettings = EngineSettings()
    """The stream engine."""
    llm: LLMSettings = LLMSettings()
    """Language models."""
    batch: BatchSettings = BatchSettings()
    """The batch workers."""
    transcription: TranscriptionSettings = TranscriptionSettings()
    """Transcription of files."""
    webhooks: WebhookSettings = WebhookSettings()
    """Webhooks."""
    rag: RagSettings = RagSettings()
    """The rag service."""
    up: UpSettings = UpSettings()
    """`parley up`."""

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: str) -> str:
        return _checked_url(
            url, lambda parts: parts.scheme in ("postgresql", "postgres"), "postgresql://user@127.0.0.1/parley"
        )

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, url: str) -> str:
        return _checked_url(url, _names_redis, "redis://127.0.0.1:6379/0")

    @field_validator("blob_url")
    @classmethod
    def _is_storage(cls, url: str) -> str:
        return _checked_url(url, _names_storage, "file:///folder or s3://bucket/prefix")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        longest = self.gateway.segmenter.max_segment_s
        if longest + 1 > self.engine.max_segment_s:
            raise ValueError(f"engine.max_segment_s must be at least a second above gateway.segmenter's, {longest:g}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _settings_file())


def load_settings() -> Settings:
    """Reads the settings. Raises SetupError that names the setting, the value that was wrong and where it stands."""
    _check_lists()
    try:
        return Settings()
    except ValidationError as error:
        errors = error.errors(include_url=False)
        where = _where(errors[0]["loc"])
        # Where a setting may be one of several kinds of values, there is an error of each.
        what = dict.fromkeys(_what(each) for each in errors if _where(each["loc"]) == where)
        raise SetupError(f"{where}: {'; or '.join(what)}.", code="bad_setting") from None
    except SettingsError as error:
        raise SetupError(f"Settings: {error}.", code="bad_setting") from None
    except (ValueError, OSError) as error:  # no TOML, or no UTF-8
        why = error.strerror if isinstance(error, OSError) else error
        raise SetupError(f"{_settings_file()} cannot be read: {why}.", code="bad_setting") from None


def _check_lists(tree: type[BaseModel] = Settings, prefix: str = "PARLEY_") -> None:
    """Raises SetupError for a list in the environment that is no JSON: pydantic-settings names no setting, no value."""
    for name, field in tree.model_fields.items():
        variable = f"{prefix}{name}".upper()
        if isinstance(field.default, BaseModel):
            _check_lists(type(field.default), f"{variable}__")
        value = next((value for key, value in os.environ.items() if key.upper() == variable), None)
        if value is None or get_origin(field.annotation) is not tuple:
            continue
        try:
            json.loads(value)
        except ValueError:
            raise SetupError(f"Setting {variable}: {_no_list([name], value)}.", code="bad_setting") from None


def _no_list(place: Sequence[int | str], value: Any) -> str:
    if _may_hold_a_key(place):
        return "a JSON list is wanted, see docs/language-models.md"
    return f'a JSON list is wanted, such as ["a", "b"] (given: {value!r})'


def _may_hold_a_key(place: Sequence[int | str]) -> bool:
    """Whether what stands there is nobody's to see: keys, or what has keys in it."""
    return "api_keys" in place or place[-1] == "providers" or (isinstance(place[-1], int) and "providers" in place)


def _where(place: tuple[int | str, ...]) -> str:
    """A setting's name as its owner wrote it: a variable, or a table and a key of the file; then, in a list, which
    entry's what."""
    names = [str(part) for part in takewhile(lambda part: str(part).isidentifier(), place)]
    variable = "PARLEY_" + "__".join(names).upper()
    if not names:
        return "Settings"
    match place[len(names) :]:
        case int(number), str(key), *_:
            entry = f", entry {number + 1}: {key}"
        case int(number), *_ if names[-1] == "providers":
            entry = f", entry {number + 1}"
        case _:
            entry = ""
    value: Any = None if variable in map(str.upper, os.environ) else _in_file(names)
    if value is None:
        return f"Setting {variable}{entry}"
    table = f"[{'.'.join(names[:-1])}] " if len(names) > 1 else ""
    return f"{_settings_file()}: {table}{names[-1]}{entry}"


def _in_file(names: list[str]) -> Any:
    """What the settings file says at this place; None where it says nothing."""
    try:
        value: Any = tomllib.loads(_settings_file().read_text("utf-8"))
        for name in names:
            value = value[name]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return value


def _what(error: ErrorDetails) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "no such setting"
        case "missing":
            return "it is missing"
        case "tuple_type":
            return _no_list(error["loc"], error["input"])
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
        case _ if not isinstance(error["input"], str | int | float) or _may_hold_a_key(error["loc"]):
            return error["msg"]
        case _:
            return f"{error['msg']} (given: {error['input']!r})"


def _settings_file() -> Path:
    return Path(os.environ.get("PARLEY_DATA", "data")) / SETTINGS_FILE
