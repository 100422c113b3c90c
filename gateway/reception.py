"""What one client sends: audio to the journal and the transcriber, commands obeyed, until it stops or cannot go on."""

import asyncio
import math
import time
from collections.abc import Callable

from starlette.websockets import WebSocket

from gateway.journal import Journal
from gateway.transcriber import Transcriber
from gateway.transcription import SLICE
from parley import metrics, wire
from parley.audio import SAMPLE_RATE, Samples, StreamDecoder
from parley.errors import ClientError, ParleyError
from parley.settings import GatewaySettings


class ClientGone(ClientError):
    """The connection was lost before `stop`."""

    code = "client_gone"


class ClientSilent(ClientError):
    """Neither audio nor a sign of life: the client hangs, or the connection is dead and nobody said so."""

    code = "no_audio"
    retryable = True


def error_message(error: ParleyError) -> wire.Error:
    """What the client is told of `error`, which is counted."""
    metrics.ERRORS.labels(code=error.code).inc()
    return wire.Error.of(error)


class Reception:
    """One connection's. `run` it, and `watch_idle` beside it."""

    def __init__(
        self,
        websocket: WebSocket,
        decoder: StreamDecoder,
        journal: Journal,
        transcriber: Transcriber,
        settings: GatewaySettings,
        post: Callable[[wire.ServerMessage], None],
    ) -> None:
        """`post` takes answers for the client."""
        self._websocket = websocket
        self._decoder = decoder
        self._journal = journal
        self._transcriber = transcriber
        self._settings = settings
        self._post = post
        self._heard_at = time.monotonic()

    async def run(self) -> ParleyError | None:
        """Takes audio and messages until there are no more: None after `stop`, else what was wrong."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return ClientGone("The connection was lost before stop.")
            try:
                if (data := message.get("bytes")) is not None:
                    await self._on_audio(data)
                elif isinstance(command := await self._obey(message["text"]), wire.Stop):
                    return None
                elif not isinstance(command, wire.Ping):
                    continue
            except ClientError as error:
                return error
            self._heard_at = time.monotonic()

    async def _obey(self, text: str) -> wire.ClientMessage | None:
        """Obeys a text message and returns it; None where it was no use, which the client is told."""
        try:
            message = wire.parse_client_message(text)
            if isinstance(message, wire.Start):
                raise ClientError("The session was started already.", code="malformed_message")
        except ClientError as error:
            self._post(error_message(error))
            return None
        if isinstance(message, wire.Ping):
            self._post(wire.Pong())
        elif isinstance(message, wire.Finalize) and not self._decoder.is_catching_up:
            await self._transcriber.finalize()
        return message

    async def _on_audio(self, data: bytes) -> None:
        limit = self._settings.max_frame_bytes
        if len(data) > limit:
            raise ClientError(
                f"An audio message of {len(data)} bytes is over the limit of {limit}.", code="frame_too_large"
            )
        await self._take(self._decoder.feed(data))

    async def _take(self, samples: Samples) -> None:
        metrics.AUDIO_SECONDS.inc(len(samples) / SAMPLE_RATE)
        self._heard_at = math.inf  # who is held back is not silent
        for start in range(0, len(samples), SLICE):
            piece = samples[start : start + SLICE]
            await self._journal.append(piece)
            await self._transcriber.feed(piece)

    async def flush(self) -> None:
        """After `stop`: takes what the resampler still held."""
        await self._take(self._decoder.flush())

    async def refuse_late_audio(self) -> None:
        """After `stop`: reads on, so that the client's close is seen, and says once that audio came too late."""
        told = False
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            if message.get("bytes") is not None and not told:
                told = True
                error = ClientError("Audio came after stop; it was not recorded.", code="audio_after_stop")
                self._post(error_message(error))

    async def watch_idle(self) -> ParleyError:
        """Returns when the client has been silent for too long. Who is held back is not silent."""
        idle_s = self._settings.idle_timeout_s
        while True:
            left_s = self._heard_at + idle_s - time.monotonic()
            if left_s <= 0:
                return ClientSilent(
                    f"No audio came for {idle_s:g} s, so the session was closed; ping keeps a silent one open."
                )
            await asyncio.sleep(min(left_s, idle_s))
