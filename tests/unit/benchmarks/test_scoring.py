"""Word errors and churn."""

import pytest

from benchmarks.scoring import (
    Churn,
    Shown,
    committed_churn,
    differences,
    overturned,
    plain_words,
    scored_words,
    tentative_churn,
    word_error_rate,
)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("the door is red", "The door is red."),
        ("twenty five to thirty", "25 to 30"),
        ("i do not know", "I don't know…"),
        ("the colour of the door", "Um, the color of the door"),
        ("", "..."),
    ],
)
def test_writing_is_no_word_error(said: str, written: str) -> None:
    assert scored_words(written, "en") == scored_words(said, "en")


def test_other_languages_keep_their_letters_and_those_without_blanks_are_scored_by_character() -> None:
    assert scored_words("¿Qué mañana?", "es") == ["qué", "mañana"]
    assert scored_words("今日は。", "ja") == ["今", "日", "は"]


def test_a_reader_sees_numbers_as_they_are_written() -> None:
    assert plain_words("Room twenty-one, please.") == ["room", "twenty", "one", "please"]


def test_substitutions_deletions_and_insertions_count_alike_over_all_that_was_said() -> None:
    pairs = [
        (["the", "door", "is", "red"], ["the", "store", "is"]),
        (["no"], ["no", "no"]),
        ([], ["thanks"]),
    ]
    assert word_error_rate(pairs) == pytest.approx(4 / 5)


def test_there_is_no_rate_where_nothing_was_said() -> None:
    assert word_error_rate([([], ["thanks"])]) is None


def test_overturned_words_are_those_that_do_not_come_again_in_order() -> None:
    assert overturned(["a", "b", "c", "d"], ["b", "x", "d"]) == {0, 2}
    assert overturned([], ["a"]) == set()


def test_committed_words_are_held_against_the_offline_text_and_what_is_not_yet_committed_is_no_fault() -> None:
    segments = [
        Shown([("", "The"), ("The door", "is")], "The door is red."),
        Shown([("Pink", "walls")], "Think walls."),
        Shown([], "Yes."),
    ]
    assert committed_churn(segments, "The door is red. Think walls. Yes.") == Churn(words=3, changed=1)


def test_a_tentative_word_that_is_committed_or_final_did_not_change() -> None:
    steady = Shown([("", "the door"), ("the door", "is"), ("the door", "is red")], "The door is red.")
    assert tentative_churn(steady) == Churn(words=4, changed=0)


def test_a_tentative_word_counts_once_and_changed_once_it_is_gone() -> None:
    assert tentative_churn(Shown([("", "the dog"), ("the", "door"), ("the", "door")], "The door.")) == Churn(3, 1)
    assert tentative_churn(Shown([("the", "door is")], "The door")) == Churn(2, 1)
    assert tentative_churn(Shown([("", "thanks")], "")) == Churn(1, 1)


def test_a_word_that_is_committed_at_once_was_never_tentative() -> None:
    assert tentative_churn(Shown([("the door", "")], "The store.")) == Churn(0, 0)


def test_a_share_of_nothing_is_unknown() -> None:
    assert Churn().share is None
    assert (Churn(3, 1) + Churn(1, 0)).share == 0.25


def test_differences_show_both_words_in_their_place() -> None:
    assert differences(["the", "door", "is", "red"], ["the", "store", "is", "very", "red"]) == (
        "the {door → store} is { → very} red"
    )
