"""From what each side found to one order. Pure: ids, scores and vectors in, an order out."""

from collections.abc import Sequence

import numpy as np

from rag.embedding import Vectors

RANK_OFFSET = 20
"""Of reciprocal rank fusion: how slowly later ranks count less. 60 in the paper, for lists of 1,000; ours have 50."""
DENSE_WEIGHT, WORDS_WEIGHT = 1.0, 1.0
RELEVANCE = 0.85
"""Of an order by maximal marginal relevance, the rest is how unlike a passage is to those before it. High: what it has
to keep apart are neighbours that overlap."""


def fuse(rankings: Sequence[tuple[float, Sequence[str]]]) -> dict[str, float]:
    """Weighted reciprocal rank fusion of `(weight, ids, the best first)`: a score for each id, the best at most 1.

    Source: Cormack, Clarke, Büttcher 2009, https://doi.org/10.1145/1571941.1572114
    """
    best = sum(weight for weight, _ in rankings) / (RANK_OFFSET + 1)
    scores: dict[str, float] = {}
    for weight, ids in rankings:
        for rank, id_ in enumerate(ids, start=1):
            scores[id_] = scores.get(id_, 0.0) + weight / (RANK_OFFSET + rank) / best
    return scores


def diverse(relevance: Sequence[float], vectors: Vectors, trade: float = RELEVANCE) -> list[int]:
    """The order of n candidates by maximal marginal relevance. `vectors`: float32, shape (n, d), of length 1.

    Source: Carbonell, Goldstein 1998, https://doi.org/10.1145/290941.291025
    """
    scores = np.asarray(relevance, np.float32)
    likeness = np.clip(vectors @ vectors.T, 0.0, 1.0)
    nearest, left, order = np.zeros(len(scores), np.float32), np.ones(len(scores), bool), []
    for _ in range(len(scores)):
        gain = np.where(left, trade * scores - (1 - trade) * nearest, -np.inf)
        best = int(np.argmax(gain))
        order.append(best)
        left[best] = False
        nearest = np.maximum(nearest, likeness[best])
    return order
