"""Sentences are alike by the words they share, where there is no rag to tell more."""

import numpy as np

from batch.extracts import word_vectors


def test_sentences_that_share_words_are_alike_and_common_words_count_for_less() -> None:
    texts = ["The budget was cut.", "The budget grew.", "The weather is fine.", "..."]
    likeness = word_vectors(texts) @ word_vectors(texts).T
    assert likeness[0, 1] > likeness[0, 2] > 0
    assert np.allclose(np.diag(likeness), [1, 1, 1, 0])


def test_the_same_texts_have_the_same_vectors_and_no_text_has_none() -> None:
    assert np.array_equal(word_vectors(["Grüße", "会議"]), word_vectors(["Grüße", "会議"]))
    assert word_vectors([]).shape == (0, 1024)
