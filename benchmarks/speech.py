"""Speech to play into a server: real clips one after the other, with pauses, and where the speech in them is."""

import json
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from parley.audio import SAMPLE_RATE, Samples
from parley.errors import ClientError
from parley.media import decode_file
from parley.segmenter import FRAME
from parley.settings import SegmenterSettings
from parley.silero import CONTEXT, STATE, SileroModel, model_path
from parley.transcript import ms_to_samples

ROOT = Path(__file__).parents[1]
MINI_WHISPER = ROOT / "tests" / "assets" / "mini-whisper"
PAUSE_S = 1.2
"""Silence after each clip: longer than what ends a segment."""
_PAUSE_LEVEL = 4
"""Standard deviation of the pause's noise, of 32,768."""
_SHORTEST_CLIP_S, _LONGEST_CLIP_S = 2.0, 20.0

Span = tuple[int, int]


@dataclass(frozen=True)
class Speech:
    """`samples`: int16, shape (n,), mono, 16 kHz. `spans`: where each stretch of speech in them starts and ends, in
    samples, in order."""

    samples: Samples
    spans: tuple[Span, ...]

    @cached_property
    def ends(self) -> tuple[int, ...]:
        return tuple(end for _, end in self.spans)

    def last_end(self, after: int, until: int) -> int | None:
        """The last end of speech behind sample `after`, up to sample `until`."""
        index = bisect_right(self.ends, until) - 1
        return self.ends[index] if index >= 0 and self.ends[index] > after else None

    def next_sample(self, after: int) -> int | None:
        """The first sample of speech from `after` on."""
        index = bisect_right(self.ends, after)
        return max(after, self.spans[index][0]) if index < len(self.spans) else None


class Corpus:
    """The clips of a manifest (one JSON object a line: `file`, and `segments` with `start` and `end` in seconds where
    known). Where they are not, a voice activity detector finds the speech once, with the gateway's thresholds.

    Raises ClientError for a manifest that cannot be read or has no clips.
    """

    def __init__(self, manifest: Path) -> None:
        self._folder = manifest.parent
        self._entries = _usable(manifest)
        self._clips: dict[int, Speech] = {}
        self._speeches: dict[tuple[int, float], Speech] = {}
        self._silero: SileroModel | None = None
        self.label = f"{self._folder.parent.name}/{self._folder.name}, {len(self._entries)} clips"

    def speech(self, seconds: float, first: int) -> Speech:
        """Clips with pauses from the `first` on (modulo their number), until there are `seconds`."""
        key = (first % len(self._entries), seconds)
        if key not in self._speeches:
            self._speeches[key] = self._joined(*key)
        return self._speeches[key]

    def _joined(self, first: int, seconds: float) -> Speech:
        pieces: list[Samples] = []
        spans: list[Span] = []
        length, index = 0, first
        quiet = pause(PAUSE_S)
        while length < seconds * SAMPLE_RATE:
            clip = self.clip(index % len(self._entries))
            pieces += [clip.samples, quiet]
            spans += [(length + start, length + end) for start, end in clip.spans]
            length, index = length + len(clip.samples) + len(quiet), index + 1
        return Speech(np.concatenate(pieces), tuple(spans))

    def __len__(self) -> int:
        return len(self._entries)

    def clip(self, index: int) -> Speech:
        """One clip as it is."""
        if index not in self._clips:
            entry = self._entries[index]
            samples = np.concatenate(list(decode_file(self._folder / entry["file"])))
            self._clips[index] = Speech(samples, known_spans(entry) or self._found_spans(samples))
        return self._clips[index]

    def _found_spans(self, samples: Samples) -> tuple[Span, ...]:
        self._silero = self._silero or SileroModel(model_path())
        return speech_spans(speech_probabilities(self._silero, samples))


def default_manifest() -> Path:
    """Real recordings beside the project where they are, else the test assets' synthetic ones."""
    shared = ROOT.parent / "shared" / "audio" / "manifest.jsonl"
    return shared if shared.is_file() else MINI_WHISPER / "examples" / "manifest.jsonl"


def speech_probabilities(model: SileroModel, samples: Samples) -> list[float]:
    """The speech probability of each whole frame of 512 samples."""
    whole = len(samples) // FRAME * FRAME
    if not whole:
        return []
    (found,), _ = model.detect([np.pad(samples[:whole], (CONTEXT, 0))], np.zeros((2, 1, STATE), np.float32))
    return found


def speech_spans(probabilities: list[float], settings: SegmenterSettings | None = None) -> tuple[Span, ...]:
    """Stretches of speech, in samples: silence shorter than what ends a segment belongs to them."""
    settings = settings or SegmenterSettings()
    gap = ms_to_samples(settings.trailing_silence_ms)
    spans: list[Span] = []
    for index, probability in enumerate(probabilities):
        if probability < settings.speech_threshold:
            continue
        start, end = index * FRAME, (index + 1) * FRAME
        if spans and start - spans[-1][1] < gap:
            start = spans.pop()[0]
        spans.append((start, end))
    return tuple(span for span in spans if span[1] - span[0] >= ms_to_samples(settings.min_speech_ms))


def read_manifest(manifest: Path) -> list[dict[str, Any]]:
    """Its objects, one a line. Raises ClientError where it cannot be read."""
    try:
        entries = [json.loads(line) for line in manifest.read_text("utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise ClientError(f"The manifest {manifest} cannot be read: {error}.", code="bad_manifest") from None
    if not all(isinstance(entry, dict) and isinstance(entry.get("file"), str) for entry in entries):
        raise ClientError(f"Each line of the manifest {manifest} must be an object with `file`.", code="bad_manifest")
    return entries


def _usable(manifest: Path) -> list[dict[str, Any]]:
    entries = read_manifest(manifest)
    usable = [entry for entry in entries if entry.get("segments") or _is_fair_speech(entry)]
    usable = [entry for entry in usable if entry.get("seconds", _SHORTEST_CLIP_S) <= _LONGEST_CLIP_S]
    if not usable:
        raise ClientError(f"The manifest {manifest} has no clips of speech.", code="bad_manifest")
    return usable


def _is_fair_speech(entry: dict[str, Any]) -> bool:
    """Whether it is plain speech: loud enough, long enough, and no sample made to test decoders."""
    plain = "very quiet" not in entry.get("note", "") and entry.get("group") != "format-variant"
    return entry.get("kind") == "speech" and plain and entry.get("seconds", 0) >= _SHORTEST_CLIP_S


def known_spans(entry: dict[str, Any]) -> tuple[Span, ...]:
    segments = entry.get("segments") or ()
    return tuple((int(one["start"] * SAMPLE_RATE), int(one["end"] * SAMPLE_RATE)) for one in segments)


def pause(seconds: float) -> Samples:
    """What a microphone hears of a quiet room, int16, shape (n,)."""
    noise = np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE)) * _PAUSE_LEVEL
    quiet: Samples = noise.astype(np.int16)
    return quiet
