"""Where the speech is, in the audio that the benchmarks play."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from benchmarks.speech import MINI_WHISPER, PAUSE_S, Corpus, Speech, speech_spans
from parley.audio import SAMPLE_RATE
from parley.errors import ClientError
from parley.segmenter import FRAME

EXAMPLES = MINI_WHISPER / "examples" / "manifest.jsonl"


def test_a_short_silence_belongs_to_the_speech_around_it() -> None:
    assert speech_spans([0.0, *[0.9] * 5, *[0.1] * 10, *[0.9] * 5, 0.1]) == ((FRAME, 21 * FRAME),)


def test_a_long_silence_divides_speech() -> None:
    assert speech_spans([*[0.9] * 5, *[0.1] * 16, *[0.9] * 5]) == ((0, 5 * FRAME), (21 * FRAME, 26 * FRAME))


def test_a_click_is_no_speech() -> None:
    assert speech_spans([0.1, 0.9, 0.1]) == ()


def test_the_next_and_the_last_sample_of_speech() -> None:
    speech = Speech(np.zeros(400, np.int16), ((10, 100), (200, 300)))
    assert [speech.next_sample(after) for after in (0, 10, 50, 100, 250, 300)] == [10, 10, 50, 200, 250, None]
    assert speech.last_end(0, 350) == 300
    assert speech.last_end(0, 299) == 100
    assert speech.last_end(100, 299) is None


def test_clips_follow_each_other_with_pauses_and_known_times() -> None:
    corpus = Corpus(EXAMPLES)
    speech = corpus.speech(10, first=0)
    assert len(speech.samples) >= 10 * SAMPLE_RATE
    first = json.loads(EXAMPLES.read_text().splitlines()[0])["segments"][0]
    assert speech.spans[0] == (int(first["start"] * SAMPLE_RATE), int(first["end"] * SAMPLE_RATE))
    assert all(start >= end + 0.4 * SAMPLE_RATE for (_, end), (start, _) in pairwise(speech.spans))
    assert np.abs(speech.samples[-int(PAUSE_S * SAMPLE_RATE) :]).max() < 40
    assert corpus.speech(10, first=0) is speech


def test_unknown_times_are_found_by_the_detector(tmp_path: Path) -> None:
    entry = json.loads(EXAMPLES.read_text().splitlines()[0])
    (tmp_path / entry["file"]).symlink_to(EXAMPLES.parent / entry["file"])
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(json.dumps({"file": entry["file"], "kind": "speech", "seconds": entry["seconds"]}))
    (span,) = Corpus(manifest).speech(1, first=0).spans
    (known,) = entry["segments"]
    assert span[0] / SAMPLE_RATE == pytest.approx(known["start"], abs=0.2)
    assert span[1] / SAMPLE_RATE == pytest.approx(known["end"], abs=0.3)


@pytest.mark.parametrize("text", ["", "no json", '{"file": "a.wav", "kind": "noise", "seconds": 5}'])
def test_a_manifest_without_speech_is_refused(tmp_path: Path, text: str) -> None:
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text(text)
    with pytest.raises(ClientError, match="manifest"):
        Corpus(manifest)
