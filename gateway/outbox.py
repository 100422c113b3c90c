"""What waits to be sent to one client: finals and errors in order, of partials, acks and pongs only the newest.

So a client that reads slowly costs no memory, and one that does not read at all is noticed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from parley import wire
from parley.errors import ClientError

_Key = tuple[str, int]


class ClientStalled(ClientError):
    """The client does not read what it is sent."""

    code = "client_stalled"
    retryable = True


class Outbox:
    """The messages that wait for one client."""

    def __init__(self, send: Callable[[str], Awaitable[None]], *, stalled_after_s: float) -> None:
        self._send = send
        self._stalled_after_s = stalled_after_s
        self._messages: dict[_Key, wire.ServerMessage] = {}
        self._posted = 0
        self.sent = 0
        """Messages that were sent."""
        self._wake = asyncio.Event()
        self._closing = False
        self._abandoned = False
        self._sending_since: float | None = None

    def post(self, message: wire.ServerMessage) -> None:
        """Queues a message; a newer ack, or partial of the same segment, takes the place of the one that waits."""
        if self._abandoned or self._closing:
            return
        match message:
            case wire.Ack():
                key: _Key = ("ack", 0)
            case wire.Pong():
                key = ("pong", 0)
            case wire.Partial():
                key = ("partial", message.segment)
            case wire.Final():
                self._messages.pop(("partial", message.segment), None)
                key = ("final", message.segment)
            case _:
                self._posted += 1
                key = ("other", self._posted)
        self._messages.pop(key, None)
        self._messages[key] = message
        self._wake.set()

    def close(self) -> None:
        """`run` ends when all that was posted is sent; what is posted later is dropped."""
        self._closing = True
        self._wake.set()

    def abandon(self) -> None:
        """The client is gone: what waits and what comes is dropped."""
        self._abandoned = True
        self._messages.clear()

    async def run(self) -> None:
        """Sends until closed. Raises ClientStalled when one message takes longer than the limit."""
        sending = asyncio.create_task(self._send_all())
        try:
            while not sending.done():
                await asyncio.wait({sending}, timeout=self._patience_s())
            sending.result()
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def _patience_s(self) -> float:
        """Seconds until the message that is being sent now, or one that is begun now, is late.

        To look again then is one timer for many messages.
        """
        waited_s = 0.0 if self._sending_since is None else time.monotonic() - self._sending_since
        if waited_s >= self._stalled_after_s:
            raise ClientStalled(f"The client has read nothing for {self._stalled_after_s:g} s; it was let go.")
        return self._stalled_after_s - waited_s

    async def _send_all(self) -> None:
        while True:
            while self._messages:
                message = self._messages.pop(next(iter(self._messages)))
                self._sending_since = time.monotonic()
                await self._send(message.to_json())
                self._sending_since = None
                self.sent += 1
            if self._closing:
                return
            self._wake.clear()
            await self._wake.wait()
