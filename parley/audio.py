"""Audio as it arrives, turned into the one form used inside: int16, mono, 16 kHz.

Everything downstream (journal, voice activity detection, engine) sees the same int16 samples, so that whatever is
durable is exactly what was recognised.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import soxr

from parley.errors import ClientError

SAMPLE_RATE = 16_000
MIN_RATE, MAX_RATE = 8_000, 48_000

Encoding = Literal["pcm_s16le", "pcm_f32le", "mulaw", "alaw"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
Samples = npt.NDArray[np.int16]

_DTYPES: dict[Encoding, str] = {"pcm_s16le": "<i2", "pcm_f32le": "<f4", "mulaw": "u1", "alaw": "u1"}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """How the client's bytes are to be read. Raises ClientError for what is out of range."""

    sample_rate: int
    encoding: Encoding
    channels: int

    def __post_init__(self) -> None:
        if not MIN_RATE <= self.sample_rate <= MAX_RATE:
            raise ClientError(
                f"sample_rate is {self.sample_rate}; it must lie between {MIN_RATE} and {MAX_RATE} Hz.",
                code="unsupported_audio",
            )
        if self.encoding not in ENCODINGS:
            raise ClientError(
                f"encoding is {self.encoding!r}; it must be one of {', '.join(ENCODINGS)}.", code="unsupported_audio"
            )
        if self.channels not in (1, 2):
            raise ClientError(f"channels is {self.channels}; it must be 1 or 2.", code="unsupported_audio")

    @property
    def bytes_per_frame(self) -> int:
        """Bytes of one sample of every channel."""
        return np.dtype(_DTYPES[self.encoding]).itemsize * self.channels


_WARM_UP = SAMPLE_RATE // 4
"""Samples that a new resampler hears before its output is used: many times the length of libsoxr's filters."""

_QUALITY = "VHQ"
"""libsoxr computes it in double precision: one that begins elsewhere gives the same float32 to the last bit. With the
usual `HQ`, one sample of some thousand would be rounded to another int16."""
_LAG = SAMPLE_RATE * 3 // 25
"""Samples at 16 kHz by which resampled audio lies behind what came in, always. libsoxr gives its output in blocks, 8 to
116 ms late, wherever its blocks happen to begin; what was said before a `finalize` must not depend on that."""


def resume_point(durable: int, sample_rate: int) -> int:
    """The sample at 16 kHz from which a sender at `sample_rate` sends again where `durable` samples are kept.

    It is a whole sample at both rates, and a resampler that begins there has settled when it comes to `durable`.
    """
    if sample_rate == SAMPLE_RATE:
        return durable
    step = SAMPLE_RATE // math.gcd(SAMPLE_RATE, sample_rate)
    return max(0, durable - _WARM_UP) // step * step


def _mulaw_table() -> npt.NDArray[np.float32]:
    """ITU-T G.711 mu-law, all 256 codes, float32 in [-1, 1]."""
    code = ~np.arange(256, dtype=np.uint8)
    magnitude = ((((code & 0x0F).astype(np.int32) << 3) + 0x84) << ((code & 0x70) >> 4)) - 0x84
    return (np.where(code & 0x80, -magnitude, magnitude) / 32768).astype(np.float32)


