"""Whisper through faster-whisper and CTranslate2, many windows in one call.

faster-whisper loads the model and gives prompts, features and word alignment; the batches are our own, because its
`transcribe` decodes one file at a time. Windows are grouped so that each gets what it would get alone: one padded
length, one language and task, and `<|startoftranscript|>` at one position of the prompt, which CTranslate2 asks for.
"""

import itertools
import math
import os
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ctranslate2 import StorageView
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_compression_ratio, get_suppressed_tokens, merge_punctuations

from parley.audio import SAMPLE_RATE, to_float32
from parley.errors import EngineError
from parley.guards import Evidence, judge
from parley.settings import EngineSettings
from parley.transcript import Hypothesis, Word
from parley.transcript import Recognizer as RecognizerInfo
from stream_engine.recognizers.base import Task, Window

_SHORTEST = SAMPLE_RATE // 10
"""Samples below which the spectrogram has too few frames; shorter windows are filled up with silence."""
_MAX_TOKENS = 448
_TOKENS_PER_S = 15
"""More than anyone says in a second (English: about 5), so it only stops runaway repetition in short windows."""
_LEAST_NEW_TOKENS = 32
_PREPENDED = "\"'“¿([{-"
_APPENDED = "\"'.。,，!！?？:：”)]}、"
"""Punctuation that belongs to the word after or before it: faster-whisper's defaults."""

_SMALL_MODEL_BYTES = 200_000_000
"""Between the files of `base` (145 MB in float16) and `small` (484 MB)."""

Floats = npt.NDArray[np.float32]
_Alignment = list[dict[str, Any]]


class _Prompt(NamedTuple):
    language: str | None
    task: Task
    tokens: tuple[int, ...]
    start: int


