"""Where what is talked about changes. Pure, numpy alone.

A chapter begins where the sentences before and behind are less alike than around: in a valley of similarity.
Source: Hearst, TextTiling, https://aclanthology.org/J97-1003, section 5 (embeddings in place of word counts).
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from batch.ranking import Floats
from batch.sentences import Sentence

_WINDOW = 6
"""Sentences on each side of a gap that are compared."""
_LEAST_SENTENCES, _LEAST_MS = 5, 60_000
"""Of a chapter."""
_MOST_CHAPTERS = 30
_BLOCK = 1024


def chapters(sentences: Sequence[Sentence], vectors: Floats) -> list[tuple[int, int]]:
    """The parts of a recording, each from a sentence up to, not including, another; one, where it is all of a piece.

    `vectors`: rows of length 1, one a sentence.
    """
    if len(sentences) < 2 * _LEAST_SENTENCES:
        return [(0, len(sentences))]
    depths = _depths(cohesion(vectors))
    cutoff = depths.mean() + depths.std() / 2
    cuts = [0, len(sentences)]
    for gap in np.argsort(-depths, kind="stable"):
        if depths[gap] <= cutoff or len(cuts) > _MOST_CHAPTERS:
            break
        if _leaves_room(sentences, cuts, int(gap) + 1):
            cuts.append(int(gap) + 1)
    return list(pairwise(sorted(cuts)))


def cohesion(vectors: Floats) -> Floats:
    """How alike the sentences before and behind each gap are: cosines, shape (sentences - 1,)."""
    gaps = [_cohesion(vectors, first, min(first + _BLOCK, len(vectors))) for first in range(1, len(vectors), _BLOCK)]
    return np.concatenate(gaps) if gaps else np.zeros(0)


def _cohesion(vectors: Floats, first: int, end: int) -> Floats:
    """Of the gaps before the sentences from `first` up to, not including, `end`; a block at a time, for the memory."""
    begin, until = max(0, first - _WINDOW), min(len(vectors), end + _WINDOW)
    sums = np.zeros((until - begin + 1, vectors.shape[1]))
    np.cumsum(vectors[begin:until], axis=0, dtype=np.float64, out=sums[1:])
    gaps = np.arange(first, end) - begin
    before = sums[gaps] - sums[np.maximum(gaps - _WINDOW, 0)]
    behind = sums[np.minimum(gaps + _WINDOW, until - begin)] - sums[gaps]
    lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(behind, axis=1)
    return np.asarray(np.einsum("ij,ij->i", before, behind) / np.maximum(lengths, 1e-12))


def _depths(cohesion: Floats) -> Floats:
    """How much lower each valley is than the peaks on its two sides, taken together; 0 for what is no valley."""
    left, right = _peaks(cohesion), _peaks(cohesion[::-1])[::-1]
    padded = np.concatenate([[np.inf], cohesion, [np.inf]])
    is_valley = (cohesion <= padded[:-2]) & (cohesion <= padded[2:])
    return np.where(is_valley, left + right - 2 * cohesion, 0.0)


def _peaks(cohesion: Floats) -> Floats:
    """How high it goes from each gap up to the left, before it goes down again."""
    peaks = np.array(cohesion)
    for gap in range(1, len(peaks)):
        if cohesion[gap - 1] >= cohesion[gap]:
            peaks[gap] = peaks[gap - 1]
    return peaks


def _leaves_room(sentences: Sequence[Sentence], cuts: Sequence[int], cut: int) -> bool:
    """Whether the chapters on both sides of `cut` are long enough; `cuts` are the others, with both ends."""
    before, behind = max(c for c in cuts if c <= cut), min(c for c in cuts if c >= cut)
    parts = (sentences[before:cut], sentences[cut:behind])
    return all(len(part) >= _LEAST_SENTENCES and part[-1].end_ms - part[0].start_ms >= _LEAST_MS for part in parts)
