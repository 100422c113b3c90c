"""What a client has said and the server has not stored yet: kept in order, to be said again where a connection is lost.

No clock and no socket inside. Positions are the client's own samples (of all channels together, at its own rate), from
the beginning of the recording; the server counts at 16 kHz.
"""

from collections import deque
from dataclasses import dataclass

from parley import wire
from parley.audio import SAMPLE_RATE, AudioFormat
from parley.errors import ClientError

Outgoing = bytes | wire.Finalize | wire.Stop


@dataclass(frozen=True, slots=True)
class _Entry:
    """Audio from `start` to `end`; without `data` it is a `finalize` that was said at `start`."""

    start: int
    end: int
    data: bytes

    def is_needed_from(self, position: int) -> bool:
        return self.end > position if self.data else self.start >= position


class HeldAudio:
    """Takes what is to be said (`push`, `finalize`, `stop`), gives it out once for each connection (`take`), and lets
    go of what the server has stored (`ack`). `rewind` begins anew where the server of a new connection wants it."""

    def __init__(self, audio_format: AudioFormat, next_sample: int = 0) -> None:
        """`next_sample`: where the recording begins for this client, at 16 kHz; over 0 in one that is resumed."""
        self._rate = audio_format.sample_rate
        self._sample_bytes = audio_format.bytes_per_frame
        self._entries: deque[_Entry] = deque()
        self._next = 0  # index of the entry that `take` gives
        self._stopped = self._stop_taken = False
        self._from = self._acked = self._end = next_sample * self._rate // SAMPLE_RATE

    @property
    def held_s(self) -> float:
        """Seconds of audio that are not stored yet."""
        return (self._end - self._acked) / self._rate

    @property
    def end_s(self) -> float:
        """Seconds of the recording up to the last sample."""
        return self._end / self._rate

    @property
    def is_whole(self) -> bool:
        """Nothing of the recording was let go yet: a new one could be made of what is here."""
        return self._acked == 0

    @property
    def acked_s(self) -> float:
        """Seconds of the recording that the server has stored."""
        return self._acked / self._rate

    def push(self, data: bytes) -> None:
        """Audio in the client's format. Raises ClientError for half a sample, and for audio behind `stop`."""
        samples, rest = divmod(len(data), self._sample_bytes)
        if rest:
            raise ClientError(
                f"{len(data)} bytes of audio are no whole number of samples of {self._sample_bytes} bytes.",
                code="malformed_audio",
            )
        if self._stopped:
            raise ClientError("Audio came after stop.", code="audio_after_stop")
        if samples:
            self._entries.append(_Entry(self._end, self._end + samples, data))
            self._end += samples

    def finalize(self) -> None:
        """A `finalize` behind all the audio so far. A second one in the same place ends nothing, so it is left out."""
        mark = _Entry(self._end, self._end, b"")
        if not self._entries or self._entries[-1] != mark:
            self._entries.append(mark)

    def stop(self) -> None:
        """There is no more."""
        self._stopped = True

    def take(self) -> Outgoing | None:
        """The next message for the server; None where it was given all there is."""
        if self._next < len(self._entries):
            entry = self._entries[self._next]
            self._next += 1
            known = max(0, self._from - entry.start) * self._sample_bytes
            return entry.data[known:] if entry.data else wire.Finalize()
        if self._stopped and not self._stop_taken:
            self._stop_taken = True
            return wire.Stop()
        return None

    def ack(self, samples: int) -> None:
        """The server has stored `samples` at 16 kHz. A `finalize` right there is kept: it may not have been heeded."""
        self._acked = max(self._acked, min(samples * self._rate // SAMPLE_RATE, self._end))
        while self._entries and not self._entries[0].is_needed_from(self._acked):
            self._entries.popleft()
            self._next = max(0, self._next - 1)

    def rewind(self, next_sample: int) -> None:
        """On a new connection, to the server that has everything before `next_sample` (at 16 kHz).

        Raises ClientError for a place that was acknowledged before, is yet to come, or lies between two samples.
        """
        position, fraction = divmod(next_sample * self._rate, SAMPLE_RATE)
        if fraction or not self._acked <= position <= self._end:
            raise ClientError(
                f"The server wants audio from {next_sample / SAMPLE_RATE:.3f} s on, which cannot be had:"
                f" it has acknowledged {self.acked_s:.3f} s of {self.end_s:.3f} s.",
                code="protocol",
            )
        needed = (index for index, entry in enumerate(self._entries) if entry.is_needed_from(position))
        self._next = next(needed, len(self._entries))
        self._from, self._stop_taken = position, False
