"""What waits to be sent to one gateway. Bounded: one partial, and as many finals as a session may have open."""

import asyncio
from collections import deque

from parley.engine_wire import EngineMessage, Partial

MAX_FINALS, MAX_BATCH_FINALS = 4, 32
"""Finals that a session may wait for; with so many it is not read further until one is sent, so a gateway that sends
faster than the device decodes, or that does not read, is slowed down by TCP and fills no memory. In the batch lane as
many as make good batches: their audio takes 5 MB, 30 MB at the very most."""


class Outbox:
    """Messages in order of their coming; a newer partial takes the place of one that was not sent yet."""

    def __init__(self, most_finals: int = MAX_FINALS) -> None:
        self._most_finals = most_finals
        self._messages: deque[EngineMessage] = deque()
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._finals = 0

    def put(self, message: EngineMessage) -> None:
        """Queues a message. A partial that waits is replaced by whatever comes next for its segment."""
        if self._messages and isinstance(last := self._messages[-1], Partial) and _segment(message) == last.segment:
            self._messages.pop()
        self._messages.append(message)
        self._filled.set()

    def expect_final(self) -> None:
        """Counts a segment that was ended, until its final is sent."""
        self._finals += 1
        if self._finals >= self._most_finals:
            self._room.clear()

    async def room(self) -> None:
        """Waits while too many finals are due."""
        await self._room.wait()

    async def next(self) -> EngineMessage:
        """The next message, when there is one."""
        while not self._messages:
            self._filled.clear()
            await self._filled.wait()
        return self._messages.popleft()

    def sent(self, message: EngineMessage) -> None:
        """Says that `message` is out."""
        if not isinstance(message, Partial):
            self._finals = max(0, self._finals - 1)
            self._room.set()


def _segment(message: EngineMessage) -> int | None:
    return getattr(message, "segment", None)
