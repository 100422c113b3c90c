"""Media files of any container and codec: told by content, decoded by PyAV, piece by piece, to the form used inside.

Nothing here goes by a name or a declared type. Only containers that hold their sound themselves are opened:
FFmpeg would follow what a playlist names, into other files of this machine and into its network.

What makes two files the same audio is the SHA-256 of their bytes, not of the decoded samples. It is known as soon as
the file is there, before any decoding; it can never link to the words of other audio; and it does not change with the
version of FFmpeg or the processor, on which samples of MP3, AAC and Opus depend in their last bit. The price: the same
sound with another tag or in another container is transcribed again.
"""

import contextlib
import ctypes
import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from parley.audio import SAMPLE_RATE, Samples
from parley.errors import ClientError, SetupError, TooLarge

if TYPE_CHECKING:
    from av import AudioFrame, AudioLayout, AudioResampler, AudioStream
    from av.container import InputContainer

_TOLERANCE_S, _TOLERANCE = 0.5, 0.02
"""Seconds, or part of its length, by which a whole file may fall short of the length that it names."""
_GUESSED = frozenset({"aac"})
"""Containers that name no length; FFmpeg estimates one from the bit rate."""
_CONTAINERS = (
    "mp3,wav,mov,flac,ogg,matroska,aac,"  # what is promised; mov is MP4 and M4A, matroska WebM
    "ac3,aiff,amr,ape,asf,au,avi,caf,dsf,eac3,flv,mpc,mpc8,mpeg,mpegts,nistsphere,rm,tta,voc,w64,wv"
)
"""FFmpeg's names of containers that are opened: none that names other files or addresses."""
_OPTIONS = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
_RATES = range(4_000, 768_001)
"""Hz that are taken. Samples at 1 Hz would grow by a factor of 16,000."""
_OTHERS = (
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"#EXTM3U", "a playlist, which only names other files"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
)
"""What people send in place of audio, by its first bytes in lower case."""
START_BYTES = 64
"""Bytes of a file that tell of those."""
_PROTECTED = frozenset({"drms", "aavd"})
"""Codec tags of iTunes and Audible with copy protection."""


_OPEN_ENDED = (range(1), range(0x7FFF_0000, 0x8000_0001), range(0xFFFF_0000, 0x1_0000_0000))
"""Lengths of a WAV's data that say nothing: who writes into a pipe cannot know it. The middle ones are of 2 GiB."""
_HEADER_BYTES = 1024
"""Bytes by which a WAV's length may be wrong: some writers count the header in."""
_MOST_CHUNKS = 1000
"""Chunks in front of a WAV's samples that are looked through."""
_OGG_PAGE_BYTES = 27 + 255 + 255 * 255
"""Bytes of the largest page of an OGG file. Source: RFC 3533, section 6."""
_OGG_LAST = 0x04
"""Flag of the page that ends a stream."""


class EndsEarly(ClientError):
    """Raised behind the last samples of a file that is cut short or damaged: what came before is all there is."""

    code = "ends_early"


def check_file(path: Path, *, name: str | None = None) -> None:
    """Raises ClientError where `path` is no file that could hold anything; does not look into it."""
    shown = name or str(path)
    if not path.exists():
        raise ClientError(f"There is no file {shown!r}.", code="no_such_file")
    if path.is_dir():
        raise ClientError(f"{shown!r} is a folder.", code="no_file")
    if not path.is_file():
        raise ClientError(f"{shown!r} is no regular file.", code="no_file")
    if not path.stat().st_size:
        raise ClientError(f"{shown!r} is empty.", code="no_audio")
    if not os.access(path, os.R_OK):
        raise ClientError(f"{shown!r} may not be read by this user.", code="no_file")


def check_start(start: bytes, *, name: str) -> None:
    """Raises ClientError where the first START_BYTES of a file show that it is no sound: at once, without a decoder.

    What passes may be no sound all the same: `probe` says so, in the same words.
    """
    if not start:
        raise ClientError(f"{name!r} is empty.", code="no_audio")
    if error := _something_else(start, name):
        raise error


@dataclass(frozen=True, slots=True)
class Media:
    """What a file turned out to hold: its container (`mp3`, `wav`, `mp4`, `flac`, `ogg`, `webm`, …) and first sound."""

    kind: str
    codec: str
    duration_s: float | None
    """Seconds that the file says it holds; None where it does not say. Only decoding shows whether it is true."""
    channels: int
    sample_rate: int


