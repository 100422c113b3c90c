"""Quotes found in a text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.quotes import LEAST_CHARACTERS, find


def _found(quote: str, text: str) -> str | None:
    span = find(quote, text)
    return None if span is None else text[slice(*span)]


@pytest.mark.parametrize(
    ("quote", "text", "found"),
    [
        ("a broken boot loader", "They had a broken boot loader.", "a broken boot loader."),
        ("A BROKEN, boot-loader!", "They had a broken boot loader.", "a broken boot loader."),
        ("“kein Problem”", "Nun, kein Problem!", "kein Problem!"),
        ("ﬁve hundred", "It was five hundred pieces", "five hundred"),
        ("roken boot load", "They had a broken boot loader.", "broken boot loader."),
        ("明日は雨が降りそうです", "今日は晴れ。明日は雨が降りそうです。", "明日は雨が降りそうです"),
    ],
)
def test_a_quote_is_found_whatever_its_marks_and_case(quote: str, text: str, found: str) -> None:
    assert _found(quote, text) == found


@pytest.mark.parametrize("quote", ["", "  ", "…!?", "the", "a sentence that nobody ever said", "pieces five hundred"])
def test_what_was_not_said_is_not_found(quote: str) -> None:
    assert find(quote, "It was the five hundred pieces of the order.") is None


def test_a_short_quote_counts_only_where_it_is_all_that_was_said() -> None:
    assert _found("yes", "Yes.") == "Yes."
    assert find("yes", "Yes, and no.") is None


@given(st.text(), st.integers(0, 50), st.integers(0, 50))
def test_every_long_enough_part_of_a_text_is_found_in_it(text: str, start: int, length: int) -> None:
    part = text[start : start + length]
    if sum(character.isalnum() for character in part) >= LEAST_CHARACTERS:
        assert find(part, text) is not None


@given(st.text(max_size=80), st.text(max_size=80))
def test_nothing_breaks_the_search(quote: str, text: str) -> None:
    span = find(quote, text)
    assert span is None or 0 <= span[0] < span[1] <= len(text)
