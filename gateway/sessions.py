"""The live sessions of this gateway, so that they can be told to end: taken over by another, or sent elsewhere."""

import asyncio
from typing import Protocol

from parley import metrics
from parley.errors import ParleyError
from parley.logs import get_logger
from parley.store import Superseded

_log = get_logger(__name__)


class GoingAway(ParleyError):
    """This gateway stops; the recording goes on at another."""

    code = "going_away"
    retryable = True

    def __init__(self) -> None:
        super().__init__("This server stops; nothing is lost, the recording goes on when you connect again.")


class Session(Protocol):
    @property
    def recording_id(self) -> str: ...

    @property
    def fence(self) -> int: ...

    def end(self, error: ParleyError) -> None:
        """Asks the session to end because of `error`."""


class Sessions:
    """By recording: it has one session at most, of all gateways together, soon after the newest was opened."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._none_left = asyncio.Event()
        self._none_left.set()
        self.going_away = False

    def check_open(self) -> None:
        """Raises GoingAway where this gateway stops."""
        if self.going_away:
            raise GoingAway

    def add(self, session: Session) -> None:
        """Tells whoever had the recording here that it goes on elsewhere.

        Raises GoingAway where this gateway stops, Superseded where a newer one has the recording already.
        """
        self.check_open()
        if (other := self._sessions.get(session.recording_id)) is not None:
            superseded = Superseded("This recording goes on in another session.")
            if other.fence > session.fence:
                raise superseded
            other.end(superseded)
        self._sessions[session.recording_id] = session
        self._none_left.clear()
        metrics.SESSIONS_OPEN.set(len(self._sessions))

    def remove(self, session: Session) -> None:
        if self._sessions.get(session.recording_id) is session:
            del self._sessions[session.recording_id]
        metrics.SESSIONS_OPEN.set(len(self._sessions))
        if not self._sessions:
            self._none_left.set()

    async def drain(self, timeout_s: float) -> None:
        """Lets nobody in any more, sends all elsewhere, and waits until they are gone, so long at most."""
        self.going_away = True
        _log.info("draining", sessions=len(self._sessions))
        for session in list(self._sessions.values()):
            session.end(GoingAway())
        try:
            async with asyncio.timeout(timeout_s):
                await self._none_left.wait()
        except TimeoutError:
            _log.warning("sessions left at the end of the drain", sessions=len(self._sessions))
