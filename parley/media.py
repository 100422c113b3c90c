"""Audio files of any container and codec, decoded by PyAV to the form used inside."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from parley.audio import SAMPLE_RATE, Samples
from parley.errors import ClientError, SetupError


def decode_file(path: Path) -> Iterator[Samples]:
    """The file's first audio stream as int16 mono at 16 kHz, a piece at a time, each of shape (n,).

    Raises ClientError for a file that is missing, empty, no audio, or broken before its first sample.
    """
    try:
        import av
    except ImportError as error:
        raise SetupError("Decoding audio files needs PyAV: pip install 'parley[engine]'.") from error
    if not path.is_file():
        raise ClientError(f"There is no file {str(path)!r}.", code="no_such_file")
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise ClientError(f"{path.name} holds no audio.", code="no_audio")
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            for frame in itertools.chain(container.decode(container.streams.audio[0]), [None]):
                for piece in resampler.resample(frame):
                    yield piece.to_ndarray().reshape(-1).astype(np.int16, copy=False)
    except av.FFmpegError as error:
        raise ClientError(f"{path.name} cannot be decoded: {error.strerror or error}.", code="undecodable") from error


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
