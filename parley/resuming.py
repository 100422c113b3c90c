"""What a client decides when it loses its server: whether to come back, where and when, and what it has heard already.

No clock and no socket inside; `docs/protocol.md` says the same in words, for clients in other languages.
"""

import json
import random
from collections.abc import Callable, Sequence

from parley import wire

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 5.0
_DOUBLINGS = 10
"""Beyond `LONGEST_DELAY_S` already; larger powers of two are no floats one day."""

_ABNORMAL = 1006
_PASSING = frozenset({1001, _ABNORMAL, 1012, 1013})
"""Close codes that say nothing of the session: going away, no close at all, service restart, try again later."""
_BROKEN = frozenset({1002, 1003, 1007, 1009, 1010})
"""Close codes of one side that could not read the other: the same would happen again (RFC 6455, section 7.4.1)."""
_FINAL = frozenset({"superseded", "resume_invalid", "resume_expired"})
"""Errors that hold although the close behind them was lost. Who comes back after `superseded` fights itself."""
_SURVIVED = frozenset({"no_words", "malformed_message", "audio_after_stop"})
"""Errors that are not retryable and end no session."""
_PASSING_TROUBLES = frozenset({"engine_unavailable", "database_unavailable", "storage_unavailable"})
"""Errors that a session goes on after, but which a new one may be refused with."""
_PASSING_STATUSES = frozenset({429, 502, 503, 504})
"""HTTP answers of a gateway that stops, or of a proxy that is asked for too much or finds no gateway."""


def may_resume(close_code: int | None, last: wire.Error | None) -> bool:
    """Whether a session goes on by `resume` after its connection ended without `closed`.

    `last` is the error that was the server's last message, if it was one; `close_code` None where none came.
    """
    code = close_code or _ABNORMAL
    if last is None or last.code in _SURVIVED:
        return code not in _BROKEN
    if last.retryable:
        return True
    return code in _PASSING and last.code not in _FINAL


def ends_session(error: wire.Error) -> bool:
    """Whether the session under way ends because of `error`: `closed` behind it does not make it complete."""
    return error.code not in _SURVIVED | _PASSING_TROUBLES


def http_refusal(status: int, retry_after: str | None, body: bytes) -> wire.Error | None:
    """What an HTTP answer in place of a session says; None where what answers is no Parley, nor a proxy before one.

    `retry_after` is the header: what it says in seconds counts where the body says none.
    """
    error = _told_in(body)
    if status not in _PASSING_STATUSES:
        return error
    known = error or wire.Error(
        code=f"http_{status}", message=f"The server takes no sessions now (HTTP status {status})."
    )
    named_s = float(retry_after) if retry_after and retry_after.isdecimal() else None
    after_s = named_s if known.retry_after_s is None else known.retry_after_s
    return known.model_copy(update={"retryable": True, "retry_after_s": after_s})


def _told_in(body: bytes) -> wire.Error | None:
    """The error in the form that Parley and its nginx give to every one over HTTP."""
    try:
        said = json.loads(body)["error"]
        return wire.Error(
            code=said["code"],
            message=said["message"],
            retryable=said["retryable"],
            retry_after_s=said["retry_after_s"],
        )
    except (ValueError, LookupError, TypeError):
        return None


class Backoff:
    """Which address to try, and how long to wait before: exponential, with full jitter.

    The addresses take turns; one that named a time (`retry_after_s`) is left alone until then if another is free.
    Source: full jitter, https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/.
    """

    def __init__(self, addresses: Sequence[str], uniform: Callable[[float, float], float] = random.uniform) -> None:
        self._addresses = addresses
        self._uniform = uniform
        self._current = 0
        self._not_before = [0.0] * len(addresses)
        self.attempt = 0

    @property
    def address(self) -> str:
        """The one that is tried, or connected to."""
        return self._addresses[self._current]

    @property
    def is_last(self) -> bool:
        """Whether every other address was tried since it went well."""
        return self.attempt + 1 >= len(self._addresses)

    def went_well(self) -> None:
        """The next loss is a new one: begin with short waits again."""
        self.attempt = 0

    def next(self, now: float, retry_after_s: float | None = None) -> float:
        """Leaves the address, which may have named a time, for the next; returns seconds to wait before trying it."""
        count = len(self._addresses)
        self._not_before[self._current] = now + (retry_after_s or 0.0)
        turns = [(self._current + step) % count for step in range(1, count + 1)]
        self._current = min(turns, key=lambda turn: max(now, self._not_before[turn]))
        longest_s = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(self.attempt // count, _DOUBLINGS))
        self.attempt += 1
        return max(0.0, self._not_before[self._current] - now) + self._uniform(0.0, longest_s)


class Heard:
    """Which segments a client knows, so that what a resumed session says again is not heard twice."""

    def __init__(self, next_segment: int = 0) -> None:
        self.next_segment = next_segment
        self._beyond: set[int] = set()
        self._started = next_segment - 1

    def is_new(self, message: wire.SpeechStart | wire.Partial | wire.Final) -> bool:
        """Whether the message tells what was not known; notes it as heard."""
        number = message.segment
        if number < self.next_segment or number in self._beyond:
            return False  # its final is known
        if isinstance(message, wire.SpeechStart):
            is_new, self._started = number > self._started, max(number, self._started)
            return is_new
        if isinstance(message, wire.Final):
            self._beyond.add(number)
            while self.next_segment in self._beyond:
                self._beyond.remove(self.next_segment)
                self.next_segment += 1
        return True
