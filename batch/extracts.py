"""Notes without a language model: `batch.extractive` chooses sentences by how alike they are.

How alike is told by rag's embeddings, and by the words that they share where there is no rag: worse at sentences that
say the same in other words, and better than nothing.
"""

import asyncio
import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from batch.extractive import extractive_notes
from batch.sentences import sentences_of
from parley.notes import NotesDraft
from parley.transcript import Segment

_DIMENSIONS = 1024
"""Words are hashed to so many: two of a transcript that meet are a small noise."""


class Embeds(Protocol):
    """What rag is asked here."""

    async def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """float32, shape (texts, dimensions), each row of length 1. Raises BackendError where rag does not answer."""
        ...


async def extracts(rag: Embeds | None, segments: Sequence[Segment]) -> NotesDraft:
    """With rag's embeddings; without `rag`, by shared words. Raises BackendError where rag does not answer."""
    sentences = sentences_of(segments)
    texts = [sentence.text for sentence in sentences]
    embeddings = await rag.embed(texts) if rag else await asyncio.to_thread(word_vectors, texts)
    return await asyncio.to_thread(extractive_notes, segments, sentences, embeddings)


def word_vectors(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """TF-IDF of the words, hashed: float32, shape (texts, 1024), each row of length 1, or 0 without a word. Pure.

    Source: Erkan and Radev, LexRank, 2004, who measured likeness so.
    """
    counts = [Counter(re.findall(r"\w+", text.casefold())) for text in texts]
    spread = Counter(word for count in counts for word in count)
    vectors = np.zeros((len(texts), _DIMENSIONS), np.float32)
    for row, count in zip(vectors, counts, strict=True):
        for word, times in count.items():
            row[zlib.crc32(word.encode("utf-8", "replace")) % _DIMENSIONS] += times * math.log(
                1 + len(texts) / spread[word]
            )
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return vectors
