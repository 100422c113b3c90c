"""A file's segments: those of a live session in the same audio, wherever it is cut and wherever one goes on."""

import numpy as np
import pytest

from batch.transcription.speech import Piece, Speech, detector
from gateway.vad import VoiceActivityDetector
from parley.audio import SAMPLE_RATE, Samples
from parley.media import decode_file
from parley.segmenter import Checkpoint, SegmentEnded, Segmenter, SegmentEvent, SegmentStarted
from parley.settings import SegmenterSettings
from parley.tasks import background
from tests.conftest import CLIPS

SETTINGS = SegmenterSettings(max_segment_s=4)
"""So that some are cut for their length."""


@pytest.fixture(scope="module")
def talk() -> Samples:
    """Clips with pauses from none to a second, and half a frame at the end."""
    pieces: list[Samples] = []
    for index, clip in enumerate(CLIPS):
        pieces += decode_file(clip.path)
        pieces.append(np.zeros(index % 3 * SAMPLE_RATE // 2, np.int16))
    joined = np.concatenate(pieces)
    return joined[: len(joined) // 512 * 512 - 256]


def found(samples: Samples, chunk: int, checkpoint: Checkpoint | None = None) -> list[Piece]:
    speech = Speech(detector(), SETTINGS, checkpoint or Checkpoint())
    pieces: list[Piece] = []
    for start in range(speech.begin, len(samples), chunk):
        pieces += speech.feed(samples[start : start + chunk])
    return pieces + speech.finish()


def places(pieces: list[Piece]) -> list[tuple[int, int, int, Checkpoint]]:
    return [(piece.number, piece.start, piece.end, piece.checkpoint) for piece in pieces]


def test_where_the_audio_is_cut_changes_nothing(talk: Samples) -> None:
    whole = found(talk, len(talk))
    assert len(whole) > len(CLIPS)
    assert any(piece.checkpoint.continues for piece in whole)
    for chunk in (1_000, 16_000, 160_000):
        assert places(found(talk, chunk)) == places(whole)


def test_a_piece_has_the_samples_of_its_place(talk: Samples) -> None:
    for piece in found(talk, 160_000):
        np.testing.assert_array_equal(piece.samples, talk[piece.start : piece.end])


def test_whoever_goes_on_from_any_checkpoint_finds_the_rest(talk: Samples) -> None:
    whole = found(talk, 160_000)
    for index, piece in enumerate(whole):
        assert places(found(talk, 50_000, piece.checkpoint)) == places(whole[index + 1 :])


async def test_a_live_session_finds_the_same(talk: Samples) -> None:
    segmenter, events = Segmenter(SETTINGS), list[SegmentEvent]()
    ends: list[SegmentEnded] = []

    def apply(new: list[SegmentEvent]) -> None:
        events.extend(new)
        for event in new:
            if isinstance(event, SegmentEnded):
                ends.append(event)
                stream.restart(talk[event.checkpoint.position :])

    live = VoiceActivityDetector(detector(), tick_ms=0)
    stream = live.open(lambda probabilities: apply(segmenter.feed(probabilities)))
    async with background(live.run()):
        stream.feed(talk)
        await stream.settled()
        stream.pad()
        await stream.settled()
    apply(segmenter.finalize(len(talk), "stop"))
    starts = [event.start for event in events if isinstance(event, SegmentStarted)]
    heard = [
        (end.number, start, end.checkpoint.within(len(talk)).last_end) for start, end in zip(starts, ends, strict=True)
    ]
    assert heard == [(piece.number, piece.start, piece.end) for piece in found(talk, 160_000)]


def test_silence_and_nothing_at_all_hold_no_speech() -> None:
    assert found(np.zeros(3 * SAMPLE_RATE, np.int16), 16_000) == []
    assert found(np.zeros(0, np.int16), 16_000) == []
