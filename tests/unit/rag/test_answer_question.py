"""What kind of answer a question wants, and whether a text has it."""

import pytest

from rag.answering.question import Wanted, fits, has_word, read, wanted_by


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("How much did the repair cost?", "number"),
        ("What would a ceramic inlay cost?", "number"),
        ("What is the password?", "unknown"),
        ("How long until it works?", "duration"),
        ("When does the first tram pass?", "time"),
        ("Until when must we enrol?", "time"),
        ("What happened when the school began later?", "unknown"),
        ("How much memory is lost when the page stays open?", "number"),
        ("Who signed it?", "person"),
        ("What is the bird called?", "person"),
        ("Why did it fail?", "unknown"),
        ("Was kostet das?", "number"),
        ("Wann ist das Auto fertig?", "time"),
        ("¿Cuántos huevos hacen falta?", "number"),
        ("Quel est mon numéro de dossier ?", "number"),
        ("いくらですか", "unknown"),
    ],
)
def test_the_word_that_asks_first_says_what_is_wanted(question: str, wanted: Wanted) -> None:
    assert wanted_by(question) == wanted


@pytest.mark.parametrize(
    ("wanted", "text", "fit"),
    [
        ("number", "It was four hundred and fifty.", True),
        ("number", "It was dear.", False),
        ("time", "On the twenty-first, in the morning.", True),
        ("time", "Because of the chamber.", False),
        ("duration", "About six minutes.", True),
        ("duration", "About six euros.", False),
        ("person", "That was done by Helga.", True),
        ("person", "That was done.", False),
        ("unknown", "Anything.", None),
    ],
)
def test_an_answer_of_the_kind_is_told_from_others(wanted: Wanted, text: str, fit: bool | None) -> None:
    assert fits(wanted, text) is fit


def test_codes_and_names_are_what_only_themselves_can_meet() -> None:
    question = read("Who took ticket H-2291 from Ravi on Monday?", lambda _text: frozenset({1}))
    assert question.exact == ("H-2291",)
    assert question.names == ("Ravi", "Monday")


def test_a_word_is_met_as_a_word() -> None:
    assert has_word("It was order 77-4180, I think.", "77-4180")
    assert not has_word("It was order 77-41805.", "77-4180")
    assert has_word("ravi did", "Ravi")
