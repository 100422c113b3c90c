"""Which clips are scored, how they are put together, and the figures of what was heard."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.scoring import Shown
from benchmarks.speech import MINI_WHISPER
from benchmarks.wer import Sample, main, non_speech_figures, speech_figures
from benchmarks.wer_clips import Clip, joined, load_speech, noisy, repeated, select_speech, spread, why_excluded
from benchmarks.wer_offline import segments
from benchmarks.wer_stream import play_all
from parley.audio import SAMPLE_RATE
from parley.errors import BackendError, ClientError
from parley.segmenter import FRAME

EXAMPLES = MINI_WHISPER / "examples"
SPEECH = {"file": "a.wav", "text": "yes", "language": "en", "kind": "speech", "seconds": 3.0}


def a_clip(text: str, seconds: float = 1.0, language: str = "en") -> Clip:
    return Clip(f"{text}.wav", np.full(int(seconds * SAMPLE_RATE), len(text), np.int16), text, language)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"text": None}, "no trusted transcript"),
        ({"kind": "noise-maybe-voice"}, "no trusted transcript"),
        ({"language": "fi"}, "language unknown to the model"),
        ({"note": "very quiet (peak 0.006)"}, "very quiet"),
        ({"group": "format-variant"}, "the same clip in another format"),
        ({"seconds": 61.0}, "too long"),
    ],
)
def test_only_fair_speech_is_scored(change: dict[str, Any], reason: str | None) -> None:
    assert why_excluded(SPEECH | change, ("en",), 60) == reason


def test_what_is_left_out_is_counted_and_sounds_without_speech_are_no_speech() -> None:
    unnamed = {"file": "b.wav", "text": "no"}
    sound = {"file": "c.wav", "text": "", "kind": "nonspeech"}
    rows, excluded = select_speech([SPEECH, unnamed, sound, SPEECH | {"text": None}], ("en",), "en", 60)
    assert [row["file"] for row in rows] == ["a.wav", "b.wav"]
    assert rows[1]["language"] == "en"
    assert excluded == {"no trusted transcript": 1}


def test_a_few_clips_are_spread_over_all() -> None:
    rows = [{"file": str(number)} for number in range(10)]
    assert [row["file"] for row in spread(rows, 3)] == ["0", "3", "6"]
    assert spread(rows, None) == spread(rows, 99) == rows
    assert spread([], 3) == spread(rows, 0) == []


def test_joined_clips_hold_all_speech_once_with_pauses_in_one_language_each() -> None:
    clips = [a_clip("one"), a_clip("two"), a_clip("three"), a_clip("quatre", language="fr")]
    found = list(joined(clips, seconds=2, longest_pause_s=0.5, seed=0))
    assert sorted(" ".join(clip.text for clip in found).split()) == ["one", "quatre", "three", "two"]
    assert [clip.language for clip in found] == ["en", "en", "fr"]
    assert 2 <= len(found[0].samples) / SAMPLE_RATE <= 3
    again = list(joined(clips, seconds=2, longest_pause_s=0.5, seed=0))
    assert all(np.array_equal(one.samples, other.samples) for one, other in zip(found, again, strict=True))


def test_joined_speech_has_no_silence_of_its_own_around_it() -> None:
    row = {"file": "example00.wav", "text": "x", "seconds": 3.25, "segments": [{"start": 0.48, "end": 2.48}]}
    assert len(load_speech(row, EXAMPLES).samples) / SAMPLE_RATE == pytest.approx(2.2, abs=0.01)


def test_a_sound_is_repeated_until_it_lasts() -> None:
    assert len(repeated(a_clip("bang", 2), 9).samples) == round(3 * (2 + 1.2) * SAMPLE_RATE)
    assert len(repeated(a_clip("bang", 2), 0.1).samples) == round((2 + 1.2) * SAMPLE_RATE)


def test_a_background_lies_below_the_speech_by_so_many_decibels_and_clicks_are_none() -> None:
    tone = np.round(3000 * np.sin(np.arange(4 * SAMPLE_RATE))).astype(np.int16)
    sounds = [a_clip("click", 0.5), Clip("zero.wav", np.zeros(4 * SAMPLE_RATE, np.int16), "", None)]
    sounds.append(Clip("tone.wav", tone, "", None))
    said = np.tile(np.array([1000, -1000], np.int16), SAMPLE_RATE)
    (found,) = noisy([Clip("a.wav", said, "yes", "en")], sounds, snr_db=20)
    assert np.std(found.samples.astype(float) - said) == pytest.approx(100, rel=0.02)
    with pytest.raises(ClientError, match="--non-speech"):
        noisy([a_clip("yes")], sounds[:2], snr_db=20)


def test_whole_segments_are_what_endpointing_makes_of_the_clip() -> None:
    silence, speech = [0.0] * 31, [0.9] * 31
    clip = [*silence, *speech, *silence, *speech]
    found = list(segments(lambda start: clip[start // FRAME :], 124 * FRAME))
    assert [end // FRAME for _, end in found] == [62 + 8, 124]
    assert list(segments(lambda start: silence[start // FRAME :], 31 * FRAME)) == []


def test_a_server_that_is_away_is_named_once_however_many_clips_there_are() -> None:
    with pytest.raises(BackendError, match=r"No Parley answers at http://127\.0\.0\.1:9"):
        play_all("http://127.0.0.1:9", [a_clip("one"), a_clip("two")], streams=2)


def test_the_penalty_is_in_points_and_the_committed_text_counts_as_last_shown() -> None:
    sample = Sample([a_clip("the door is red"), a_clip("yes")], ["The door is red.", "Yes."], [])
    heard = [[Shown([("", "the"), ("The door", "was")], "The store is red.")], [Shown([], "Yes!")]]
    figures = speech_figures(sample, heard)
    assert (figures["wer_offline"], figures["wer_streaming"], figures["wer_penalty_points"]) == (0.0, 0.2, 20.0)
    assert (figures["wer_committed"], figures["churn_committed"], figures["churn_tentative"]) == (0.6, 0.0, 0.5)
    assert (figures["clips"], figures["segments"], figures["words"]) == (2, 2, 5)


def test_words_of_sounds_are_counted_by_the_hour() -> None:
    heard = [[Shown([("Thanks", "for")], "Thanks for it.")], []]
    figures = non_speech_figures([a_clip("", 1800), a_clip("", 1800)], heard)
    assert figures["committed_words_non_speech_per_hour"] == 1
    assert figures["final_words_non_speech_per_hour"] == 3
    assert figures["segments_non_speech"] == 1


def test_what_was_not_played_has_no_figures() -> None:
    assert speech_figures(Sample([], [], []), [])["wer_penalty_points"] is None
    assert non_speech_figures([], [])["final_words_non_speech_per_hour"] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--audio", "nowhere.jsonl"], "The manifest nowhere.jsonl cannot be read"),
        (["--audio", "missing.jsonl"], "There is no file"),
        (["--audio", "nameless.jsonl"], "must be an object with `file`"),
        (["--audio", "foreign.jsonl"], "has no clips to score"),
        (["--model", "."], "must be a folder with a CTranslate2 model"),
        (["--streams", "0"], "must be positive"),
        (["--clips", "-1"], "must not be negative"),
        (["--recognizer", "pocketsphinx", "--final-window", "fit"], "goes with a Whisper model"),
        (["--final-window", "wide"], "must be full, fit or seconds"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    (tmp_path / "missing.jsonl").write_text('{"file": "missing.wav", "text": "yes"}')
    (tmp_path / "nameless.jsonl").write_text('{"text": "yes"}')
    (tmp_path / "foreign.jsonl").write_text('{"file": "a.wav", "text": "ja", "language": "de"}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["wer", *options])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert said in capsys.readouterr().err.splitlines()[-1]
