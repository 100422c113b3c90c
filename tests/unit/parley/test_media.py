"""Audio files: what is none says so; what is cut short gives what it holds."""

import os
import wave
from pathlib import Path

import av
import numpy as np
import pytest

from parley.audio import SAMPLE_RATE, Samples
from parley.errors import ClientError
from parley.media import EndsEarly, decode_file


def encoded(path: Path, codec: str, seconds: float = 10.0) -> Path:
    """Noise, of which every codec makes many packets."""
    noise = np.random.default_rng(0).integers(-8000, 8000, (1, round(seconds * SAMPLE_RATE)), np.int16)
    frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=SAMPLE_RATE)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


def heard(path: Path) -> tuple[float, Exception | None]:
    """Seconds that were decoded, and the error behind them."""
    pieces: list[Samples] = []
    try:
        pieces.extend(decode_file(path))
        return sum(map(len, pieces)) / SAMPLE_RATE, None
    except ClientError as error:
        return sum(map(len, pieces)) / SAMPLE_RATE, error


@pytest.mark.parametrize(("name", "codec"), [("a.flac", "flac"), ("a.mp3", "libmp3lame")])
def test_a_file_that_is_cut_short_gives_what_it_holds_and_says_so(tmp_path: Path, name: str, codec: str) -> None:
    path = encoded(tmp_path / name, codec)
    seconds, error = heard(path)
    assert seconds == pytest.approx(10, abs=0.1)
    assert error is None
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    pieces = decode_file(path)
    assert len(next(pieces)) > 0
    with pytest.raises(EndsEarly, match=r"ends early: [45]\.\d s of 10\.\d s could be decoded"):
        list(pieces)


def test_a_hole_in_the_middle_does_not_end_a_file(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp3", "libmp3lame")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = b"\x5a\xff" * 2000
    path.write_bytes(data)
    seconds, error = heard(path)
    assert seconds > 8
    assert isinstance(error, EndsEarly)


def write_empty_wav(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(b"")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (bytes(range(256)) * 64, "is no audio that can be decoded"),
        (b"no music at all\n" * 100, "is no audio that can be decoded"),
    ],
)
def test_what_is_no_audio_is_told_by_its_kind(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "file.mp3").write_bytes(content)
    _, error = heard(tmp_path / "file.mp3")
    assert said in str(error)
    assert "Errno" not in str(error)


def test_a_folder_a_device_and_a_file_without_samples_are_told(tmp_path: Path) -> None:
    write_empty_wav(tmp_path / "none.wav")
    for path, said in (
        (tmp_path, "is a folder"),
        (Path(os.devnull), "is no regular file"),
        (tmp_path / "none.wav", "holds no audio"),
        (tmp_path / "nothing.wav", "There is no file"),
    ):
        assert said in str(heard(path)[1])
