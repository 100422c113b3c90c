"""Which words of a question must be met."""

from rag.answering.question import has_word, read


def test_codes_and_names_are_what_only_themselves_can_meet() -> None:
    question = read("Who took ticket H-2291 from Ravi on Monday?", lambda _text: frozenset({1}))
    assert question.exact == ("H-2291",)
    assert question.names == ("Ravi", "Monday")


def test_a_word_is_met_as_a_word() -> None:
    assert has_word("It was order 77-4180, I think.", "77-4180")
    assert not has_word("It was order 77-41805.", "77-4180")
    assert has_word("ravi did", "Ravi")
