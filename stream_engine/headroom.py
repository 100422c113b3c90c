"""How much of a device live sessions need, and so whether it has room for one more. Pure: time is given.

A session needs, for each second that someone speaks in it, its share of finals (drafts included) and of partials at the
slowest cadence that is accepted. Both costs are measured, and forgotten with a half-life, so the load follows what the
device really does: another model, other speakers, a machine that is busy with other work. Sessions that were just
opened count with what the others need, before they have said a word.
"""

from dataclasses import dataclass

_HALF_LIFE_S = 30.0
_SPEECH_SHARE = 0.7
"""Of a session's time, until it is measured: a dictation's or a reader's; in a meeting it is more."""
_PROMISED = 0.85
"""Part of the device's time: costs vary, speakers coincide, and warming up measures an idle machine. With all of it
promised, twice the limit of streams on 2 cores left finals in time (p95 1.7 s), but partials standing for 6 s (p95)."""
_FINALS_A_SECOND = 0.3
"""Finals and drafts for a second of speech, until they are measured."""
_LEAST_SPEECH = 0.3
"""Share that is kept for sessions which are silent now: they may all begin to speak. Nobody speaks more than always,
though an engine that takes over sessions hears half a minute of each at once."""
_NEW_S = 5.0
"""A session that was just opened counts as one that spoke its share for so long: its first words are on the way."""
_PRIOR_S = 20.0
"""Seconds of sessions, and of speech, that the first guesses count for."""
_PRIOR_WINDOWS = 16


@dataclass(slots=True)
class _Mean:
    """A mean that forgets what was added, but not its first guess `prior`, which counts for `prior_weight`."""

    prior: float
    prior_weight: float
    total: float = 0.0
    weight: float = 0.0

    def add(self, total: float, weight: float) -> None:
        self.total += total
        self.weight += weight

    def fade(self, factor: float) -> None:
        self.total *= factor
        self.weight *= factor

    @property
    def value(self) -> float:
        return (self.prior * self.prior_weight + self.total) / (self.prior_weight + self.weight)


class Headroom:
    """What one device measured of itself, and the live sessions that it has."""

    def __init__(
        self, *, replicas: int, slowest_partial_s: float, partial_s: float, final_s: float, now: float
    ) -> None:
        """`slowest_partial_s`: seconds between two partials that are still accepted. `partial_s`: device time of a
        partial in a batch, `final_s`: of a final, both measured while the device warmed up. `now`: seconds of a clock
        that all other times are of."""
        self.sessions = 0
        self._replicas = replicas
        self._slowest_partial_s = slowest_partial_s
        self._now = now
        self._speech = _Mean(_SPEECH_SHARE, _PRIOR_S)
        self._finals = _Mean(_FINALS_A_SECOND * final_s, _PRIOR_S)
        self._partials = _Mean(partial_s, _PRIOR_WINDOWS)
        self._largest_batch = 1.0

    def opened(self, now: float) -> None:
        """A live session begins."""
        self._pass(now)
        self.sessions += 1
        self._speech.add(_SPEECH_SHARE * _NEW_S, _NEW_S)

    def closed(self, now: float) -> None:
        """A live session is over."""
        self._pass(now)
        self.sessions -= 1

    def heard(self, speech_s: float) -> None:
        """Speech came, of whichever live session."""
        self._speech.add(speech_s, 0.0)

    def ended(self, speech_s: float) -> None:
        """A segment ended: its final, and drafts of it that were in vain, are what so much speech cost."""
        self._finals.add(0.0, speech_s)

    def decoded(self, *, finals: int, partials: int, device_s: float) -> None:
        """A batch of so many windows took `device_s` of one replica.

        Partials in small batches cost more than they would under load, so these say little.
        """
        windows = finals + partials
        self._finals.add(device_s * finals / windows, 0.0)
        if windows >= self._largest_batch / 2:
            self._largest_batch = max(self._largest_batch, windows)
            self._partials.add(device_s * partials / windows, partials)

    def load(self, now: float, more: int = 0) -> float:
        """What its live sessions and so many more need, of the device's time that may be promised: 1 is all of it."""
        self._pass(now)
        need = self._finals.value + self._partials.value / self._slowest_partial_s
        speech = min(1.0, max(_LEAST_SPEECH, self._speech.value))
        return (self.sessions + more) * speech * need / self._replicas / _PROMISED

    def _pass(self, now: float) -> None:
        elapsed, self._now = max(0.0, now - self._now), now
        factor = 0.5 ** (elapsed / _HALF_LIFE_S)
        for mean in (self._speech, self._finals, self._partials):
            mean.fade(factor)
        self._largest_batch = max(1.0, self._largest_batch * factor)
        self._speech.add(0.0, elapsed * self.sessions)
