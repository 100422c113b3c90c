"""What passed on a connection between a client and a gateway: the finals beside what the client had asked for.

The client drops what it knows already, so only here is it seen that a server says something again.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol, Side

_END_OF_HEAD = b"\r\n\r\n"
_REFUSED = re.compile(rb"HTTP/\S+ (?!101 )")


@dataclass(slots=True)
class Overheard:
    """One connection: the first segment whose final the client asked for, and the finals it was sent, in order."""

    next_segment: int = 0
    finals: list[int] = field(default_factory=list)

    @property
    def repeated(self) -> int:
        """Finals that the client had not asked for, because it had them, or was sent on this connection already."""
        known = sum(segment < self.next_segment for segment in self.finals)
        again = Counter(segment for segment in self.finals if segment >= self.next_segment)
        return known + sum(count - 1 for count in again.values())


def repeated(connections: Sequence[Overheard]) -> int:
    return sum(each.repeated for each in connections)


class Tap:
    """Reads the bytes of both directions along, however they are cut."""

    def __init__(self) -> None:
        self.overheard = Overheard()
        self._client, self._server = _Reader(SERVER), _Reader(CLIENT)

    def from_client(self, data: bytes) -> None:
        for message in self._client.read(data):
            if message.get("type") == "start":
                self.overheard.next_segment = int(message.get("next_segment") or 0)

    def from_server(self, data: bytes) -> None:
        finals = (message for message in self._server.read(data) if message.get("type") == "final")
        self.overheard.finals += [int(message["segment"]) for message in finals]


class _Reader:
    """One direction of a WebSocket, from its HTTP head on. `side`: who reads it."""

    def __init__(self, side: Side) -> None:
        self._head = b""
        self._frames = Protocol(side, max_size=None)

    def read(self, data: bytes) -> list[dict[str, Any]]:
        """The JSON messages that `data` completes. Where a server refuses to speak WebSocket there are none."""
        if _END_OF_HEAD not in self._head:
            self._head, end, data = (self._head + data).partition(_END_OF_HEAD)
            self._head += end
        if data and not _REFUSED.match(self._head):
            self._frames.receive_data(data)
        frames = (event for event in self._frames.events_received() if isinstance(event, Frame))
        return [json.loads(bytes(frame.data)) for frame in frames if frame.opcode is Opcode.TEXT]
