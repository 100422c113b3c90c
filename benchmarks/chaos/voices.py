"""What the sessions of a round say: real speech with pauses, noise and other formats, and what of it must be stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soxr

from benchmarks.speech import MINI_WHISPER, ROOT, Corpus, Span, pause, read_manifest
from parley.audio import SAMPLE_RATE, AudioFormat, Samples, StreamDecoder, to_float32, to_int16
from parley.media import decode_file

PLAIN = AudioFormat(SAMPLE_RATE, "pcm_s16le", 1)
FORMATS = (PLAIN, PLAIN, PLAIN, AudioFormat(48_000, "pcm_f32le", 2), PLAIN, AudioFormat(44_100, "pcm_s16le", 1), PLAIN)
"""Formats by voice, over and over: most browsers send 16 kHz, some the rate of the sound card."""
CHUNK_S = 0.1
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 0.4, 1.6
_NOISE_EVERY, _NOISE_LEVEL = 4, 0.1
_FINALIZE_EVERY = 3
_PROMPT_S, _LATEST_FINALIZE = 1.0, 0.8


@dataclass(frozen=True)
class Voice:
    """What one session says: `chunks` of 100 ms in `audio_format`, and `finalize` behind those whose numbers, counted
    from 1, are in `finalizes`. `expected`: int16, shape (n,), mono, 16 kHz: what the server must store of it. `spans`:
    where the speech in it is, in samples at 16 kHz."""

    name: str
    audio_format: AudioFormat
    chunks: tuple[bytes, ...]
    finalizes: frozenset[int]
    expected: Samples
    spans: tuple[Span, ...]

    @property
    def seconds(self) -> float:
        return len(self.expected) / SAMPLE_RATE

    def speaks_at(self, second: float) -> bool:
        return any(start <= second * SAMPLE_RATE < end for start, end in self.spans)


def voices(count: int, seconds: float) -> tuple[Voice, ...]:
    """The same `count` voices every time, of about `seconds` each: clips of the miniature Whisper's own examples, each
    voice in an order of its own."""
    corpus = Corpus(MINI_WHISPER / "examples" / "manifest.jsonl")
    return tuple(_voice(corpus, number, seconds) for number in range(count))


def _voice(corpus: Corpus, number: int, seconds: float) -> Voice:
    rng = np.random.default_rng(number)
    samples, spans = _joined(corpus, rng, int(seconds * SAMPLE_RATE))
    if number % _NOISE_EVERY == _NOISE_EVERY - 1:
        samples = _with_noise(samples, number)
    audio_format = FORMATS[number % len(FORMATS)]
    data = encode(samples, audio_format)
    chunks = _cut(data, int(audio_format.sample_rate * CHUNK_S) * audio_format.bytes_per_frame)
    finalizes = frozenset[int]()
    if number % _FINALIZE_EVERY == 0:
        first, last = int(_PROMPT_S / CHUNK_S), int(len(chunks) * _LATEST_FINALIZE)
        finalizes = frozenset(int(chunk) for chunk in rng.integers(first, last, size=2))
    return Voice(f"voice {number}", audio_format, chunks, finalizes, decoded(data, audio_format), spans)


def _joined(corpus: Corpus, rng: np.random.Generator, length: int) -> tuple[Samples, tuple[Span, ...]]:
    """Clips in random order with pauses between, cut off at `length` samples, in the middle of a word or not."""
    pieces: list[Samples] = []
    spans: list[Span] = []
    at = 0
    while at < length:
        clip = corpus.clip(int(rng.integers(len(corpus))))
        quiet = pause(float(rng.uniform(_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S)))
        spans += [(at + start, at + end) for start, end in clip.spans]
        pieces += [clip.samples, quiet]
        at += len(clip.samples) + len(quiet)
    kept = tuple((start, min(end, length)) for start, end in spans if start < length)
    return np.concatenate(pieces)[:length], kept


def _with_noise(samples: Samples, number: int) -> Samples:
    noises = _noises()
    if not noises:
        return samples
    noise = np.resize(to_float32(noises[number % len(noises)]), len(samples))
    return to_int16(to_float32(samples) + _NOISE_LEVEL * noise)


@cache
def _noises() -> Sequence[Samples]:
    """Sounds without speech, where real recordings lie beside the project."""
    manifest = ROOT.parent / "shared" / "audio" / "manifest.jsonl"
    if not manifest.is_file():
        return ()
    names = [entry["file"] for entry in read_manifest(manifest) if entry.get("kind") == "nonspeech"]
    return tuple(_decoded_file(manifest.parent / name) for name in names)


def _decoded_file(path: Path) -> Samples:
    return np.concatenate(list(decode_file(path)))


def encode(samples: Samples, audio_format: AudioFormat) -> bytes:
    """`samples` at 16 kHz as a client with that format would send them; `pcm_s16le` or `pcm_f32le`."""
    if audio_format == PLAIN:
        return samples.astype("<i2", copy=False).tobytes()
    floats = soxr.resample(to_float32(samples), SAMPLE_RATE, audio_format.sample_rate)
    frames = np.repeat(floats[:, None], audio_format.channels, axis=1)
    return bytes((frames.astype("<f4") if audio_format.encoding == "pcm_f32le" else to_int16(frames)).tobytes())


def decoded(data: bytes, audio_format: AudioFormat) -> Samples:
    """What is to be stored of `data`: int16, shape (n,), mono, 16 kHz."""
    decoder = StreamDecoder(audio_format)
    return np.concatenate([decoder.feed(data), decoder.flush()])


def _cut(data: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(data[start : start + size] for start in range(0, len(data), size))
