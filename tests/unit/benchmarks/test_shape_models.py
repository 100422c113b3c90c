"""The shape models cost what Whisper costs: its architecture exactly, and one known sentence out of any audio."""

from dataclasses import replace
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
from ctranslate2.specs import WhisperSpec

from benchmarks.shape_models import SEED, SHAPES, write_shape_model
from benchmarks.shape_tokenizer import LONG_PIECES, SENTENCE, Vocabulary, build_vocabulary, successors
from benchmarks.shape_weights import fill
from parley.audio import SAMPLE_RATE
from parley.settings import EngineSettings
from parley.transcript import Hypothesis
from stream_engine.recognizers.base import Window
from stream_engine.recognizers.faster_whisper import FasterWhisper, load

WORDS = SENTENCE.split()


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> FasterWhisper:
    folder = tmp_path_factory.mktemp("shape") / "tiny"
    write_shape_model("tiny", folder)
    return load(folder, "tiny's shape", "test", EngineSettings(cpu_threads=1), "cpu")


def window(seconds: float, *, timed: bool, padded_s: int, language: str | None = "en") -> Window:
    noise = np.random.default_rng(1).standard_normal(int(seconds * SAMPLE_RATE)) * 1_000
    return Window(noise.astype(np.int16), padded_s * SAMPLE_RATE, timed=timed, language=language)


def text(hypothesis: Hypothesis) -> list[str]:
    return [word.text for word in hypothesis.words]


def test_a_long_window_gets_the_sentence_with_the_times_of_its_words(recognizer: FasterWhisper) -> None:
    (hypothesis,) = recognizer.decode([window(9, timed=True, padded_s=9)])
    assert text(hypothesis) == WORDS
    assert not hypothesis.suspect
    assert hypothesis.confidence > 0.8
    assert hypothesis.no_speech < 0.01
    starts = [word.start / SAMPLE_RATE for word in hypothesis.words]
    assert starts == sorted(starts)
    assert starts[-1] == pytest.approx(19 / 3, abs=0.7)


def test_a_short_window_gets_as_many_words_as_speech_of_its_length_has(recognizer: FasterWhisper) -> None:
    (hypothesis,) = recognizer.decode([window(2, timed=False, padded_s=2)])
    assert text(hypothesis) in (WORDS[:5], WORDS[:6], WORDS[:7])


def test_the_sentence_is_the_same_after_a_prompt(recognizer: FasterWhisper) -> None:
    prompted = window(9, timed=False, padded_s=9)
    prompted = replace(prompted, vocabulary=("Parley", "speed"))
    assert text(recognizer.decode([prompted])[0]) == WORDS


def test_a_batch_of_several_languages_and_lengths_equals_as_many_singles(recognizer: FasterWhisper) -> None:
    windows = [
        window(seconds, timed=timed, padded_s=padded_s, language=language)
        for language in ("en", "de", None)
        for seconds, padded_s, timed in ((1.5, 2, False), (1.5, 2, True), (3, 4, False), (3, 4, True))
    ]
    together = recognizer.decode(windows)
    alone = [recognizer.decode([each])[0] for each in windows]
    assert [each.language for each in together] == [each.language for each in alone]
    for one, other in zip(together, alone, strict=True):
        assert [(word.text, word.start, word.end) for word in one.words] == [
            (word.text, word.start, word.end) for word in other.words
        ]
        assert one.confidence == pytest.approx(other.confidence, abs=0.02)


def test_the_language_is_english_where_none_is_given(recognizer: FasterWhisper) -> None:
    (hypothesis,) = recognizer.decode([window(2, timed=False, padded_s=2, language=None)])
    assert hypothesis.language == "en"


@pytest.mark.parametrize(("size", "end_of_text"), [(51_865, 50_257), (51_866, 50_257)])
def test_special_tokens_are_where_whisper_has_them(size: int, end_of_text: int) -> None:
    vocabulary = build_vocabulary(size)
    assert len(vocabulary.tokens) == len(set(vocabulary.tokens)) == size
    shift = size - 51_865
    ids = {
        "<|endoftext|>": end_of_text,
        "<|startoftranscript|>": 50_258,
        "<|en|>": 50_259,
        "<|su|>": 50_357,
        "<|transcribe|>": 50_359 + shift,
        "<|notimestamps|>": 50_363 + shift,
        "<|0.00|>": 50_364 + shift,
        "<|30.00|>": 51_864 + shift,
        "Ġ": 220,
    }
    assert {token: vocabulary[token] for token in ids} == ids


def test_each_token_of_the_sentence_has_one_successor_and_the_last_ends_the_text() -> None:
    vocabulary = build_vocabulary(51_865)
    follows = successors(vocabulary)
    token, written = vocabulary["<|notimestamps|>"], list[int]()
    while (token := follows[token]) != vocabulary["<|endoftext|>"]:
        written.append(token)
    assert vocabulary.tokenizer.decode(written).strip() == SENTENCE


def test_weights_have_the_shapes_of_whisper_tiny(recognizer: FasterWhisper) -> None:
    shape, vocabulary = SHAPES["tiny"], build_vocabulary(51_865)
    spec = filled(vocabulary)
    assert (len(spec.encoder.layer), len(spec.decoder.layer), shape.heads) == (4, 4, 6)
    assert spec.encoder.conv1.weight.shape == (384, 80, 3)
    assert spec.encoder.conv2.weight.shape == (384, 384, 3)
    assert spec.encoder.position_encodings.encodings.shape == (1_500, 384)
    assert spec.decoder.position_encodings.encodings.shape == (448, 384)
    assert spec.decoder.embeddings.weight.shape == (51_865, 384)
    assert spec.decoder.projection.weight is spec.decoder.embeddings.weight
    assert spec.encoder.layer[0].self_attention.linear[0].weight.shape == (3 * 384, 384)
    assert spec.decoder.layer[3].attention.linear[1].weight.shape == (2 * 384, 384)
    assert spec.decoder.layer[3].ffn.linear_0.weight.shape == (1_536, 384)


def test_no_weight_is_a_shortcut_for_the_processor() -> None:
    spec = filled(build_vocabulary(51_865))
    weight = spec.encoder.layer[2].ffn.linear_0.weight
    assert not np.any(weight == 0)
    assert np.abs(weight).min() > np.finfo(np.float32).tiny


def filled(vocabulary: Vocabulary) -> WhisperSpec:
    shape = SHAPES["tiny"]
    spec = WhisperSpec(shape.encoder_layers, shape.heads, shape.decoder_layers, shape.heads)
    fill(spec, shape, vocabulary, SEED)
    return spec


def test_the_model_file_says_that_it_is_for_speed_only(tmp_path: Path) -> None:
    write_shape_model("tiny", tmp_path, "float32")
    assert "speed only" in (tmp_path / "SPEED-TEST-ONLY.txt").read_text()
    assert ctranslate2.contains_model(str(tmp_path))


def test_an_unknown_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'huge'"):
        write_shape_model("huge", tmp_path)


def test_the_long_sentence_fills_a_window_and_each_token_has_one_successor() -> None:
    vocabulary = build_vocabulary(51_865, LONG_PIECES)
    assert len(vocabulary.sentence) == len(set(vocabulary.sentence)) == len(LONG_PIECES)
    assert 80 <= len(vocabulary.sentence) <= 3 * 30
