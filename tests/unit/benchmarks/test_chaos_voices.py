"""What the sessions of a chaos round say is the same every time, and what must be stored of it is known."""

import numpy as np
import pytest

from benchmarks.chaos.voices import CHUNK_S, FORMATS, Voice, decoded, voices
from parley.audio import SAMPLE_RATE


@pytest.fixture(scope="module")
def some() -> tuple[Voice, ...]:
    return voices(8, 6.0)


def test_the_same_voices_come_every_time(some: tuple[Voice, ...]) -> None:
    assert [voice.chunks for voice in voices(8, 6.0)] == [voice.chunks for voice in some]
    assert len({voice.chunks for voice in some}) == len(some)


def test_the_chunks_are_the_audio_that_is_to_be_stored(some: tuple[Voice, ...]) -> None:
    for voice in some:
        assert np.array_equal(decoded(b"".join(voice.chunks), voice.audio_format), voice.expected)
        assert voice.seconds == pytest.approx(6.0, abs=0.01)
        assert len(voice.chunks) == pytest.approx(6.0 / CHUNK_S, abs=1)
        assert all(len(chunk) % voice.audio_format.bytes_per_frame == 0 for chunk in voice.chunks)


def test_formats_and_finalize_are_among_them(some: tuple[Voice, ...]) -> None:
    assert {voice.audio_format for voice in some} == set(FORMATS)
    assert any(voice.finalizes for voice in some)
    assert all(number <= len(voice.chunks) for voice in some for number in voice.finalizes)


def test_someone_speaks_in_each_and_the_spans_say_when(some: tuple[Voice, ...]) -> None:
    for voice in some:
        start, end = voice.spans[0]
        assert voice.speaks_at((start + end) / 2 / SAMPLE_RATE)
        assert not voice.speaks_at(start / SAMPLE_RATE - 0.05)
        assert np.abs(voice.expected[start:end]).max() > 1000
