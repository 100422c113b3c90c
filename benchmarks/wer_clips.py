"""The clips that `benchmarks.wer` plays: the fair speech of a manifest, and its sounds without any speech."""

import contextlib
import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.speech import PAUSE_S, known_spans, pause, speech_probabilities, speech_spans
from parley.audio import SAMPLE_RATE, Samples
from parley.errors import ClientError
from parley.media import EndsEarly, decode_file
from parley.silero import SileroModel, model_path

AFTER_S = 1.0
"""Silence behind each clip: a microphone runs on for a moment, and the last segment ends by its trailing silence."""
_LEAST_BACKGROUND = 3 * SAMPLE_RATE
"""Samples of a sound that can be a background: a single click would be a rattle, again and again."""
_MARGIN = SAMPLE_RATE // 10
"""Samples of its own surroundings that a clip keeps when it is joined to others."""

Row = dict[str, Any]
"""One line of a manifest."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """`samples`: int16, shape (n,), mono, 16 kHz. `text`: what is said in them. `language`: None to detect it."""

    name: str
    samples: Samples
    text: str
    language: str | None

    @property
    def played(self) -> Samples:
        """The samples and the silence behind them."""
        return np.concatenate([self.samples, pause(AFTER_S)])

    @property
    def hours(self) -> float:
        return len(self.samples) / SAMPLE_RATE / 3600


class Selection(NamedTuple):
    """The rows to score, and how many of speech are left out for which reason."""

    rows: list[Row]
    excluded: dict[str, int]


def select_speech(rows: Sequence[Row], languages: Collection[str], language: str, longest_s: float) -> Selection:
    """The speech that a model which knows `languages` can fairly be scored on; `language` is of rows that name none."""
    rows = [row if row.get("language") else {**row, "language": language} for row in rows if not is_non_speech(row)]
    reasons = [why_excluded(row, languages, longest_s) for row in rows]
    chosen = [row for row, reason in zip(rows, reasons, strict=True) if reason is None]
    return Selection(chosen, dict(Counter(reason for reason in reasons if reason)))


def why_excluded(row: Row, languages: Collection[str], longest_s: float) -> str | None:
    """Why a row of speech is not scored; None where it is."""
    if not row.get("text") or row.get("kind", "speech") != "speech":
        return "no trusted transcript"
    if row["language"] not in languages:
        return "language unknown to the model"
    if "very quiet" in row.get("note", ""):
        return "very quiet"
    if row.get("group") == "format-variant":
        return "the same clip in another format"
    return "too long" if row.get("seconds", 0) > longest_s else None


def is_non_speech(row: Row) -> bool:
    return row.get("text") == ""


def spread(rows: Sequence[Row], count: int | None) -> list[Row]:
    """At most `count` of the rows, spread evenly over them; all where it is None."""
    count = len(rows) if count is None else min(count, len(rows))
    return [rows[index * len(rows) // count] for index in range(count)]


def load(row: Row, folder: Path) -> Clip:
    """Raises ClientError where the file is missing or cannot be decoded."""
    return Clip(row["file"], _decoded(folder / row["file"]), row.get("text") or "", row.get("language"))


def load_speech(row: Row, folder: Path) -> Clip:
    """A row's clip from the first to the last speech in it, with a little around it. Raises as `load`."""
    clip = load(row, folder)
    spans = known_spans(row) or speech_spans(speech_probabilities(SileroModel(model_path()), clip.samples))
    if not spans:
        return clip
    start, end = max(0, spans[0][0] - _MARGIN), spans[-1][1] + _MARGIN
    return replace(clip, samples=clip.samples[start:end])


def joined(clips: Sequence[Clip], seconds: float, longest_pause_s: float, seed: int) -> Iterator[Clip]:
    """The clips in another order, one behind the other until there are `seconds`, a pause of random length after each.

    What is left at the end makes a shorter one. One clip holds one language only.
    """
    chance = random.Random(seed)
    order = chance.sample(clips, len(clips))
    for language in sorted({clip.language or "" for clip in order}):
        for group in _groups([clip for clip in order if (clip.language or "") == language], seconds):
            pieces = [piece for clip in group for piece in (clip.samples, pause(chance.uniform(0, longest_pause_s)))]
            name = ", ".join(clip.name for clip in group)
            yield Clip(name, np.concatenate(pieces), " ".join(clip.text for clip in group), group[0].language)


def repeated(clip: Clip, seconds: float) -> Clip:
    """The clip again and again, with pauses, until there are `seconds`."""
    once = len(clip.samples) + len(pause(PAUSE_S))
    times = max(1, -(-round(seconds * SAMPLE_RATE) // once))
    return replace(clip, samples=np.tile(np.concatenate([clip.samples, pause(PAUSE_S)]), times))


def noisy(clips: Sequence[Clip], sounds: Sequence[Clip], snr_db: float) -> list[Clip]:
    """The clips with a sound in the background of each, in turn, `snr_db` below the clip's own level.

    Raises ClientError where no sound is long enough.
    """
    backgrounds = [sound.samples for sound in sounds if len(sound.samples) >= _LEAST_BACKGROUND and sound.samples.any()]
    if not backgrounds:
        raise ClientError(
            "--noise takes its background from sounds without speech: name a manifest of them with --non-speech.",
            code="bad_manifest",
        )
    return [
        replace(clip, samples=_mixed(clip.samples, background, snr_db))
        for clip, background in zip(clips, cycle(backgrounds), strict=False)
    ]


def _mixed(samples: Samples, background: Samples, snr_db: float) -> Samples:
    noise = np.resize(background, len(samples)).astype(np.float64)
    factor = _level(samples) / max(_level(noise), 1.0) / 10 ** (snr_db / 20)
    mixed: Samples = np.clip(np.rint(samples + factor * noise), -32768, 32767).astype(np.int16)
    return mixed


def _level(samples: npt.NDArray[Any]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def _decoded(path: Path) -> Samples:
    """What can be decoded of the file: a clip that ends early is what its transcript was made of."""
    pieces: list[Samples] = []
    with contextlib.suppress(EndsEarly):
        pieces.extend(decode_file(path))
    return np.concatenate(pieces)


def _groups(clips: Sequence[Clip], seconds: float) -> Iterator[list[Clip]]:
    group: list[Clip] = []
    for clip in clips:
        group.append(clip)
        if sum(len(each.samples) for each in group) >= seconds * SAMPLE_RATE:
            yield group
            group = []
    if group:
        yield group
