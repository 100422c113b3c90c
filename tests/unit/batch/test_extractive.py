"""Extractive notes: what was said and nothing else, from one sentence to ten hours, in every script."""

import tracemalloc
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from batch.chapters import chapters, cohesion
from batch.extractive import extractive_notes
from batch.ranking import lexrank, mmr, normalised
from batch.sentences import Sentence, sentences_of
from batch.tasks_said import says_a_task
from parley.notes import NotesDraft, checked
from parley.transcript import Segment, Word
from tests.unit.batch.real_texts import ALICE, TEXTS, VECTORS
from tests.unit.batch.spoken import spoken, tf_idf


def notes_of(segments: list[Segment]) -> NotesDraft:
    sentences = sentences_of(segments)
    return extractive_notes(segments, sentences, tf_idf([sentence.text for sentence in sentences]))


def one_hot(topics: list[int]) -> npt.NDArray[np.float32]:
    """Sentences that are each about one of several things that have nothing to do with each other."""
    return np.asarray(np.eye(max(topics) + 1, dtype=np.float32)[topics])


def minutes(count: int, of_ms: int = 15_000) -> list[Sentence]:
    return [Sentence(f"This is sentence number {i}.", (i,), i * of_ms, (i + 1) * of_ms, "en") for i in range(count)]


# Ranking


def test_the_sentence_that_is_like_most_others_is_the_most_central() -> None:
    angles = np.radians([0, 40, 80, 40 + 180])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    ranks = lexrank(vectors)
    assert int(np.argmax(ranks)) == 1
    assert int(np.argmin(ranks)) == 3  # like none
    assert ranks.sum() == pytest.approx(1)


def test_sentences_that_are_like_no_other_are_equally_central() -> None:
    assert lexrank(np.eye(4)) == pytest.approx(np.full(4, 0.25))
    assert lexrank(np.zeros((3, 2))) == pytest.approx(np.full(3, 1 / 3))


def test_the_second_choice_is_unlike_the_first_though_less_central() -> None:
    vectors = normalised(np.array([[1, 0], [1, 0.01], [0, 1]]))
    assert mmr(vectors, np.array([1.0, 0.99, 0.8]), 3) == [0, 2, 1]


# Chapters


def test_a_chapter_begins_where_the_talk_turns_to_something_else() -> None:
    assert chapters(minutes(36), one_hot([0] * 12 + [1] * 10 + [2] * 14)) == [(0, 12), (12, 22), (22, 36)]


def test_talk_that_is_all_of_a_piece_is_one_chapter() -> None:
    assert chapters(minutes(40), one_hot([0] * 40)) == [(0, 40)]


