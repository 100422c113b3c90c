"""The sessions of a gateway: one for each recording, and all sent elsewhere when it stops."""

import asyncio

import pytest

from gateway.sessions import GoingAway, Sessions
from parley.errors import ParleyError
from parley.store import Superseded


class Scripted:
    """A session that notes why it was to end, and leaves if it is told to obey."""

    def __init__(self, sessions: Sessions, recording_id: str, fence: int = 1, *, obeys: bool = True) -> None:
        self.recording_id = recording_id
        self.fence = fence
        self.codes: list[str] = []
        self._sessions, self._obeys = sessions, obeys

    def end(self, error: ParleyError) -> None:
        self.codes.append(error.code)
        if self._obeys:
            asyncio.get_running_loop().call_soon(self._sessions.remove, self)


async def test_who_had_the_recording_is_told_and_its_end_does_not_remove_the_newer() -> None:
    sessions = Sessions()
    older, newer, other = (Scripted(sessions, name) for name in ("a", "a", "b"))
    for session in (older, other, newer):
        sessions.add(session)
    await asyncio.sleep(0)
    assert (older.codes, newer.codes, other.codes) == (["superseded"], [], [])
    await sessions.drain(timeout_s=1)
    assert (older.codes, newer.codes, other.codes) == (["superseded"], ["going_away"], ["going_away"])


async def test_whoever_took_the_recording_first_is_late_where_another_has_it_by_now() -> None:
    sessions = Sessions()
    newer = Scripted(sessions, "a", 7)
    sessions.add(newer)
    with pytest.raises(Superseded):
        sessions.add(Scripted(sessions, "a", 6))
    assert newer.codes == []


async def test_a_gateway_that_stops_lets_nobody_in() -> None:
    sessions = Sessions()
    await sessions.drain(timeout_s=1)
    with pytest.raises(GoingAway):
        sessions.add(Scripted(sessions, "a"))


async def test_a_drain_does_not_wait_for_ever() -> None:
    sessions = Sessions()
    sessions.add(Scripted(sessions, "a", obeys=False))
    async with asyncio.timeout(1):
        await sessions.drain(timeout_s=0.01)
