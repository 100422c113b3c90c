"""The largest number of streams that a server carries: doubling, then bisection."""

from collections.abc import Callable
from typing import Any

from benchmarks.report import progress
from benchmarks.streams import LIMIT_S

_FINENESS = 16
"""The limit is found to one part in this many."""
MOST_STREAMS = 8192


class Search:
    """Which number to try next. Pure."""

    def __init__(self, first: int) -> None:
        self._first = first
        self.carried = 0
        self._failed: int | None = None

    def next(self) -> int | None:
        """The number of streams to try; None when the limit is known."""
        if self._failed is None:
            following = 2 * self.carried or self._first
            return following if following <= MOST_STREAMS else None
        if self._failed - self.carried <= max(1, self.carried // _FINENESS):
            return None
        return (self.carried + self._failed) // 2

    def note(self, streams: int, carried: bool) -> None:
        if carried:
            self.carried = streams
        else:
            self._failed = streams


def is_carried(result: dict[str, Any]) -> bool:
    """Refresh p95, and final p95 where the server has finals, are within the limit; nobody was refused."""
    refresh, final = result["refresh_p95_s"], result["final_p95_s"]
    if result["errors"] or not result["completed"] or refresh is None:
        return False
    return bool(refresh <= LIMIT_S and (final is None or final <= LIMIT_S))


def find_limit(probe: Callable[[int], dict[str, Any]], first: int) -> dict[str, Any]:
    """What `probe` said at the limit (or, where not even one stream is carried, at the last probe), with
    `limit_streams` and all `probes`."""
    search = Search(first)
    probes: list[dict[str, Any]] = []
    best: dict[str, Any] | None = None
    while (streams := search.next()) is not None:
        result = probe(streams)
        carried = is_carried(result)
        search.note(streams, carried)
        best = result if carried else best
        seen = {key: result[key] for key in ("streams", "refresh_p95_s", "final_p95_s", "completed")}
        probes.append(seen | {"carried": carried})
        progress(_line(result, carried))
    return {"limit_streams": search.carried, **(best or result), "probes": probes}


def _line(result: dict[str, Any], carried: bool) -> str:
    errors = f", errors: {', '.join(result['errors'])}" if result["errors"] else ""
    return (
        f"  {result['streams']} stream(s): refresh p95 {result['refresh_p95_s']} s, "
        f"final p95 {result['final_p95_s']} s{errors} → {'carried' if carried else 'too many'}"
    )
