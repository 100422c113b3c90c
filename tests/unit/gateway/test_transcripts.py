"""Transcripts as text, SRT and WebVTT."""

from gateway.transcripts import as_srt, as_text, as_vtt
from parley.transcript import Segment, Word

SEGMENTS = [
    Segment(0, 16_000, 32_000, (Word("Hello", 16_000, 20_000, 0.9), Word("there.", 20_000, 30_000, 0.9)), "en", 0.9),
    Segment(1, 40_000, 48_000, (), "en", 0.0),
    Segment(2, 16_000 * 3_661, 16_000 * 3_662 + 8, (Word("A<B&C", 0, 1, 0.9),), "en", 0.9),
]


def test_text_is_one_line_a_segment_with_words() -> None:
    assert as_text(SEGMENTS) == "Hello there.\nA<B&C\n"


def test_srt_numbers_its_cues_and_uses_a_comma() -> None:
    assert as_srt(SEGMENTS) == (
        "1\n00:00:01,000 --> 00:00:02,000\nHello there.\n\n2\n01:01:01,000 --> 01:01:02,000\nA<B&C\n"
    )


def test_vtt_escapes_what_it_reserves() -> None:
    assert as_vtt(SEGMENTS) == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHello there.\n\n01:01:01.000 --> 01:01:02.000\nA&lt;B&amp;C\n"
    )


def test_an_empty_recording_gives_empty_files() -> None:
    assert (as_text([]), as_srt([]), as_vtt([])) == ("", "", "WEBVTT\n")
