"""What kind of answer a question wants, and how far a text has one."""

import pytest

from rag.answering.kinds import Kind, fit, kind_of


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How much did the repair cost?", "money"),
        ("What would a ceramic inlay cost?", "money"),
        ("What is the password?", "code"),
        ("How long until it works?", "duration"),
        ("When does the first tram pass?", "time"),
        ("Until when must we enrol?", "time"),
        ("What happened when the school began later?", "unknown"),
        ("How many boxes were there?", "count"),
        ("How heavy is it?", "measure"),
        ("Who signed it?", "person"),
        ("What is the bird called?", "name"),
        ("Which colour has the door?", "colour"),
        ("Where is the key?", "place"),
        ("Why did it fail?", "reason"),
        ("Was kostet das?", "money"),
        ("Wann ist das Auto fertig?", "time"),
        ("¿Cuántos huevos hacen falta?", "count"),
        ("Quel est mon numéro de dossier ?", "code"),
        ("いくらですか", "unknown"),
    ],
)
def test_the_word_that_asks_first_says_what_is_wanted(question: str, kind: Kind) -> None:
    assert kind_of(question) == kind


@pytest.mark.parametrize(
    ("kind", "better", "worse"),
    [
        ("money", "It was fifty euros.", "It was fifty kilometres."),
        ("money", "It's a hundred and fifteen.", "It takes fifteen minutes."),
        ("count", "Forty-one boxes.", "Many boxes."),
        ("measure", "It was minus eleven degrees.", "It was cold."),
        ("time", "On the twenty-first, in the morning.", "Because of the chamber."),
        ("duration", "About six minutes.", "About six euros."),
        ("person", "That was done by Helga.", "That was done."),
        ("name", "It's called Professor.", "It's green."),
        ("code", "It is the 58-2207.", "It is a secret."),
    ],
)
def test_an_answer_of_the_kind_fits_better_than_another(kind: Kind, better: str, worse: str) -> None:
    assert fit(kind, better) > fit(kind, worse)


def test_what_shows_in_nothing_speaks_neither_for_nor_against() -> None:
    assert fit("unknown", "Anything.") == 0.5
