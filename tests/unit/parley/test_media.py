"""Media files: told by their content; what is none says so; what is cut short gives what it holds."""

import hashlib
import io
import os
import re
import socket
import struct
import subprocess
import sys
import wave
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from parley.audio import SAMPLE_RATE, Samples
from parley.errors import ClientError, TooLarge
from parley.media import EndsEarly, HashingWriter, Media, decode_file, in_chunks, probe


def encoded(
    path: Path,
    codec: str,
    seconds: float = 10.0,
    *,
    rate: int = SAMPLE_RATE,
    pictures: int = 0,
    sound: bool = True,
    options: dict[str, str] | None = None,
) -> Path:
    """Noise, of which every codec makes many packets; with `pictures`, a film."""
    noise = np.random.default_rng(0).integers(-8000, 8000, (1, round(seconds * rate)), np.int16)
    frame = av.AudioFrame.from_ndarray(noise, format="s16", layout="mono")
    frame.sample_rate = rate
    with av.open(str(path), "w", options=options or {}) as container:
        film = container.add_stream("mpeg4", rate=5) if pictures else None
        stream = container.add_stream(codec, rate=rate) if sound else None
        if stream:
            assert isinstance(stream, av.AudioStream)
            stream.layout = "mono"
        if film:
            assert isinstance(film, av.VideoStream)
            film.width = film.height = 32
            for _ in range(pictures):
                container.mux(film.encode(av.VideoFrame(32, 32, "yuv420p")))
            container.mux(film.encode(None))
        if stream:
            assert isinstance(stream, av.AudioStream)
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


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.wav", "pcm_s16le", {}),
        ("a.wav", "pcm_s16le", {"rf64": "always"}),
        ("a.wav", "adpcm_ms", {}),
        ("a.ogg", "libopus", {}),
    ],
)
@pytest.mark.parametrize("part", [1 / 3, 0.9])
def test_a_file_whose_container_takes_any_end_for_its_own_is_told_when_it_is_cut(
    tmp_path: Path, name: str, codec: str, options: dict[str, str], part: float
) -> None:
    path = encoded(tmp_path / name, codec, options=options)
    assert heard(path)[1] is None
    path.write_bytes(path.read_bytes()[: round(path.stat().st_size * part)])
    seconds, error = heard(path)
    assert 10 * part - 1.1 < seconds < 10 * part + 0.1  # a page of OGG is a second
    assert isinstance(error, EndsEarly)
    assert not error.retryable
    assert re.search(rf"' ends early: (it is cut short behind )?{seconds:.1f} s", error.message)


def last_page(data: bytes) -> int:
    return data.rindex(b"OggS")


def test_an_ogg_file_that_ends_with_a_whole_page_which_is_not_its_last_is_cut(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.ogg", "libopus")
    path.write_bytes(path.read_bytes()[: last_page(path.read_bytes())])
    assert isinstance(heard(path)[1], EndsEarly)


@pytest.mark.parametrize("length", [0, 0x7FFF_F000, 0x8000_0000, 0xFFFF_FFFF])
def test_a_wav_whose_writer_could_not_know_its_length_is_whole(tmp_path: Path, length: int) -> None:
    path = encoded(tmp_path / "a.wav", "pcm_s16le", 3)
    data = bytearray(path.read_bytes())
    place = data.index(b"data") + 4
    data[place : place + 4] = data[4:8] = struct.pack("<I", length)
    path.write_bytes(data)
    seconds, error = heard(path)
    assert seconds == pytest.approx(3, abs=0.1)
    assert error is None


def test_a_wav_that_lacks_only_what_stands_behind_its_samples_is_whole(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.wav", "pcm_s16le", 3)
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 9000) + b"INFO")
    assert heard(path)[1] is None


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


@pytest.mark.parametrize(
    ("name", "codec", "kind", "decoder", "rate"),
    [
        ("a.mp3", "libmp3lame", "mp3", "mp3float", 44_100),
        ("a.wav", "pcm_s16le", "wav", "pcm_s16le", 8_000),
        ("a.m4a", "aac", "mp4", "aac", 48_000),
        ("a.aac", "aac", "aac", "aac", 44_100),
        ("a.flac", "flac", "flac", "flac", 96_000),
        ("a.ogg", "libopus", "ogg", "opus", 48_000),
        ("a.opus", "libopus", "ogg", "opus", 48_000),
        ("a.webm", "libopus", "webm", "opus", 48_000),
        ("a.mka", "libopus", "matroska", "opus", 48_000),
    ],
)
def test_a_file_is_told_by_its_content_whatever_it_is_called(
    tmp_path: Path, name: str, codec: str, kind: str, decoder: str, rate: int
) -> None:
    path = encoded(tmp_path / name, codec, 3, rate=rate).rename(tmp_path / "upload.txt")
    found = probe(path)
    assert (found.kind, found.channels, found.sample_rate) == (kind, 1, rate)
    assert found.codec.removeprefix("lib") == decoder
    if kind == "aac":
        assert found.duration_s is None  # the container names none
    else:
        assert found.duration_s == pytest.approx(3, abs=0.1)
    seconds, error = heard(path)
    assert seconds == pytest.approx(3, abs=0.1)
    assert error is None


