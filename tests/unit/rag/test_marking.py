"""Words: what a query finds is what is marked, in every language; weights are BM25's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag import words
from rag.marking import marked


def marks(query: str, text: str, language: str = "en") -> list[str]:
    pieces, _ = marked(text, language, words.of_query(query, [language]).indices)
    return [piece.text for piece in pieces if piece.match]


@pytest.mark.parametrize(
    ("query", "text", "language", "expected"),
    [
        ("running costs", "What does it cost to run?", "en", ["cost", "run"]),
        ("Häuser", "Das Haus steht dort.", "de", ["Haus"]),
        ("the of and", "The end of the road and more.", "en", []),
        ("東京", "昨日、東京へ行きました。", "ja", ["東京"]),
        ("日本の首都", "東京は日本の首都です", "ja", ["日本の首都"]),
        ("budget", "A BUDGET, the budget's end: budgets!", "en", ["BUDGET", "budget's", "budgets"]),
        ("łódka", "Na jeziorze pływa łódka.", "pl", ["łódka"]),
    ],
)
def test_words_of_the_query_are_marked_in_whatever_form(
    query: str, text: str, language: str, expected: list[str]
) -> None:
    assert marks(query, text, language) == expected


@given(st.text(max_size=200), st.text(max_size=60), st.sampled_from(("en", "de", "ja", "th", "xx", "")))
def test_the_pieces_of_a_text_are_the_text(text: str, query: str, language: str) -> None:
    pieces, met = marked(text, language, words.of_query(query, [language]).indices)
    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text for piece in pieces)
    assert met >= any(piece.match for piece in pieces)


def test_a_query_finds_the_stems_of_every_language_that_was_met() -> None:
    passage = words.of_passage("Die Häuser sind teuer", "de")
    assert not set(words.of_query("Häusern", ["en"]).indices) & set(passage.indices)
    assert set(words.of_query("Häusern", ["en", "de"]).indices) & set(passage.indices)


def test_a_query_of_stop_words_alone_asks_for_no_word() -> None:
    assert words.of_query("what is the", ["en"]).indices == ()


def test_rare_scripts_are_found_by_pairs_of_characters() -> None:
    passage = words.of_passage("昨日、東京へ行きました。", "ja")
    assert set(words.of_query("東京", ["ja"]).indices) <= set(passage.indices)
    assert not set(words.of_query("京都", ["ja"]).indices) & set(passage.indices)