def probe(path: Path, *, name: str | None = None) -> Media:
    """What `path` holds, by its content; its first samples were decoded, so there is sound.

    `name` is what messages call the file, where that is not `path`. Raises ClientError as `decode_file` does.
    """
    shown = name or str(path)
    damaged = False
    with _opened(path, shown) as container:
        for frame in _frames(container, shown):
            if frame is not None:
                codec = container.streams.audio[0].codec_context.name
                duration_s = _promised_s(container) or None
                return Media(_kind(container, path), codec, duration_s, frame.layout.nb_channels, frame.sample_rate)
            damaged = True
    raise _nothing_in(shown, damaged=damaged)


def decode_file(path: Path, *, name: str | None = None, max_s: float = math.inf) -> Iterator[Samples]:
    """The file's first audio stream as int16 mono at 16 kHz, a piece at a time, each of shape (n,).

    Raises ClientError for a file that is missing (`no_such_file`), empty or without sound (`no_audio`), no media
    (`undecodable`) or encrypted (`encrypted`), TooLarge behind `max_s` seconds, EndsEarly behind the last piece of one
    that is cut short or damaged.
    """
    shown = name or str(path)
    samples, damaged = 0, False
    with _opened(path, shown) as container:
        promised_s = _promised_s(container)
        for piece in _resampled(_frames(container, shown)):
            if piece is None:
                damaged = True
                continue
            samples += len(piece)
            if samples > max_s * SAMPLE_RATE:
                raise TooLarge(f"{shown!r} is longer than {max_s:g} s.")
            yield piece
    if not samples:
        raise _nothing_in(shown, damaged=damaged)
    decoded_s = samples / SAMPLE_RATE
    if decoded_s < promised_s - max(_TOLERANCE_S, promised_s * _TOLERANCE):
        raise EndsEarly(f"{shown!r} ends early: {decoded_s:.1f} s of {promised_s:.1f} s could be decoded.")
    if _lacks_end(path):
        raise EndsEarly(f"{shown!r} ends early: it is cut short behind {decoded_s:.1f} s.")
    if damaged:
        raise EndsEarly(f"{shown!r} is damaged: not all of it could be decoded.")


@contextlib.contextmanager
def _opened(path: Path, shown: str) -> Iterator["InputContainer"]:
    """The container that `path` is; it has an audio stream, of which nothing is decoded yet."""
    try:
        import av
    except ImportError as error:
        raise SetupError("Decoding audio files needs PyAV: pip install 'parley[engine]'.") from error
    check_file(path, name=shown)
    try:
        # "file:" because FFmpeg takes what stands before a colon in a name for a protocol.
        container = av.open(f"file:{path}", metadata_errors="ignore", options=_OPTIONS)
    except av.FFmpegError:
        raise _no_media(path, shown) from None
    with container:
        if not container.streams.audio:
            holds = "pictures, but no sound" if container.streams.video else "no audio"
            raise ClientError(f"{shown!r} holds {holds}.", code="no_audio")
        if not container.streams.audio[0].codec_context:  # FFmpeg has no decoder for it
            raise _nothing_in(shown, damaged=True)
        yield container


def _no_media(path: Path, shown: str) -> ClientError:
    """What to say of a file that FFmpeg does not open, or that it may not."""
    with path.open("rb") as file:
        return _something_else(file.read(START_BYTES), shown) or _nothing_in(shown, damaged=True)


def _something_else(start: bytes, shown: str) -> ClientError | None:
    start = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for magic, what in _OTHERS:
        if start.startswith(magic.lower()):
            return ClientError(f"{shown!r} is {what}, no audio.", code="no_audio")
    return None


def _nothing_in(shown: str, *, damaged: bool) -> ClientError:
    what = "is no audio that can be decoded" if damaged else "holds no audio"
    return ClientError(f"{shown!r} {what}.", code="undecodable" if damaged else "no_audio")


def _kind(container: "InputContainer", path: Path) -> str:
    kind = container.format.name.partition(",")[0]
    if kind == "matroska":  # one format to FFmpeg; which of the two it is stands in the first bytes
        with path.open("rb") as file:
            return "webm" if b"webm" in file.read(64) else kind
    return "mp4" if kind == "mov" else kind


def _frames(container: "InputContainer", shown: str) -> Iterator["AudioFrame | None"]:
    """The frames of the first audio stream, None for each packet that cannot be decoded."""
    import av

    stream = container.streams.audio[0]
    protected = _tag(stream) in _PROTECTED
    try:
        for number, packet in enumerate(container.demux(stream)):
            if protected or (number == 0 and packet.has_sidedata("encryption_info")):
                raise ClientError(f"{shown!r} is encrypted; Parley has no key.", code="encrypted")
            try:
                yield from _checked(packet.decode(), shown)
            except av.FFmpegError:
                yield None
    except av.FFmpegError:
        yield None


