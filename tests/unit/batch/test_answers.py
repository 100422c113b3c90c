"""What services say, laid onto the segments that the audio has."""

import math
from collections.abc import AsyncGenerator

import numpy as np
import pytest

from batch.transcription.answers import Answer, SpokenSegment, SpokenWord, Stretch, finals, stretches
from batch.transcription.languages import language_code
from batch.transcription.speech import Piece
from parley.audio import SAMPLE_RATE as SECOND
from parley.segmenter import Checkpoint


def piece(number: int, start_s: float, end_s: float) -> Piece:
    start, end = round(start_s * SECOND), round(end_s * SECOND)
    return Piece(number, start, end, np.full(end - start, number + 1, np.int16), Checkpoint(number + 1, end, end))


async def together(longest_s: float, *pieces: Piece) -> list[Stretch]:
    async def given() -> AsyncGenerator[Piece, None]:
        for each in pieces:
            yield each

    return [stretch async for stretch in stretches(given(), round(longest_s * SECOND))]


THREE = (piece(0, 1, 2), piece(1, 2, 3), piece(2, 10, 11))


async def test_pieces_go_together_with_no_more_silence_than_tells_them_apart() -> None:
    [stretch] = await together(60, *THREE)
    assert stretch.places == (0, SECOND, round(2.5 * SECOND))
    audio = stretch.audio()
    assert len(audio) == stretch.samples == round(3.5 * SECOND)
    assert [int(audio[round(at * SECOND)]) for at in (0.5, 1.5, 2.2, 3.0)] == [1, 2, 0, 3]


async def test_no_stretch_is_longer_than_allowed_unless_a_piece_is() -> None:
    assert [[each.number for each in stretch.pieces] for stretch in await together(2, *THREE)] == [[0, 1], [2]]
    assert [len(stretch.pieces) for stretch in await together(0.5, *THREE)] == [1, 1, 1]
    assert await together(2) == []


def words(*said: tuple[str, float, float]) -> list[SpokenWord]:
    return [SpokenWord(word=word, start=start, end=end) for word, start, end in said]


async def test_words_go_back_to_where_they_were_said_and_get_their_punctuation() -> None:
    [stretch] = await together(60, *THREE)
    answer = Answer(
        text="Well, is it? Yes.",
        language="english",
        words=words(("well", 0.1, 0.5), ("is", 1.1, 1.2), ("it", 1.2, 1.9), ("Yes", 2.6, 3.4)),
        segments=[SpokenSegment(text="Well, is it? Yes.", start=0, end=3.5, avg_logprob=math.log(0.8))],
    )
    found = finals(stretch, answer, None)
    assert [final.segment.text for final in found] == ["Well,", "is it?", "Yes."]
    assert [final.segment.number for final in found] == [0, 1, 2]
    assert [final.checkpoint for final in found] == [each.checkpoint for each in THREE]
    [yes] = found[2].segment.words
    assert (yes.start, yes.end) == (round(10.1 * SECOND), round(10.9 * SECOND))
    assert {final.segment.language for final in found} == {"en"}
    assert found[0].segment.confidence == pytest.approx(0.8, abs=0.001)
    assert not any(final.segment.suspect for final in found)


async def test_a_word_never_lies_outside_its_segment() -> None:
    [stretch] = await together(60, *THREE)
    found = finals(stretch, Answer(text="a b", words=words(("a", 0.9, 2.4), ("b", 3.4, 9.0))), "de")
    for final in found:
        for word in final.segment.words:
            assert final.segment.start <= word.start <= word.end <= final.segment.end
    assert {final.segment.language for final in found} == {"de"}


async def test_where_only_segments_are_timed_their_words_are_spread_over_them() -> None:
    [stretch] = await together(60, *THREE)
    answer = Answer(text="ab cd", segments=[SpokenSegment(text=" ab cd", start=0.0, end=2.0)])
    assert [final.segment.text for final in finals(stretch, answer, None)] == ["ab", "cd", ""]


async def test_what_whispers_own_thresholds_doubt_is_suspect_or_dropped() -> None:
    [stretch] = await together(60, *THREE)
    answer = Answer(
        text="a b c",
        words=words(("a", 0.1, 0.5), ("b", 1.1, 1.5), ("c", 2.6, 3.0)),
        segments=[
            SpokenSegment(text="a", start=0, end=1, avg_logprob=-1.5, no_speech_prob=0.9),
            SpokenSegment(text="b", start=1, end=2, avg_logprob=-1.5, no_speech_prob=0.1),
            SpokenSegment(text="c", start=2.5, end=3.5, avg_logprob=-0.1),
        ],
    )
    found = [final.segment for final in finals(stretch, answer, None)]
    assert [(segment.text, segment.suspect) for segment in found] == [("", False), ("b", True), ("c", False)]


def test_an_answer_without_times_is_told_from_one_without_words() -> None:
    assert not Answer(text="hello").tells_times
    assert Answer(text=" ").tells_times


@pytest.mark.parametrize(("said", "code"), [("english", "en"), ("de", "de"), ("Klingon", ""), (None, "")])
def test_languages_are_known_by_code_and_by_english_name(said: str | None, code: str) -> None:
    assert language_code(said) == code
