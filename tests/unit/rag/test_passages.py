"""Passages: nothing is lost, order and bounds hold, later segments change the last passage only, in every script."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.passages import LEAST_WORDS, MOST_WORDS, Source, Spoken, passages_of, words_in

SOURCE = Source("alice", "0c6a8c66-1b53-4ad5-9c3c-2c7e6a0a1c55", "Budget", datetime(2026, 3, 7, 9, 30, tzinfo=UTC))
SCRIPTS = ("word ", "слово ", "言葉", "คำพูด", "ព​ាក្យ", "말 ")


@st.composite
def recordings(draw: st.DrawFn) -> list[Spoken]:
    spoken, at = [], 0
    for number in range(draw(st.integers(0, 60))):
        at += draw(st.sampled_from((0, 300, 2500)))
        words = draw(st.integers(0, 90))
        text = (draw(st.sampled_from(SCRIPTS)) * words).strip()
        spoken.append(Spoken(number, at, at + 400 * words + 100, text, draw(st.sampled_from(("en", "ja")))))
        at = spoken[-1].end_ms
    return spoken


def said(spoken: list[Spoken]) -> list[Spoken]:
    return [segment for segment in spoken if segment.text.strip()]


@given(recordings())
def test_every_segment_with_words_is_in_a_passage_and_all_stand_in_order(spoken: list[Spoken]) -> None:
    passages = passages_of(SOURCE, spoken)
    assert {segment for passage in passages for segment in passage.segments} == set(said(spoken))
    for passage in passages:
        numbers = [segment.number for segment in passage.segments]
        assert numbers == sorted(set(numbers))
        assert passage.start_ms == passage.segments[0].start_ms <= passage.segments[-1].end_ms == passage.end_ms
    for former, latter in pairwise(passages):
        assert former.segments[0].number < latter.segments[0].number
        assert former.segments[-1].number < latter.segments[-1].number


@given(recordings())
def test_a_passage_has_150_to_250_words_unless_one_segment_is_longer_or_the_recording_ends(
    spoken: list[Spoken],
) -> None:
    passages = passages_of(SOURCE, spoken)
    following = dict(pairwise([segment.number for segment in said(spoken)]))
    by_number = {segment.number: words_in(segment.text) for segment in spoken}
    for passage in passages:
        weight = sum(words_in(segment.text) for segment in passage.segments)
        assert weight <= MOST_WORDS or len(passage.segments) == 1
        after = following.get(passage.segments[-1].number)
        assert after is None or weight >= LEAST_WORDS or weight + by_number[after] > MOST_WORDS


@given(recordings())
def test_neighbours_overlap_by_whole_segments_and_a_third_at_most(spoken: list[Spoken]) -> None:
    for former, latter in pairwise(passages_of(SOURCE, spoken)):
        shared = [segment for segment in former.segments if segment in latter.segments]
        assert tuple(shared) == former.segments[len(former.segments) - len(shared) :] == latter.segments[: len(shared)]
        assert len(shared) < len(former.segments)
        assert sum(words_in(s.text) for s in shared) <= 0.35 * sum(words_in(s.text) for s in former.segments) + 1


@given(recordings(), st.integers(0, 60))
def test_what_is_said_later_changes_the_last_passage_only(spoken: list[Spoken], length: int) -> None:
    early, late = passages_of(SOURCE, spoken[:length]), passages_of(SOURCE, spoken)
    assert [passage.id for passage in early[:-1]] == [passage.id for passage in late[: max(0, len(early) - 1)]]


def test_fifteen_to_twenty_percent_are_said_twice_where_segments_are_short() -> None:
    spoken = [
        Spoken(n, n * 4000, n * 4000 + 3900, "ten words are what every one of these short segments", "en")
        for n in range(100)
    ]
    passages = passages_of(SOURCE, spoken)
    for former, latter in pairwise(passages):
        shared = len(set(former.segments) & set(latter.segments)) / len(former.segments)
        assert 0.15 <= shared <= 0.20


def test_the_id_is_of_the_content_and_of_nothing_else() -> None:
    spoken = [Spoken(0, 0, 1000, "we agreed on the budget", "en")]
    (passage,) = passages_of(SOURCE, spoken)
    assert passages_of(replace(SOURCE), list(spoken))[0].id == passage.id
    others = [
        passages_of(replace(SOURCE, title="Budget 2027"), spoken)[0].id,
        passages_of(replace(SOURCE, owner="bob"), spoken)[0].id,
        passages_of(SOURCE, [replace(spoken[0], text="we agreed on the budget.")])[0].id,
        passages_of(SOURCE, [replace(spoken[0], end_ms=1001)])[0].id,
    ]
    assert len({passage.id, *others}) == 5


def test_title_and_day_stand_in_front_of_the_embedded_text() -> None:
    spoken = [Spoken(0, 0, 1000, "we agreed", "en"), Spoken(1, 1000, 2000, "on the budget", "en")]
    assert passages_of(SOURCE, spoken)[0].embedded_text == "Budget, 7 March 2026\nwe agreed on the budget"
    assert passages_of(replace(SOURCE, title=None), spoken)[0].embedded_text.startswith("7 March 2026\n")


def test_a_passage_is_of_the_language_with_the_most_words() -> None:
    spoken = [Spoken(0, 0, 1, "ja", "de"), Spoken(1, 1, 2, "we talked about it for an hour", "en")]
    assert passages_of(SOURCE, spoken)[0].language == "en"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        ("one two three", 3),
        ("東京は日本の首都です", 5),
        ("Python を書く", 3),
        ("สวัสดีครับ", 2),
        ("안녕 하세요", 2),
    ],
)
def test_words_are_counted_in_every_script(text: str, words: int) -> None:
    assert words_in(text) == words
