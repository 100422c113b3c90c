"""The recognisers on real audio: a batch gives each window what it would get alone."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from parley.audio import SAMPLE_RATE, Samples
from parley.errors import EngineError
from parley.settings import EngineSettings
from stream_engine.recognizers.base import Window
from stream_engine.recognizers.faster_whisper import FasterWhisper, load, words_of
from stream_engine.recognizers.pocketsphinx import PocketSphinx
from stream_engine.recognizers.sphinx_process import plain
from stream_engine.windows import Lane, padded_samples
from tests.integration.engine_process import CLIPS, MODEL

AUDIO: list[Samples] = [np.frombuffer(clip.audio, "<i2") for clip in CLIPS]


def window(audio: Samples, lane: Lane, vocabulary: tuple[str, ...] = (), attempt: int = 0) -> Window:
    padded = padded_samples(len(audio), lane, "full", attempt)
    return Window(audio, padded, attempt, timed=lane is not Lane.PARTIAL, vocabulary=vocabulary)


@pytest.fixture(scope="module")
def whisper() -> FasterWhisper:
    return load(MODEL, "mini", "a test", EngineSettings(), "cpu")


@pytest.fixture(scope="module")
def sphinx() -> Iterator[PocketSphinx]:
    recognizer = PocketSphinx("a test")
    yield recognizer
    recognizer.close()


@pytest.mark.parametrize("lane", [Lane.PARTIAL, Lane.FINAL])
def test_every_clip_is_transcribed_exactly(whisper: FasterWhisper, lane: Lane) -> None:
    heard = [whisper.decode([window(audio, lane)])[0].text for audio in AUDIO]
    assert heard == [clip.text for clip in CLIPS]


def test_a_batch_of_many_equals_as_many_singles_word_for_word(whisper: FasterWhisper) -> None:
    cut = [audio[: round(len(audio) * part)] for audio in AUDIO for part in (0.3, 0.6, 1.0)]
    windows = [window(audio, Lane.PARTIAL) for audio in cut] + [window(audio, Lane.FINAL) for audio in AUDIO[:4]]
    windows.append(window(AUDIO[0], Lane.PARTIAL, vocabulary=("door", "problem")))
    windows += [window(audio, Lane.FINAL, attempt=1) for audio in AUDIO[:2]]
    windows += [replace(window(audio, Lane.PARTIAL), timed=True) for audio in AUDIO[:4]]
    together = whisper.decode(windows)
    for each, hypothesis in zip(windows, together, strict=True):
        alone = whisper.decode([each])[0]
        assert [(word.text, word.start, word.end) for word in hypothesis.words] == [
            (word.text, word.start, word.end) for word in alone.words
        ]
        assert hypothesis.suspect == alone.suspect
        assert hypothesis.confidence == pytest.approx(alone.confidence, abs=0.02)


def test_an_english_model_refuses_other_languages(whisper: FasterWhisper) -> None:
    with pytest.raises(EngineError, match="does not know the language 'fr'") as raised:
        whisper.decode([Window(AUDIO[0], 30 * SAMPLE_RATE, language="fr")])
    assert raised.value.code == "unsupported_language"
    assert whisper.info.languages == ("en",)


def test_a_long_vocabulary_leaves_room_for_the_text(whisper: FasterWhisper) -> None:
    words = tuple(f"word{number}" for number in range(200))
    hypothesis = whisper.decode([window(AUDIO[0], Lane.FINAL, vocabulary=words)])[0]
    assert len(hypothesis.words) < 100


def test_punctuation_belongs_to_its_word_and_blanks_divide() -> None:
    alignment = [
        {"word": " Well", "start": 0.1, "end": 0.3, "probability": 1.0000001},
        {"word": "", "start": 0.3, "end": 0.3, "probability": 0.1},
        {"word": " half", "start": 0.4, "end": 0.5, "probability": 0.5},
        {"word": "-hour.", "start": 0.5, "end": 9.0, "probability": 0.5},
    ]
    words = words_of(alignment, SAMPLE_RATE)
    assert [(word.text, word.joins) for word in words] == [("Well", False), ("half", False), ("-hour.", True)]
    assert (words[0].start, words[0].confidence, words[2].end) == (1600, 1.0, SAMPLE_RATE)


def test_characters_of_languages_without_blanks_join() -> None:
    alignment = [{"word": char, "start": 0.0, "end": 0.1, "probability": 0.9} for char in "今日は"]
    assert [word.joins for word in words_of(alignment, SAMPLE_RATE)] == [False, True, True]


def test_pocketsphinx_hears_words_with_times_and_probabilities(sphinx: PocketSphinx) -> None:
    hypothesis = sphinx.decode([window(AUDIO[1], Lane.FINAL)])[0]
    assert hypothesis.text.startswith("please send")
    assert all(0 <= word.confidence <= 1 for word in hypothesis.words)
    assert all(0 <= word.start < word.end <= len(AUDIO[1]) for word in hypothesis.words)
    assert abs(hypothesis.words[-1].end / SAMPLE_RATE - CLIPS[1].end_s) < 0.35


def test_pocketsphinx_hears_a_window_the_same_whatever_came_before(sphinx: PocketSphinx) -> None:
    one, other = window(AUDIO[1], Lane.FINAL), window(AUDIO[2][: SAMPLE_RATE // 2], Lane.FINAL)
    first = sphinx.decode([one])
    sphinx.decode([other])
    assert sphinx.decode([one]) == first


def test_a_doubtful_final_is_worth_another_attempt_and_the_last_attempt_is_not() -> None:
    doubting = load(MODEL, "mini", "a test", EngineSettings(beam_below=-1e-9), "cpu")
    attempts = [doubting.decode([window(AUDIO[0], Lane.FINAL, attempt=attempt)])[0] for attempt in range(3)]
    assert [each.doubtful for each in attempts] == [True, False, False]
    assert attempts[0].text == attempts[1].text == CLIPS[0].text


def test_pocketsphinx_hears_nothing_in_silence(sphinx: PocketSphinx) -> None:
    silence = np.zeros(SAMPLE_RATE, np.int16)
    empty = np.zeros(0, np.int16)
    assert [found.words for found in sphinx.decode([window(silence, Lane.FINAL), window(empty, Lane.FINAL)])] == [
        (),
        (),
    ]


def test_pocketsphinx_knows_english_only(sphinx: PocketSphinx) -> None:
    with pytest.raises(EngineError, match="English only, not 'de'"):
        sphinx.decode([Window(AUDIO[0], len(AUDIO[0]), language="de")])


def test_pocketsphinx_starts_again_when_its_process_dies() -> None:
    recognizer = PocketSphinx("a test")
    try:
        recognizer._process.kill()
        with pytest.raises(EngineError, match="ended with status -9"):
            recognizer.decode([window(AUDIO[1], Lane.FINAL)])
        assert recognizer.decode([window(AUDIO[1], Lane.FINAL)])[0].text.startswith("please send")
    finally:
        recognizer.close()


@pytest.mark.parametrize(
    ("entry", "word"), [("thursday(2)", "thursday"), ("<s>", ""), ("<sil>", ""), ("[NOISE]", ""), ("i'm", "i'm")]
)
def test_dictionary_entries_become_plain_words(entry: str, word: str) -> None:
    assert plain(entry) == word