def _tag(stream: "AudioStream") -> str:
    try:
        return stream.codec_context.codec_tag
    except UnicodeDecodeError:  # four bytes, of which PyAV expects letters
        return ""


def _checked(frames: Sequence["AudioFrame"], shown: str) -> Sequence["AudioFrame"]:
    """`frames`, safe to let go of. Raises ClientError for samples that no sound has."""
    for frame in frames:
        if "(" in (name := frame.layout.name) or name.startswith("ambisonic"):
            _never_freed(frame.layout)
    for frame in frames:
        if frame.sample_rate not in _RATES:
            message = f"{shown!r} has {frame.sample_rate} samples a second; {_RATES[0]} to {_RATES[-1]} are taken."
            raise ClientError(message, code="undecodable")
    return frames


def _never_freed(layout: "AudioLayout") -> None:
    """Leaks some 60 bytes, on purpose.

    A file may list its channels in an order of its own, right before left. PyAV from 17.1 on copies the pointer to that
    list and frees it twice, so that a file of a few bytes ends the process or worse. 19.1 mends it.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(layout))


def _resampled(frames: Iterator["AudioFrame | None"]) -> Iterator[Samples | None]:
    """The samples of `frames`; None for each that is None, or that cannot be brought to mono.

    A file may change its rate or its channels on the way: MP3s that were joined, a station's recording.
    """
    import av

    resampler: AudioResampler | None = None
    form: tuple[str, str, int] | None = None
    for frame in frames:
        if frame is None:
            yield None
            continue
        if (now := (frame.format.name, frame.layout.name, frame.sample_rate)) != form:
            yield from _samples(resampler, None)
            form, resampler = now, av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        try:
            yield from _samples(resampler, frame)
        except av.FFmpegError:  # FFmpeg knows no way from these channels to one
            resampler = None
            yield None
    yield from _samples(resampler, None)


def _samples(resampler: "AudioResampler | None", frame: "AudioFrame | None") -> Iterator[Samples]:
    """What `resampler` gives for `frame`, or has left where there is none."""
    for piece in resampler.resample(frame) if resampler else ():
        yield piece.to_ndarray().reshape(-1).astype(np.int16, copy=False)


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


def _lacks_end(path: Path) -> bool:
    """Whether a WAV or OGG file is shorter than it was made; FFmpeg takes the end of such a file for its length."""
    with path.open("rb") as file:
        match file.read(4):
            case b"RIFF" | b"RF64" | b"BW64":
                return _lacks_wav_end(file, path.stat().st_size)
            case b"OggS":
                return _lacks_ogg_end(file, path.stat().st_size)
    return False


def _lacks_wav_end(file: BinaryIO, size: int) -> bool:
    """By the length that the header names for the samples."""
    place, long_length = 12, 0
    for _ in range(_MOST_CHUNKS):
        file.seek(place)
        head = file.read(24)
        name, length = head[:4], int.from_bytes(head[4:8], "little")
        if name == b"ds64":  # of RF64, whose samples may be more than 4 GiB
            long_length = int.from_bytes(head[16:24], "little")
        if name == b"data":
            named = long_length if length == 0xFFFF_FFFF else length
            known = not any(named in lengths for lengths in _OPEN_ENDED)
            return known and place + 8 + named > size + _HEADER_BYTES
        place += 8 + length + length % 2
    return False


def _lacks_ogg_end(file: BinaryIO, size: int) -> bool:
    """By the last page, which is marked as such, and whole."""
    file.seek(max(0, size - 2 * _OGG_PAGE_BYTES))
    end = file.read()
    page = end[end.rfind(b"OggS\0") :]
    if len(page) < 27 or len(page) < 27 + page[26]:
        return True
    return not page[5] & _OGG_LAST or len(page) < 27 + page[26] + sum(page[27 : 27 + page[26]])


def in_chunks(pieces: Iterator[Samples], size: int) -> Iterator[Samples]:
    """The same samples in chunks of exactly `size`; the last may be shorter. Holds one chunk and one piece."""
    chunk, filled = np.empty(size, np.int16), 0
    for piece in pieces:
        while len(piece):
            taken = min(size - filled, len(piece))
            chunk[filled : filled + taken] = piece[:taken]
            piece, filled = piece[taken:], filled + taken
            if filled == size:
                yield chunk
                chunk, filled = np.empty(size, np.int16), 0
    if filled:
        yield chunk[:filled]


class HashingWriter:
    """Writes to `file` and hashes what goes by, so that a file of gigabytes is not read again for its hash."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size_bytes += len(data)

    @property
    def sha256(self) -> str:
        """Of all that was written, in hexadecimal."""
        return self._hash.hexdigest()