def test_chapters_are_neither_short_nor_many() -> None:
    assert chapters(minutes(30, of_ms=1000), one_hot([0] * 10 + [1] * 20)) == [(0, 30)]  # ten seconds are no chapter
    topics = [i // 20 % 2 for i in range(3000)]
    found = chapters(minutes(3000), one_hot(topics))
    assert len(found) == 30
    assert all(end - first >= 5 for first, end in found)


def test_cohesion_does_not_depend_on_the_blocks_it_is_computed_in() -> None:
    vectors = normalised(np.random.default_rng(1).normal(size=(2100, 8)))
    whole, around = cohesion(vectors), cohesion(vectors[1000:1060])
    assert len(whole) == 2099
    assert whole[1010:1050] == pytest.approx(around[10:50])


@pytest.mark.parametrize("turn", range(len(TEXTS)))
def test_real_texts_one_after_the_other_are_parted_where_they_meet(turn: int) -> None:
    """By the vectors of a real model to the sentence, in whatever order they stand."""
    said = [text for part in TEXTS[turn:] + TEXTS[:turn] for text in part]
    sentences = [Sentence(text, (i,), i * 15_000, (i + 1) * 15_000) for i, text in enumerate(said)]
    vectors = normalised(np.roll(VECTORS, -turn * len(TEXTS[0]), axis=0))
    assert chapters(sentences, vectors) == [(0, 11), (11, 22), (22, 33), (33, 44), (44, 55)]


def test_words_alone_tell_most_of_where_texts_meet() -> None:
    """Pk: how often two sentences k apart are wrongly taken to be of the same text, or of two: half, by chance.

    Beeferman, Berger and Lafferty, 1999, https://doi.org/10.1023/A:1007506220214.
    """
    said = [text for part in TEXTS for text in part]
    sentences = [Sentence(text, (i,), i * 15_000, (i + 1) * 15_000) for i, text in enumerate(said)]
    label = [number for number, part in enumerate(TEXTS) for _ in part]
    parts = enumerate(chapters(sentences, tf_idf(said)))
    found = [number for number, (first, end) in parts for _ in range(first, end)]
    k = len(TEXTS[0]) // 2
    errors = [(label[i] == label[i + k]) != (found[i] == found[i + k]) for i in range(len(said) - k)]
    assert sum(errors) / len(errors) < 0.3


# Notes


def real_notes(first: int = 0, end: int = len(TEXTS), pause_s: float = 1) -> NotesDraft:
    """Notes of some of the real texts, by the vectors of a real model."""
    segments = spoken(*(text for part in TEXTS[first:end] for text in part), pause_s=pause_s)
    return extractive_notes(segments, sentences_of(segments), VECTORS[first * 11 : end * 11])


@pytest.mark.parametrize(
    ("number", "remembered"),
    [
        (0, "dedicated here to the unfinished work"),
        (1, "took a watch out of its waistcoat-pocket"),
        (2, "most perfect reasoning and observing machine"),
        (3, "see the watery part of the world"),
        (4, "I went to the woods because I wished to live deliberately"),
    ],
)
def test_the_summary_of_a_real_text_holds_what_it_is_remembered_for(number: int, remembered: str) -> None:
    notes = real_notes(number, number + 1)
    assert len(notes.summary) == 3
    assert any(remembered in point.text for point in notes.summary)
    assert notes.chapters == ()


def test_of_five_texts_in_one_recording_each_is_in_the_notes() -> None:
    notes = real_notes(pause_s=8)
    told = {point.segments[0] // 11 for point in (*notes.summary, *notes.key_points)}
    assert told == set(range(5))
    assert len({point.segments[0] // 11 for point in notes.summary}) == 4
    begins = [chapter.segments[0] for chapter in notes.chapters]
    assert all(abs(segment - 11 * i) <= 2 for i, segment in enumerate(begins))


def test_one_sentence_is_its_own_summary() -> None:
    notes = notes_of(spoken("Call me Ishmael."))
    assert notes.title == "Call me Ishmael"
    assert [(point.text, point.segments) for point in notes.summary] == [("Call me Ishmael.", (0,))]
    assert (notes.key_points, notes.decisions, notes.action_items, notes.chapters, notes.diary) == ((), (), (), (), ())


def test_yes_and_thank_you_stand_for_nothing_where_there_is_more() -> None:
    said = ["Yes.", "The bridge will be closed from Monday on.", "Thank you.", "Yes.", "Okay.", "Thank you."]
    assert [point.text for point in notes_of(spoken(*said, pause_s=1)).summary] == [said[1]]


def test_what_is_said_over_and_over_is_written_once() -> None:
    said = ["Thank you for watching this video today."] * 30 + ["The bridge will be closed from Monday on."]
    notes = notes_of(spoken(*said, pause_s=1))
    assert sorted(point.text for point in (*notes.summary, *notes.key_points)) in ([said[0]], [said[-1]])


def test_doubted_sentences_are_left_out() -> None:
    good, bad = spoken(
        "The bridge will be closed from Monday on.", "The fridge will be clothed from sundae on.", pause_s=1
    )
    doubted = Segment(bad.number, bad.start, bad.end, bad.words, bad.language, suspect=True)
    assert [point.segments for point in notes_of([good, doubted]).summary] == [(0,)]
    assert [point.segments for point in notes_of([doubted]).summary] == [(1,)]  # better than nothing


def test_a_long_title_ends_with_a_clause_or_a_word() -> None:
    assert notes_of(spoken(ALICE.splitlines()[0])).title == "Alice was beginning to get very tired of sitting by her …"
    clause = notes_of(spoken("Burning with curiosity, she ran across the field after it and was just in time."))
    assert clause.title == "Burning with curiosity …"


def test_scripts_without_blanks_have_notes_with_short_titles() -> None:
    said = "我们今天讨论了明年的预算和新的办公室。" * 3
    segments = [
        Segment(0, 0, 16 * len(said), tuple(Word(c, 16 * i, 16 * i + 8, 1.0, i > 0) for i, c in enumerate(said)), "zh")
    ]
    notes = extractive_notes(segments, sentences_of(segments), np.ones((3, 2)))
    assert [point.text for point in notes.summary] == [said[: len(said) // 3]]
    assert notes.title == "我们今天讨论了明年的预算和新的办公室"


def test_what_sounds_like_a_task_is_a_candidate() -> None:
    said = ["The bridge was closed on Monday.", "We need to tell everyone before that.", "It was raining all the time."]
    assert [item.text for item in notes_of(spoken(*said, pause_s=1)).action_items] == [said[1]]


@pytest.mark.parametrize(
    ("text", "language", "is_one"),
    [
        ("Let’s meet again on Friday.", "en", True),
        ("I'll send you the file.", "en", True),
        ("It will rain.", "en", False),
        ("Wir müssen das noch klären.", "de", True),
        ("Il faut appeler le client.", "fr", True),
        ("Tenemos que llamar mañana.", "es", True),
        ("明日までに送ってください。", "ja", True),
        ("请你把文件发给我。", "zh", True),
        ("We need to go.", "xx", False),
    ],
)
def test_tasks_are_told_by_turns_of_phrase(text: str, language: str, is_one: bool) -> None:
    assert says_a_task(text, language) == is_one


def test_chapters_of_real_texts_cover_all_that_was_said_in_order() -> None:
    segments = spoken(*(text for part in TEXTS for text in part), pause_s=8)
    notes = real_notes(pause_s=8)
    assert len(notes.chapters) == 5
    assert sorted({n for chapter in notes.chapters for n in chapter.segments}) == [s.number for s in segments]
    assert all(one.end_ms == next_.start_ms for one, next_ in pairwise(notes.chapters))
    assert (notes.chapters[0].start_ms, notes.chapters[-1].end_ms) == (0, sentences_of(segments)[-1].end_ms)
    assert all(len(chapter.title) <= 62 for chapter in notes.chapters)


@pytest.mark.parametrize("shape", [(0, 3), (2, 3), (3,)])
def test_embeddings_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="1 sentences"):
        extractive_notes([], minutes(1), np.zeros(shape))


@settings(max_examples=40, deadline=None)
@given(data=st.data(), count=st.integers(1, 40))
def test_whatever_the_vectors_are_notes_are_sentences_that_were_said(data: st.DataObject, count: int) -> None:
    word = st.sampled_from(["we", "must", "go.", "Bridges,", "are", "long", "always", "closed!", "Yes."])
    said = data.draw(st.lists(st.lists(word, min_size=1, max_size=12).map(" ".join), min_size=count, max_size=count))
    segments = spoken(*said, pause_s=data.draw(st.sampled_from([0.2, 5.0, 30.0])))
    sentences = sentences_of(segments)
    numbers = st.floats(width=32, allow_nan=True, allow_infinity=True)
    vectors = data.draw(arrays.arrays(np.float32, (len(sentences), 3), elements=numbers))
    notes = extractive_notes(segments, sentences, vectors)
    assert notes == extractive_notes(segments, sentences, vectors)
    assert checked(notes, [segment.number for segment in segments]) == (notes, ())
    texts = {sentence.text: sentence for sentence in sentences}
    for points in (notes.summary, notes.key_points, notes.action_items):
        assert all(point.text in texts for point in points)
        assert [point.segments for point in points] == sorted(point.segments for point in points)
    assert notes.summary
    if notes.chapters:
        assert {n for chapter in notes.chapters for n in chapter.segments} == {s.number for s in segments}


def test_ten_hours_take_a_bounded_memory() -> None:
    """20,000 sentences: the square of their similarities alone would be 1.6 GB."""
    rng = np.random.default_rng(3)
    topics = np.repeat(rng.normal(size=(80, 64)), 250, axis=0)
    vectors = (topics + rng.normal(size=topics.shape)).astype(np.float32)
    sentences = [Sentence(f"This is sentence number {i}.", (i,), i * 1800, (i + 1) * 1800, "en") for i in range(20_000)]
    segments = [
        Segment(i, i * 28_800, (i + 1) * 28_800, (Word("x", i * 28_800, i * 28_800 + 9, 1.0),)) for i in range(20_000)
    ]
    tracemalloc.start()
    try:
        notes = extractive_notes(segments, sentences, vectors)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000_000
    assert (len(notes.summary), len(notes.key_points), len(notes.chapters)) == (10, 10, 30)
