"""Follow-up questions without a language model."""

import re

import pytest

from parley.ask import LONGEST_QUESTION, Exchange
from rag.answering.history import as_data, joined, refers_back

_SAY_NOTHING = frozenset(("what", "is", "the", "a", "who", "was", "of", "do", "did", "how", "much", "and", "in", "for"))


def _terms(text: str) -> frozenset[int]:
    return frozenset(hash(word) for word in re.findall(r"\w+", text.lower()) if word not in _SAY_NOTHING)


def _asked(*questions: str) -> tuple[Exchange, ...]:
    return tuple(Exchange(question=question, answer="…") for question in questions)


@pytest.mark.parametrize(
    "question", ["And when?", "What did it cost?", "Who was she?", "Und was kostet das?", "And the other one?", "Why?"]
)
def test_a_question_that_says_it_or_hardly_anything_refers_back(question: str) -> None:
    assert refers_back(question, _terms)


def test_a_question_that_says_all_stands_alone() -> None:
    question = "Who repaired the broken boot loader of the inverter?"
    assert not refers_back(question, _terms)
    assert joined(question, _asked("What did the dentist say?"), _terms) == question


def test_a_follow_up_is_joined_to_what_it_follows() -> None:
    history = _asked("What is the weather?", "What blocked the fan of the inverter in August?")
    assert joined("And what did that cost?", history, _terms) == (
        "What blocked the fan of the inverter in August? And what did that cost?"
    )


def test_a_chain_goes_back_to_the_question_that_began_it() -> None:
    history = _asked("Who closed the old pottery shop downtown?", "And why did she?", "When was that?")
    assert joined("Where is it?", history, _terms).startswith("Who closed the old pottery shop downtown?")


def test_a_first_question_is_itself() -> None:
    assert joined("And when?", (), _terms) == "And when?"


def test_what_would_be_too_long_to_search_for_is_not_joined() -> None:
    history = _asked("words " * 160)
    assert joined("And then? " + "more " * 40, history, _terms) == "And then? " + "more " * 40
    assert len(joined("And then?", history, _terms)) <= LONGEST_QUESTION


def test_a_model_is_shown_the_end_of_the_conversation() -> None:
    shown = as_data("And when?", _asked(*(f"Question {number}" for number in range(9))))
    assert "Question 8" in shown
    assert "Question 4" not in shown
    assert shown.endswith("Asked now: And when?")
