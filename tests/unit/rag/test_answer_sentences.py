"""Sentences and their times."""

import pytest

from rag.answering.sentences import sentences_of, split
from tests.unit.rag.found import hit


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("Mr. Brandt came. Dr. Feld did not.", ["Mr. Brandt came.", "Dr. Feld did not."]),
        ("It costs 3.50 euros at 8:40 in all.", ["It costs 3.50 euros at 8:40 in all."]),
        ("no full stop and no capital letter", ["no full stop and no capital letter"]),
        ("今日は晴れです。明日は雨です。", ["今日は晴れです。", "明日は雨です。"]),
        ("", []),
        ("  ", []),
    ],
)
def test_text_is_split_where_a_sentence_ends(text: str, sentences: list[str]) -> None:
    assert [sentence for _, sentence in split(text)] == sentences


def test_every_sentence_stands_where_split_says() -> None:
    text = "First this.  Then that? And at the end, nothing."
    assert all(text[start:].startswith(sentence) for start, sentence in split(text))


def test_a_sentence_has_its_share_of_the_time_of_its_segment() -> None:
    first, second = sentences_of([hit("Half of it. Half of it.")])
    assert first.start_ms == 0
    assert second.start_ms == pytest.approx(2600, abs=100)
    assert second.end_ms == pytest.approx(5000, abs=100)


def test_sentences_of_overlapping_passages_come_once_and_name_the_better_passage() -> None:
    found = sentences_of([hit("Three. Four.", "Five.", first=1), hit("One. Two.", "Three. Four.")])
    assert [(each.text, each.passage) for each in found] == [
        ("One.", 1),
        ("Two.", 1),
        ("Three.", 0),
        ("Four.", 0),
        ("Five.", 0),
    ]


@pytest.mark.parametrize(
    ("text", "asks"), [("How large?", True), ('"Really?"', True), ("お元気ですか？", True), ("Yes.", False)]
)
def test_a_question_is_told_by_its_mark(text: str, asks: bool) -> None:
    (sentence,) = sentences_of([hit(text)])
    assert sentence.is_question is asks