def test_the_sound_of_a_film_is_taken(tmp_path: Path) -> None:
    path = encoded(tmp_path / "film.mp4", "aac", 3, rate=48_000, pictures=15)
    found = probe(path)
    assert found == Media("mp4", "aac", found.duration_s, 1, 48_000)
    assert found.duration_s == pytest.approx(3, abs=0.1)
    seconds, error = heard(path)
    assert seconds == pytest.approx(3, abs=0.1)
    assert error is None


KEY = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "00112233445566778899aabbccddeeff",
    "encryption_kid": "ffeeddccbbaa99887766554433221100",
}


def bad_files(folder: Path) -> dict[str, tuple[Path, str, str]]:
    """By what is wrong: the file, the code of its error and what the error says."""
    image = folder / "image.png"
    with av.open(str(image), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 16
        stream.pix_fmt = "rgb24"
        container.mux([*stream.encode(av.VideoFrame(16, 16, "rgb24")), *stream.encode(None)])
    film = encoded(folder / "silent.mp4", "aac", pictures=5, sound=False)
    locked = encoded(folder / "locked.m4a", "aac", 3, options=KEY)
    whole = encoded(folder / "whole.m4a", "aac", 3)
    protected = folder / "protected.m4a"
    protected.write_bytes(whole.read_bytes().replace(b"mp4a", b"drms"))
    headless = folder / "headless.m4a"
    headless.write_bytes(whole.read_bytes()[:2000])
    page = folder / "page.mp3"
    page.write_bytes(b"\xef\xbb\xbf \n<!DOCTYPE HTML><title>Sign in</title>")
    empty = folder / "empty.mp3"
    empty.touch()
    silent = folder / "nothing.wav"
    write_empty_wav(silent)
    return {
        "image": (image.rename(folder / "image.mp3"), "no_audio", "is a PNG image, no audio"),
        "film": (film, "no_audio", "holds pictures, but no sound"),
        "locked": (locked, "encrypted", "is encrypted"),
        "protected": (protected, "encrypted", "is encrypted"),
        "headless": (headless, "undecodable", "is no audio that can be decoded"),
        "page": (page, "no_audio", "is a web page, no audio"),
        "empty": (empty, "no_audio", "is empty"),
        "silent": (silent, "no_audio", "holds no audio"),
    }


@pytest.mark.parametrize("wrong", ["image", "film", "locked", "protected", "headless", "page", "empty", "silent"])
def test_what_holds_no_sound_is_refused_with_its_kind_by_its_own_name(tmp_path: Path, wrong: str) -> None:
    path, code, said = bad_files(tmp_path)[wrong]
    for take in (lambda: probe(path, name="call.mp3"), lambda: list(decode_file(path, name="call.mp3"))):
        with pytest.raises(ClientError) as refused:
            take()
        assert (refused.value.code, refused.value.retryable) == (code, False)
        assert refused.value.message.startswith("'call.mp3' " + said)
        assert str(tmp_path) not in refused.value.message


def test_a_playlist_leads_nowhere(tmp_path: Path) -> None:
    """FFmpeg would fetch what an HLS playlist names: other files here, other servers."""
    victim = encoded(tmp_path / "other.ts", "aac", 2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        for target in (f"http://127.0.0.1:{port}/a.ts", victim.name, f"file:{victim}"):
            path = tmp_path / "list.m3u8"
            path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{target}\n#EXT-X-ENDLIST\n")
            with pytest.raises(ClientError, match="is a playlist"):
                probe(path)
            with pytest.raises(ClientError, match="is a playlist"):
                list(decode_file(path))
        listening.settimeout(0.05)
        with pytest.raises(TimeoutError):
            listening.accept()
    listing = tmp_path / "list.txt"
    listing.write_text(f"ffconcat version 1.0\nfile '{victim.name}'\n")
    with pytest.raises(ClientError, match="no audio that can be decoded"):
        probe(listing)


def test_a_name_with_a_colon_is_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded(tmp_path / "a.flac", "flac", 1).rename(tmp_path / "http:10.flac")
    monkeypatch.chdir(tmp_path)
    assert probe(Path("http:10.flac")).kind == "flac"


def test_joined_files_of_other_rates_are_decoded_to_their_end(tmp_path: Path) -> None:
    first = encoded(tmp_path / "1.mp3", "libmp3lame", 2, rate=44_100)
    second = encoded(tmp_path / "2.mp3", "libmp3lame", 2, rate=48_000)
    first.write_bytes(first.read_bytes() + second.read_bytes())
    seconds, _ = heard(first)
    assert seconds == pytest.approx(4, abs=0.2)


@pytest.mark.parametrize(("channels", "rate", "said"), [(32, 16_000, "is no audio that"), (1, 1, "has 1 samples")])
def test_forms_that_no_sound_has_are_refused(tmp_path: Path, channels: int, rate: int, said: str) -> None:
    path = tmp_path / "odd.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, 2, rate, 0, "NONE", ""))
        file.writeframes(bytes(2 * channels * 1000))
    _, error = heard(path)
    assert said in str(error)


@pytest.mark.parametrize("tag", [b"\xab\xcd", b"\x55\x55"])
def test_a_codec_that_nobody_knows_is_told(tmp_path: Path, tag: bytes) -> None:
    path = encoded(tmp_path / "a.wav", "pcm_s16le", 1)
    data = path.read_bytes()
    place = data.index(b"fmt ") + 8
    path.write_bytes(data[:place] + tag + data[place + 2 :])
    for take in (probe, lambda path: list(decode_file(path))):
        with pytest.raises(ClientError, match="is no audio that can be decoded"):
            take(path)


def core_audio(labels: Sequence[int]) -> bytes:
    """A second of silence as CAF, whose channels are in the order of Core Audio's labels: 1 is left, 2 is right."""
    count = len(labels)
    form = struct.pack(">d4sIIIII", 16_000.0, b"lpcm", 2, 2 * count, 1, count, 16)
    order = struct.pack(">III", 0, 0, count) + b"".join(struct.pack(">II3f", label, 0, 0, 0, 0) for label in labels)
    chunks = ((b"desc", form), (b"chan", order), (b"data", bytes(4 + 2 * count * 16_000)))
    return b"caff\0\1\0\0" + b"".join(name + struct.pack(">q", len(data)) + data for name, data in chunks)


@pytest.mark.parametrize("labels", [(1, 2), (2, 1), (4, 3, 1, 2, 6, 5), (2, 1, 2), (400, 401, 402)])
def test_channels_in_an_order_of_their_own_do_no_harm(tmp_path: Path, labels: tuple[int, ...]) -> None:
    """In a process of its own: PyAV frees the list of such channels twice."""
    path = tmp_path / "odd.caf"
    path.write_bytes(core_audio(labels))
    script = (
        "import gc, sys; from pathlib import Path; from parley.media import decode_file, probe\n"
        "for _ in range(10):\n"
        "    assert probe(Path(sys.argv[1])).channels == int(sys.argv[2])\n"
        "    assert sum(map(len, decode_file(Path(sys.argv[1])))) == 16_000; gc.collect()\n"
    )
    command = [sys.executable, "-c", script, str(path), str(len(labels))]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr


def test_a_file_that_goes_on_for_too_long_is_stopped(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.flac", "flac", 3)
    with pytest.raises(TooLarge, match="is longer than 2 s"):
        list(decode_file(path, max_s=2))
    assert list(decode_file(path, max_s=3))


def test_chunks_are_the_same_samples() -> None:
    samples = np.arange(1000, dtype=np.int16)
    pieces = [samples[:3], samples[3:3], samples[3:400], samples[400:]]
    chunks = list(in_chunks(iter(pieces), 90))
    assert [len(chunk) for chunk in chunks] == [90] * 11 + [10]
    assert np.array_equal(np.concatenate(chunks), samples)


def test_what_is_written_on_is_hashed_on_the_way() -> None:
    file = io.BytesIO()
    writer = HashingWriter(file)
    for piece in (b"one", b"", b"two"):
        writer.write(piece)
    assert (file.getvalue(), writer.size_bytes) == (b"onetwo", 6)
    assert writer.sha256 == hashlib.sha256(b"onetwo").hexdigest()


def lengthened(source: Path, path: Path, seconds: float) -> Path:
    """`source` over and over, without encoding it again."""
    with av.open(str(source)) as short, av.open(str(path), "w") as long:
        sound = short.streams.audio[0]
        target = long.add_stream_from_template(sound)
        packets = [packet for packet in short.demux(sound) if packet.dts is not None]
        data = [bytes(packet) for packet in packets]
        step, base = packets[2].duration or 0, packets[2].time_base
        for number in range(round(seconds / (step * base))):
            packet = av.Packet(data[2 + number % (len(data) - 3)])
            packet.pts = packet.dts = number * step
            packet.time_base, packet.duration, packet.stream = base, step, target
            packet.is_keyframe = True
            long.mux(packet)
    return path


DECODES = """
import re, sys
from pathlib import Path
from parley.media import decode_file, in_chunks
window = 30 * 16000
samples = sum(map(len, in_chunks(decode_file(Path(sys.argv[1])), window)))
peak_kb = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(samples / 16000, int(peak_kb) / 1024)
"""
"""Not by `getrusage`, whose peak includes that of the parent before `exec`."""


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_memory_does_not_grow_with_the_length_of_a_file(tmp_path: Path) -> None:
    """An hour more costs the index of an MP4, tens of bytes for each of 16 to 47 packets a second, and no samples."""
    short = encoded(tmp_path / "a.m4a", "aac", 3)
    used_mb = []
    for minutes in (1, 61):
        path = lengthened(short, tmp_path / f"{minutes}.m4a", minutes * 60)
        run = subprocess.run([sys.executable, "-c", DECODES, str(path)], check=True, capture_output=True, timeout=60)
        seconds, megabytes = map(float, run.stdout.split())
        assert seconds == pytest.approx(minutes * 60, rel=0.01)
        used_mb.append(megabytes)
    assert used_mb[1] - used_mb[0] < 20
    assert used_mb[1] < 250
