"""Which sentences say most (LexRank), and which of those say it each anew (MMR). Pure, numpy alone.

Sources: Erkan and Radev, LexRank, https://arxiv.org/abs/1109.2128, section 3.2 (continuous; the similarity is that of
sentence embeddings in place of tf-idf). Carbonell and Goldstein, MMR, https://dl.acm.org/doi/10.1145/290941.291025.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

_JUMP = 0.15
"""The chance to go anywhere: LexRank's d is between 0.1 and 0.2."""
_LEAST_SIMILAR = 0.1
"""Less similarity joins no two sentences: LexRank's threshold."""
_RELEVANCE = 0.7
"""MMR's lambda: how much being central counts, against being unlike what was chosen."""
_MOST_STEPS = 100


def normalised(embeddings: Floats) -> Floats:
    """float32, rows of length 1; what is no number counts as nothing."""
    vectors = np.nan_to_num(np.asarray(embeddings, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    # By the largest first: the square of a large float32 is none.
    vectors = vectors / np.maximum(np.abs(vectors).max(axis=1, keepdims=True, initial=0.0), 1e-30)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)


def lexrank(vectors: Floats) -> Floats:
    """How often each sentence is come by on a walk from one to a similar one, shape (sentences,); the sum is 1.

    `vectors`: rows of length 1. The walk goes to a sentence by its similarity, or, with a chance of `_JUMP`, anywhere.
    Their similarities fill a square: some 500 sentences at once.
    """
    count = len(vectors)
    similar = np.asarray(vectors @ vectors.T, np.float64)
    similar[similar < _LEAST_SIMILAR] = 0.0
    np.fill_diagonal(similar, 0.0)  # else what is like nothing would keep to itself, and count as much as any
    sums = similar.sum(axis=1, keepdims=True)
    steps = np.where(sums > 0, similar / np.maximum(sums, 1e-12), 1 / max(count, 1))
    rank = np.full(count, 1 / max(count, 1))
    for _ in range(_MOST_STEPS):
        before, rank = rank, _JUMP / max(count, 1) + (1 - _JUMP) * (rank @ steps)
        if np.abs(rank - before).sum() < 1e-8:
            break
    return np.asarray(rank)


def mmr(vectors: Floats, relevance: Floats, count: int) -> list[int]:
    """Up to `count` rows, the best first: each relevant, and unlike those before it (maximal marginal relevance)."""
    scale = float(relevance.max(initial=0.0)) or 1.0
    left = _RELEVANCE * relevance / scale
    nearest = np.zeros(len(vectors))
    chosen: list[int] = []
    for _ in range(min(count, len(vectors))):
        best = int(np.argmax(left - (1 - _RELEVANCE) * nearest))
        chosen.append(best)
        left[best] = -np.inf
        nearest = np.maximum(nearest, vectors @ vectors[best])
    return chosen
