"""Speech for tests: texts as segments with times, and sentences as vectors of their words."""

import math
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from parley.audio import SAMPLE_RATE
from parley.transcript import Segment, Word

WORD_S = 0.4


def spoken(*texts: str, pause_s: float = 0.2, language: str = "en", first: int = 0) -> list[Segment]:
    """A segment for each text, a word each 0.4 s, with `pause_s` of silence between."""
    found, now = [], 0.0
    for number, text in enumerate(texts, first):
        words = []
        began = now
        for word in text.split():
            words.append(Word(word, _samples(now), _samples(now + WORD_S), 0.9))
            now += WORD_S
        found.append(Segment(number, _samples(began), _samples(now), tuple(words), language, 0.9))
        now += pause_s
    return found


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


def tf_idf(sentences: Sequence[str]) -> npt.NDArray[np.float32]:
    """Sentences as LexRank's own vectors: their stemmed words by tf-idf, shape (sentences, words), rows of length 1."""
    bags = [Counter(word[:5] for word in re.findall(r"\w+", text.lower())) for text in sentences]
    frequency = Counter(word for bag in bags for word in bag)
    column = {word: i for i, word in enumerate(sorted(frequency))}
    vectors = np.zeros((len(bags), max(1, len(column))), np.float32)
    for row, bag in zip(vectors, bags, strict=True):
        for word, count in bag.items():
            row[column[word]] = count * math.log(len(bags) / frequency[word]) if len(bags) > 1 else count
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float32)