class FasterWhisper:
    """One Whisper model on one device."""

    def __init__(self, model: WhisperModel, info: RecognizerInfo, settings: EngineSettings, replicas: int) -> None:
        self.replicas = replicas
        self._model = model
        self._info = info
        self._beam_below = settings.beam_below
        self._language_threshold = settings.language_threshold
        self._attempts = attempts(settings)
        self._tokenizers: dict[tuple[str, Task], Tokenizer] = {}

    @property
    def info(self) -> RecognizerInfo:
        return self._info

    @cached_property
    def _eot(self) -> int:
        return int(self._tokenizer("en", "transcribe").eot)

    @cached_property
    def _suppressed(self) -> list[int]:
        return list(get_suppressed_tokens(self._tokenizer("en", "transcribe"), [-1]))

    def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
        groups: dict[object, list[int]] = defaultdict(list)
        for index, window in enumerate(windows):
            prompt = self._prompt(window, window.language)
            alike = (window.padded, window.attempt, window.language, window.task, prompt.start)
            groups[alike].append(index)
        hypotheses: dict[int, Hypothesis] = {}
        for members in groups.values():
            group = self._decode_group([windows[index] for index in members])
            hypotheses.update(zip(members, group, strict=True))
        return [hypotheses[index] for index in range(len(windows))]

    def close(self) -> None:
        """Nothing to let go of: the model's memory goes with the object."""

    def _decode_group(self, windows: list[Window]) -> list[Hypothesis]:
        encoded = self._encode([self._features(window) for window in windows])
        languages = self._languages(windows, encoded)
        prompts = [self._prompt(window, language) for window, language in zip(windows, languages, strict=True)]
        results = self._model.model.generate(
            encoded,
            [list(prompt.tokens) for prompt in prompts],
            **self._attempts[min(windows[0].attempt, len(self._attempts) - 1)],
            max_length=_max_length(prompts, windows[0].padded),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=self._suppressed,
        )
        tokens = [self._text_tokens(result.sequences_ids[0]) for result in results]
        alignments = self._alignments(windows, languages, results, tokens, encoded)
        return [self._hypothesis(*each) for each in zip(windows, languages, results, tokens, alignments, strict=True)]

    def _encode(self, features: list[Floats]) -> StorageView:
        """The encoder's output for windows of one length, shape (n, frames / 2, width).

        On a CPU one after the other: a batch of short windows falls out of the cache (tiny's shape, 4 s, one thread:
        24 ms a window in a batch of four, 18 ms alone).
        """
        if self._info.device != "cpu" or len(features) == 1:
            return self._model.encode(np.stack(features))
        alone = [np.asarray(self._model.encode(one[None])) for one in features]
        return StorageView.from_array(np.concatenate(alone))

    def _features(self, window: Window) -> Floats:
        """Log-mel spectrogram, float32, shape (mels, padded / 160), filled up with zeros as faster-whisper does."""
        audio = to_float32(window.samples)
        if len(audio) < _SHORTEST:
            audio = np.pad(audio, (0, _SHORTEST - len(audio)))
        extractor = self._model.feature_extractor
        frames = window.padded // extractor.hop_length
        features: Floats = pad_or_trim(extractor(audio), frames).astype(np.float32, copy=False)
        return features

    def _languages(self, windows: list[Window], encoded: object) -> list[str]:
        """The language of each window of a group, detected where none is given."""
        given = windows[0].language
        if given is not None or not self._model.model.is_multilingual:
            return [given or "en"] * len(windows)
        detected = self._model.model.detect_language(encoded)
        return [self._language(window, *ranked[0]) for window, ranked in zip(windows, detected, strict=True)]

    def _language(self, window: Window, token: str, probability: float) -> str:
        """The language of a window in which `token` is the one that Whisper holds for most probable."""
        if probability < self._language_threshold and window.likely in self._info.languages:
            return window.likely
        return token.strip("<|>")

    def _tokenizer(self, language: str, task: Task) -> Tokenizer:
        key = (language, task)
        if key not in self._tokenizers:
            self._tokenizers[key] = Tokenizer(
                self._model.hf_tokenizer, self._model.model.is_multilingual, task=task, language=language
            )
        return self._tokenizers[key]

    def _prompt(self, window: Window, language: str | None) -> _Prompt:
        """The tokens before the text, and where the transcript starts in them, whatever the language."""
        if language is not None and language not in self._info.languages:
            raise EngineError(
                f"The model {self._info.model} does not know the language {language!r}.",
                code="unsupported_language",
                retryable=False,
            )
        tokenizer = self._tokenizer(language or "en", window.task)
        hotwords = ", ".join(window.vocabulary) or None
        tokens = self._model.get_prompt(tokenizer, [], without_timestamps=True, hotwords=hotwords)
        return _Prompt(language, window.task, tuple(tokens), tokens.index(tokenizer.sot))

    def _text_tokens(self, tokens: list[int]) -> list[int]:
        return [token for token in tokens if token < self._eot]

    def _alignments(
        self, windows: list[Window], languages: list[str], results: list[Any], tokens: list[list[int]], encoded: Any
    ) -> list[_Alignment]:
        """The words of each window: timed where their times matter, else guessed. A GPU times all where it times one,
        for what it encoded stays there."""
        timed = [index for index, window in enumerate(windows) if window.timed]
        if timed and (len(timed) == len(windows) or self._info.device != "cpu"):
            return self._align(windows, languages, tokens, encoded)
        found = [self._guess(*each) for each in zip(windows, languages, results, tokens, strict=True)]
        if timed:
            own = StorageView.from_array(np.asarray(encoded)[timed])
            aligned = self._align(
                [windows[i] for i in timed], [languages[i] for i in timed], [tokens[i] for i in timed], own
            )
            for index, alignment in zip(timed, aligned, strict=True):
                found[index] = alignment
        return found

    def _align(
        self, windows: list[Window], languages: list[str], tokens: list[list[int]], encoded: object
    ) -> list[_Alignment]:
        """The words of each window with times in seconds and probabilities.

        One call a language; detection seldom gives more than one, and then each call aligns all and keeps its own.
        """
        aligned: list[_Alignment] = [[] for _ in windows]
        hop = self._model.feature_extractor.hop_length
        frames = [max(_SHORTEST, len(window.samples)) // hop for window in windows]
        for language in {language for language, text in zip(languages, tokens, strict=True) if text}:
            tokenizer = self._tokenizer(language, windows[0].task)
            found = self._model.find_alignment(tokenizer, tokens, encoded, frames)
            for index, alignment in enumerate(found):
                if languages[index] == language:
                    merge_punctuations(alignment, _PREPENDED, _APPENDED)
                    aligned[index] = alignment
        return aligned

    def _guess(self, window: Window, language: str, result: Any, tokens: list[int]) -> _Alignment:
        """The words spread over the window by their length, each as likely as all. An alignment costs a third more."""
        texts, groups = self._tokenizer(language, window.task).split_to_word_tokens(tokens)
        seconds_a_character = len(window.samples) / SAMPLE_RATE / max(1, sum(map(len, texts)))
        ends = list(itertools.accumulate(len(text) * seconds_a_character for text in texts))
        probability = math.exp(result.scores[0])
        alignment = [
            {"word": text, "tokens": group, "start": start, "end": end, "probability": probability}
            for text, group, start, end in zip(texts, groups, [0.0, *ends], ends, strict=False)
        ]
        merge_punctuations(alignment, _PREPENDED, _APPENDED)
        return alignment

    def _hypothesis(
        self, window: Window, language: str, result: Any, tokens: list[int], alignment: _Alignment
    ) -> Hypothesis:
        text = self._tokenizer(language, window.task).decode(tokens).strip()
        words = words_of(alignment, len(window.samples))
        # The score is the mean over the tokens; Whisper counts the end token too.
        log_probability = result.scores[0] * len(result.sequences_ids[0]) / (len(result.sequences_ids[0]) + 1)
        verdict = judge(
            Evidence(
                log_probability=log_probability,
                compression_ratio=get_compression_ratio(text),
                no_speech=result.no_speech_prob,
                words=text.casefold().split(),
            )
        )
        empty = verdict == "silence" or not words
        suspect = verdict == "suspect" and not empty
        doubted = suspect or (window.attempt == 0 and (empty or log_probability < self._beam_below))
        doubtful = doubted and window.attempt + 1 < len(self._attempts)
        if empty:
            return Hypothesis((), language, 0.0, result.no_speech_prob, doubtful=doubtful)
        confidence = sum(word.confidence for word in words) / len(words)
        return Hypothesis(words, language, confidence, result.no_speech_prob, suspect, doubtful)


def attempts(settings: EngineSettings) -> list[dict[str, Any]]:
    """CTranslate2's options of each attempt: greedy, with the beam, then sampled as Whisper does when in doubt."""
    greedy, beam = {"beam_size": 1}, {"beam_size": settings.beam_size}
    sampled = [
        {"beam_size": 1, "num_hypotheses": settings.beam_size, "sampling_topk": 0, "sampling_temperature": temperature}
        for temperature in settings.fallback_temperatures
    ]
    return [greedy, beam, *sampled]


def _max_length(prompts: list[_Prompt], padded: int) -> int:
    """Tokens of prompt and text at most. CTranslate2 gives the text half of it, or what the prompt leaves."""
    new = _LEAST_NEW_TOKENS + padded * _TOKENS_PER_S // SAMPLE_RATE
    longest = max(len(prompt.tokens) for prompt in prompts)
    return min(_MAX_TOKENS, max(2 * new, longest + new))


def words_of(alignment: _Alignment, samples: int) -> tuple[Word, ...]:
    """Words with times in samples, within a window of `samples`, from faster-whisper's alignment in seconds."""
    words: list[Word] = []
    for entry in alignment:
        text = entry["word"].strip()
        if not text:
            continue
        start = min(round(entry["start"] * SAMPLE_RATE), samples)
        end = min(round(entry["end"] * SAMPLE_RATE), samples)
        joins = bool(words) and not entry["word"].startswith(" ")
        words.append(Word(text, start, max(start, end), min(1.0, float(entry["probability"])), joins))
    return tuple(words)


def load(folder: Path, label: str, reason: str, settings: EngineSettings, device: str) -> FasterWhisper:
    """Loads the model in `folder` on `device` (`cpu` or `cuda`). Blocks; raises what CTranslate2 raises."""
    compute_type = settings.compute_type
    if compute_type == "auto":
        compute_type = "float16" if device == "cuda" else "int8"
    threads, replicas = share_out(
        settings, device, settings.cores or os.cpu_count() or 1, (folder / "model.bin").stat().st_size
    )
    gpus = list(settings.gpus) if device == "cuda" else [0]
    model = WhisperModel(
        str(folder),
        device=device,
        device_index=gpus,
        compute_type=compute_type,
        cpu_threads=threads,
        num_workers=replicas,
    )
    info = RecognizerInfo(
        name="faster-whisper",
        model=label,
        device=device,
        compute_type=model.model.compute_type,
        reason=reason,
        languages=tuple(model.supported_languages),
        tasks=("transcribe", "translate") if model.model.is_multilingual else ("transcribe",),
    )
    return FasterWhisper(model, info, settings, replicas * len(gpus))


def share_out(settings: EngineSettings, device: str, cores: int, model_bytes: int) -> tuple[int, int]:
    """Threads of one decode, and decodes at once on one device.

    On a CPU a small model is quickest with a thread a decode and a decode a core: threads that share one decode wait
    for each other at every layer (tiny's shape, 2 cores, 4 s windows: 9.9 ms a window as two decodes, 19 ms as one with
    two threads). A large model shares its cores, so that a single speaker does not wait for one of them.
    """
    if device == "cuda":
        return 1, settings.replicas or 1
    threads = settings.cpu_threads or min(cores, 1 if model_bytes < _SMALL_MODEL_BYTES else 4)
    return threads, settings.replicas or max(1, cores // threads)
