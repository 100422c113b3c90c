"""Audio files of any container and codec, decoded by PyAV to the form used inside."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parley.audio import SAMPLE_RATE, Samples
from parley.errors import ClientError, SetupError

if TYPE_CHECKING:
    from av.container import InputContainer

_TOLERANCE_S, _TOLERANCE = 0.5, 0.02
"""Seconds, or part of its length, by which a whole file may fall short of the length that it names."""
_GUESSED = frozenset({"aac"})
"""Containers that name no length; FFmpeg estimates one from the bit rate."""


class EndsEarly(ClientError):
    """Raised behind the last samples of a file that is cut short or damaged: what came before is all there is."""

    code = "ends_early"


def check_file(path: Path) -> None:
    """Raises ClientError where `path` is no file that could hold anything; does not look into it."""
    if not path.exists():
        raise ClientError(f"There is no file {str(path)!r}.", code="no_such_file")
    if path.is_dir():
        raise ClientError(f"{str(path)!r} is a folder.", code="no_file")
    if not path.is_file():
        raise ClientError(f"{str(path)!r} is no regular file.", code="no_file")
    if not path.stat().st_size:
        raise ClientError(f"{str(path)!r} is empty.", code="no_audio")
    if not os.access(path, os.R_OK):
        raise ClientError(f"{str(path)!r} may not be read by this user.", code="no_file")


def decode_file(path: Path) -> Iterator[Samples]:
    """The file's first audio stream as int16 mono at 16 kHz, a piece at a time, each of shape (n,).

    Raises ClientError for a file that is missing, empty or no audio, EndsEarly behind the last piece of one that is
    cut short or damaged.
    """
    try:
        import av
    except ImportError as error:
        raise SetupError("Decoding audio files needs PyAV: pip install 'parley[engine]'.") from error
    check_file(path)
    samples, damaged = 0, False
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise ClientError(f"{str(path)!r} holds no audio.", code="no_audio")
            promised_s = _promised_s(container)
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            for frame in _frames(container, av.error.InvalidDataError):
                if frame is _DAMAGE:
                    damaged = True
                    continue
                for piece in resampler.resample(frame):
                    samples += piece.samples
                    yield piece.to_ndarray().reshape(-1).astype(np.int16, copy=False)
    except av.FFmpegError:
        damaged = True
    if not samples:
        what = "is no audio that can be decoded" if damaged else "holds no audio"
        raise ClientError(f"{str(path)!r} {what}.", code="undecodable" if damaged else "no_audio")
    decoded_s = samples / SAMPLE_RATE
    if decoded_s < promised_s - max(_TOLERANCE_S, promised_s * _TOLERANCE):
        raise EndsEarly(f"{str(path)!r} ends early: {decoded_s:.1f} s of {promised_s:.1f} s could be decoded.")
    if damaged:
        raise EndsEarly(f"{str(path)!r} is damaged: not all of it could be decoded.")


_DAMAGE: Any = object()


def _frames(container: "InputContainer", damage: type[Exception]) -> Iterator[Any]:
    """The frames of the first audio stream, `_DAMAGE` for each packet that cannot be decoded, None at the end."""
    for packet in container.demux(container.streams.audio[0]):
        try:
            yield from packet.decode()
        except damage:
            yield _DAMAGE
    yield None


def _promised_s(container: "InputContainer") -> float:
    """Seconds that the file says its first audio stream holds; 0 where it does not say."""
    stream = container.streams.audio[0]
    if container.format.name in _GUESSED:
        return 0.0
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is None or len(container.streams) > 1:  # another stream may be the longer one
        return 0.0
    return container.duration / 1_000_000


def in_chunks(pieces: Iterator[Samples], size: int) -> Iterator[Samples]:
    """The same samples in chunks of exactly `size`; the last may be shorter."""
    rest = np.empty(0, np.int16)
    for piece in pieces:
        rest = np.concatenate([rest, piece])
        while len(rest) >= size:
            yield rest[:size]
            rest = rest[size:]
    if len(rest):
        yield rest
