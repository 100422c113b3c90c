"""The one audio form inside: every encoding, rate and channel count becomes int16 mono at 16 kHz."""

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.audio import SAMPLE_RATE, AudioFormat, Encoding, StreamDecoder, resume_point, to_float32
from parley.errors import ClientError

TONE = (0.4 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.float32)


def encode(samples: np.ndarray, encoding: Encoding) -> bytes:
    match encoding:
        case "pcm_f32le":
            return samples.astype("<f4").tobytes()
        case "pcm_s16le":
            return (samples * 32767).astype("<i2").tobytes()
        case "mulaw" | "alaw":
            return g711_encode((samples * 32767).astype(np.int16), encoding)


def g711_encode(samples: np.ndarray, encoding: str) -> bytes:
    """FFmpeg's encoder: an independent statement of ITU-T G.711."""
    codec = av.CodecContext.create(f"pcm_{encoding}", "w")
    codec.sample_rate, codec.format, codec.layout = 8000, "s16", "mono"  # type: ignore[attr-defined]
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = 8000
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])  # type: ignore[attr-defined]


def decode(fmt: AudioFormat, data: bytes, cuts: list[int]) -> np.ndarray:
    decoder, pieces, position = StreamDecoder(fmt), [], 0
    for cut in [*sorted(cuts), len(data)]:
        cut -= cut % fmt.bytes_per_frame
        pieces.append(decoder.feed(data[position:cut]))
        position = cut
    return np.concatenate([*pieces, decoder.flush()])


@pytest.mark.parametrize("encoding", ["mulaw", "alaw"])
def test_every_g711_code_decodes_as_ffmpeg_decodes_it(encoding: Encoding) -> None:
    codec = av.AudioCodecContext.create(f"pcm_{encoding}", "r")
    assert isinstance(codec, av.AudioCodecContext)
    codec.sample_rate, codec.layout = 16_000, "mono"
    codes = bytes(range(256))
    [frame] = codec.decode(av.Packet(codes))
    decoded = StreamDecoder(AudioFormat(SAMPLE_RATE, encoding, 1)).feed(codes)
    assert np.array_equal(decoded, frame.to_ndarray().reshape(-1))


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le", "mulaw", "alaw"])
@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_second_of_audio_becomes_16000_samples_of_the_same_tone(encoding: Encoding, rate: int, channels: int) -> None:
    tone = (0.4 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.float32)
    data = encode(np.repeat(tone, channels), encoding)
    heard = decode(AudioFormat(rate, encoding, channels), data, [])
    assert len(heard) == SAMPLE_RATE
    spectrum = np.abs(np.fft.rfft(to_float32(heard)))
    assert int(spectrum.argmax()) == 440
    assert 0.35 < np.abs(to_float32(heard)[2000:-2000]).max() < 0.45


@given(
    cuts=st.lists(st.integers(0, 20_000), max_size=30),
    rate=st.sampled_from([8_000, 16_000, 44_100, 48_000]),
    channels=st.sampled_from([1, 2]),
)
def test_where_the_bytes_were_cut_does_not_change_the_samples(cuts: list[int], rate: int, channels: int) -> None:
    data = encode(TONE[:10_000], "pcm_s16le")
    fmt = AudioFormat(rate, "pcm_s16le", channels)
    assert np.array_equal(decode(fmt, data, cuts), decode(fmt, data, []))


def test_int16_at_16_khz_passes_unchanged() -> None:
    samples = np.arange(-32768, 32768, dtype=np.int16)
    assert np.array_equal(StreamDecoder(AudioFormat(SAMPLE_RATE, "pcm_s16le", 1)).feed(samples.tobytes()), samples)


def test_floats_beyond_one_are_clipped() -> None:
    decoder = StreamDecoder(AudioFormat(SAMPLE_RATE, "pcm_f32le", 1))
    heard = decoder.feed(np.array([2.0, -2.0, 0.5], "<f4").tobytes())
    assert heard.tolist() == [32767, -32768, 16384]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_sample_that_is_no_number_is_refused_with_its_place(bad: float) -> None:
    decoder = StreamDecoder(AudioFormat(SAMPLE_RATE, "pcm_f32le", 1))
    with pytest.raises(ClientError, match=r"Sample 2 of an audio message is -?(nan|inf)"):
        decoder.feed(np.array([0, 0, bad], "<f4").tobytes())


def test_half_a_sample_is_refused_with_its_size() -> None:
    with pytest.raises(ClientError, match="3 bytes is no whole number of samples"):
        StreamDecoder(AudioFormat(SAMPLE_RATE, "pcm_s16le", 1)).feed(b"abc")


@pytest.mark.parametrize(
    ("rate", "encoding", "channels", "named"),
    [
        (7_999, "pcm_s16le", 1, "7999"),
        (48_001, "pcm_s16le", 1, "48001"),
        (16_000, "mp3", 1, "mp3"),
        (16_000, "alaw", 3, "3"),
    ],
)
def test_a_format_out_of_range_is_refused_with_its_value(
    rate: int, encoding: Encoding, channels: int, named: str
) -> None:
    with pytest.raises(ClientError, match=named):
        AudioFormat(rate, encoding, channels)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000])
def test_a_decoder_that_begins_where_a_sender_resumes_gives_the_same_samples_to_the_last_bit(rate: int) -> None:
    audio_format = AudioFormat(rate, "pcm_f32le", 1)
    noise = np.random.default_rng(rate).standard_normal(rate * 20).astype("<f4") / 10
    usual = StreamDecoder(audio_format).feed(noise.tobytes())
    for durable in (16_000, 77_777, 123_456):
        next_sample = resume_point(durable, rate)
        assert next_sample * rate % SAMPLE_RATE == 0
        resumed = StreamDecoder(audio_format, skip=durable - next_sample)
        again = resumed.feed(noise[next_sample * rate // SAMPLE_RATE :].tobytes())
        both = min(len(again), len(usual) - durable)
        assert np.array_equal(again[:both], usual[durable : durable + both])


@given(
    st.lists(st.integers(1, 9_000), min_size=1, max_size=12), st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000])
)
def test_how_much_is_decoded_depends_only_on_how_much_came(counts: list[int], rate: int) -> None:
    """So a `finalize` stands in the same place of the recording, however it was sent, and sent again."""
    whole, pieces = (StreamDecoder(AudioFormat(rate, "pcm_f32le", 1)) for _ in range(2))
    at_once = len(whole.feed(bytes(4 * sum(counts))))
    assert sum(len(pieces.feed(bytes(4 * count))) for count in counts) == at_once
    assert 0 <= sum(counts) * SAMPLE_RATE // rate - at_once <= 0.12 * SAMPLE_RATE


def test_a_resumed_decoder_knows_when_it_is_beyond_what_is_there_already() -> None:
    """A `finalize` that is said again before that was heeded the first time."""
    durable = 20_000
    next_sample = resume_point(durable, 48_000)
    decoder = StreamDecoder(AudioFormat(48_000, "pcm_s16le", 1), skip=durable - next_sample)
    needed = 3 * (durable - next_sample) + 3 * SAMPLE_RATE * 3 // 25
    decoder.feed(bytes(2 * (needed - 3)))
    caught_up = [not decoder.is_catching_up]
    assert len(decoder.feed(bytes(2 * 3))) == 0
    caught_up.append(not decoder.is_catching_up)
    assert caught_up == [False, True]
    assert len(decoder.feed(bytes(2 * 3))) == 1