def _alaw_table() -> npt.NDArray[np.float32]:
    """ITU-T G.711 A-law, all 256 codes, float32 in [-1, 1]."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = ((code & 0x70) >> 4).astype(np.int32)
    mantissa = (code & 0x0F).astype(np.int32) << 4
    magnitude = np.where(exponent == 0, mantissa + 8, (mantissa + 0x108) << np.maximum(exponent - 1, 0))
    return (np.where(code & 0x80, magnitude, -magnitude) / 32768).astype(np.float32)


_LAW_TABLES = {"mulaw": _mulaw_table(), "alaw": _alaw_table()}


def to_int16(samples: npt.NDArray[np.float32]) -> Samples:
    """float32 in [-1, 1] (beyond is clipped), any shape → int16 of the same shape."""
    clipped = np.clip(np.rint(samples * 32768.0), -32768, 32767)
    return np.asarray(clipped, dtype=np.int16)


def to_float32(samples: Samples) -> npt.NDArray[np.float32]:
    """int16 → float32 in [-1, 1), same shape."""
    return samples.astype(np.float32) / 32768.0


class _Resampler:
    """float32 mono at `rate` → float32 mono at 16 kHz, `_LAG` behind."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality=_QUALITY)
        self._taken = 0  # samples at `rate`
        self._given = 0  # samples at 16 kHz
        self._ready = np.empty(0, np.float32)

    def feed(self, samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Shape (n,) in, (m,) out: the sum of all m depends on that of all n only."""
        self._taken += len(samples)
        self._ready = np.concatenate([self._ready, self._stream.resample_chunk(samples)])
        return self._give(max(0, self._taken * SAMPLE_RATE // self._rate - _LAG - self._given))

    def flush(self) -> npt.NDArray[np.float32]:
        """All that is left; nothing is fed afterwards."""
        last = self._stream.resample_chunk(np.empty(0, np.float32), last=True)
        self._ready = np.concatenate([self._ready, last])
        return self._give(len(self._ready))

    def _give(self, count: int) -> npt.NDArray[np.float32]:
        given, self._ready = self._ready[:count], self._ready[count:]
        self._given += len(given)
        return given


class StreamDecoder:
    """Bytes in the client's format → int16 mono at 16 kHz. Where the bytes were cut does not change the samples.

    The resampler (libsoxr) holds back some samples; `flush` gives them.
    """

    def __init__(self, audio_format: AudioFormat, *, skip: int = 0) -> None:
        """`skip`: how many samples at 16 kHz are there already, and are left out at the beginning."""
        self._format = audio_format
        self._skip = skip
        self._resampler = _Resampler(audio_format.sample_rate) if audio_format.sample_rate != SAMPLE_RATE else None

    @property
    def is_catching_up(self) -> bool:
        """What comes is there already, with all that was said within it."""
        return self._skip > 0

    def feed(self, data: bytes) -> Samples:
        """Whole samples in, shape (n,) int16 out. Raises ClientError for half samples and for NaN or infinity."""
        fmt = self._format
        if len(data) % fmt.bytes_per_frame:
            raise ClientError(
                f"An audio message of {len(data)} bytes is no whole number of samples: {fmt.encoding} with"
                f" {fmt.channels} channel(s) takes {fmt.bytes_per_frame} bytes each.",
                code="malformed_audio",
            )
        return self._beyond(self._decode(np.frombuffer(data, dtype=_DTYPES[fmt.encoding])))

    def _decode(self, raw: npt.NDArray[np.generic]) -> Samples:
        fmt = self._format
        if self._resampler is None and fmt.channels == 1 and fmt.encoding == "pcm_s16le":
            return raw.astype(np.int16, copy=False)
        mono = self._mono(self._floats(raw))
        if self._resampler is not None:
            mono = self._resampler.feed(mono)
        return to_int16(mono)

    def flush(self) -> Samples:
        """The samples that the resampler still holds, shape (n,) int16. The decoder takes no more afterwards."""
        if self._resampler is None:
            return np.empty(0, np.int16)
        return self._beyond(to_int16(self._resampler.flush()))

    def _beyond(self, samples: Samples) -> Samples:
        """What lies behind the samples that are left out."""
        if not self._skip:
            return samples
        left_out = min(self._skip, len(samples))
        self._skip -= left_out
        return samples[left_out:]

    def _floats(self, raw: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        if self._format.encoding in _LAW_TABLES:
            return np.take(_LAW_TABLES[self._format.encoding], raw.astype(np.uint8, copy=False))
        if self._format.encoding == "pcm_s16le":
            return raw.astype(np.float32) / 32768.0
        floats = raw.astype(np.float32, copy=False)
        if not np.isfinite(floats).all():
            bad = int(np.flatnonzero(~np.isfinite(floats))[0])
            raise ClientError(
                f"Sample {bad} of an audio message is {floats[bad]}; samples must be finite numbers.",
                code="malformed_audio",
            )
        return np.clip(floats, -1.0, 1.0)

    def _mono(self, floats: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if self._format.channels == 1:
            return floats
        return np.asarray(floats.reshape(-1, self._format.channels).mean(axis=1), dtype=np.float32)
