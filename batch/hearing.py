"""Whether a worker still hears its broker. Pure; times are seconds of one clock that never goes back.

A consumer can be connected and receive nothing for ever. What tells that from quiet: a step has been due for long,
there is room for it here, the broker took messages about it, and yet none came, here or to another with room.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from parley.jobs import Kind

_SENT = 2
"""Messages about a kind that must have been taken by the broker since one was heard: one may have gone elsewhere."""


@dataclass
class Hearing:
    after_s: float
    heard_at: float
    sent: dict[Kind, int] = field(default_factory=dict)

    def heard(self, now: float) -> None:
        """A message came."""
        self.heard_at = now
        self.sent.clear()

    def was_sent(self, kind: Kind, count: int) -> None:
        """The broker took so many messages about steps of this kind."""
        self.sent[kind] = self.sent.get(kind, 0) + count

    def is_deaf(self, now: float, starving: Collection[Kind]) -> bool:
        """`starving`: kinds with room here, of which a step has been due for `after_s` without anybody taking it."""
        if now - self.heard_at < self.after_s:
            return False
        return any(self.sent.get(kind, 0) >= _SENT for kind in starving)
