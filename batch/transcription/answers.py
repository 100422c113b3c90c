"""What a service says of a stretch of audio, laid onto the segments in it. Pure.

Silence between segments costs money and time, so pieces lie close together in what is sent; `Stretch` knows where each
is, and words go back to where they were said. The form is that of OpenAI's `verbose_json`, which others have too:
https://platform.openai.com/docs/api-reference/audio/verbose-json-object.
"""

import itertools
import math
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
from pydantic import BaseModel, Field

from batch.transcription.languages import language_code
from batch.transcription.speech import Piece
from batch.transcription.transcriber import Final
from parley.audio import SAMPLE_RATE, Samples
from parley.guards import Evidence, judge
from parley.transcript import Segment, Word

_GAP = SAMPLE_RATE // 2
"""Silence between two pieces at most: enough to tell sentences apart."""
_UNKNOWN_CONFIDENCE = 0.5
"""Of words whose service says nothing of it."""


class SpokenWord(BaseModel):
    """`start`, `end`: seconds from the beginning of what was sent."""

    word: str
    start: float = Field(ge=0, allow_inf_nan=False)
    end: float = Field(ge=0, allow_inf_nan=False)


class SpokenSegment(BaseModel):
    text: str
    start: float = Field(ge=0, allow_inf_nan=False)
    end: float = Field(ge=0, allow_inf_nan=False)
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None


class Answer(BaseModel):
    """A service's word for a stretch. `words` or `segments` tell times; `language` may be a code or an English name."""

    text: str
    language: str | None = None
    words: list[SpokenWord] | None = None
    segments: list[SpokenSegment] | None = None

    @property
    def tells_times(self) -> bool:
        return bool(self.words or self.segments) or not self.text.strip()


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Pieces that are sent together; `places` are where each begins in it, in samples."""

    pieces: tuple[Piece, ...]
    places: tuple[int, ...]

    @property
    def samples(self) -> int:
        return self.places[-1] + len(self.pieces[-1].samples)

    def audio(self) -> Samples:
        """int16 mono at 16 kHz."""
        audio: Samples = np.zeros(self.samples, np.int16)
        for piece, place in zip(self.pieces, self.places, strict=True):
            audio[place : place + len(piece.samples)] = piece.samples
        return audio


async def stretches(pieces: AsyncGenerator[Piece, None], longest: int) -> AsyncGenerator[Stretch, None]:
    """The pieces, in stretches of at most `longest` samples: cut where there is no speech, or where speech was cut."""
    together: list[Piece] = []
    async for piece in pieces:
        if together and _stretch([*together, piece]).samples > longest:
            yield _stretch(together)
            together = []
        together.append(piece)
    if together:
        yield _stretch(together)


def _stretch(pieces: Sequence[Piece]) -> Stretch:
    steps = (
        len(before.samples) + max(0, min(after.start - before.end, _GAP))
        for before, after in itertools.pairwise(pieces)
    )
    return Stretch(tuple(pieces), tuple(itertools.accumulate(steps, initial=0)))


def finals(stretch: Stretch, answer: Answer, language: str | None) -> list[Final]:
    """A final of each piece; words between two go to the one before. `language`: the one that was asked for."""
    spoken = language or language_code(answer.language)
    said: list[list[Word]] = [[] for _ in stretch.pieces]
    for word in _words(answer):
        middle = (word.start + word.end) // 2
        index = max(0, sum(place <= middle for place in stretch.places) - 1)
        said[index].append(word)
    return [_final(stretch, index, words, answer, spoken) for index, words in enumerate(said)]


def _final(stretch: Stretch, index: int, words: Sequence[Word], answer: Answer, language: str) -> Final:
    piece, place = stretch.pieces[index], stretch.places[index]
    doubts = [_verdict(part) for part in answer.segments or () if _touches(part, place, len(piece.samples))]
    kept = [] if doubts and all(doubt == "silence" for doubt in doubts) else words
    shifted = tuple(_within(word.shifted(piece.start - place), piece) for word in kept)
    confidence = sum(word.confidence for word in shifted) / len(shifted) if shifted else 0.0
    segment = Segment(
        number=piece.number,
        start=piece.start,
        end=piece.end,
        words=shifted,
        language=language,
        confidence=round(confidence, 3),
        suspect=bool(shifted) and "suspect" in doubts,
    )
    return Final(segment, piece.checkpoint)


def _within(word: Word, piece: Piece) -> Word:
    """Services round times, and let words end in the pause behind them."""
    start = min(max(word.start, piece.start), piece.end)
    return Word(word.text, start, min(max(word.end, start), piece.end), word.confidence, word.joins)


def _touches(part: SpokenSegment, place: int, samples: int) -> bool:
    return part.start * SAMPLE_RATE < place + samples and part.end * SAMPLE_RATE > place


def _verdict(part: SpokenSegment) -> str:
    evidence = Evidence(
        log_probability=part.avg_logprob or 0.0,
        compression_ratio=part.compression_ratio or 0.0,
        no_speech=part.no_speech_prob or 0.0,
        words=part.text.casefold().split(),
    )
    return judge(evidence)


def _words(answer: Answer) -> Iterator[Word]:
    """In samples from the beginning of the stretch."""
    spoken = _punctuated(answer) if answer.words else itertools.chain.from_iterable(map(_spread, answer.segments or ()))
    for word in spoken:
        if text := word.word.strip():
            start, end = round(word.start * SAMPLE_RATE), round(max(word.start, word.end) * SAMPLE_RATE)
            yield Word(text, start, end, _confidence(answer, (word.start + word.end) / 2))


def _confidence(answer: Answer, middle_s: float) -> float:
    """The mean probability of a token of the segment that a word lies in."""
    for part in answer.segments or ():
        if part.start <= middle_s <= part.end and part.avg_logprob is not None:
            return round(min(1.0, math.exp(part.avg_logprob)), 3)
    return _UNKNOWN_CONFIDENCE


def _spread(part: SpokenSegment) -> Iterator[SpokenWord]:
    """The words of a segment over its time, by their length: some services time segments only."""
    texts = part.text.split()
    second_a_character = (part.end - part.start) / max(1, sum(map(len, texts)))
    at = part.start
    for text in texts:
        yield SpokenWord(word=text, start=max(0.0, at), end=max(0.0, at := at + len(text) * second_a_character))


def _punctuated(answer: Answer) -> list[SpokenWord]:
    """The timed words as the text writes them: OpenAI's come without punctuation and, some, without case."""
    words, written = answer.words or [], answer.text.split()
    bare = [_bare(word.word) for word in words], [_bare(text) for text in written]
    matcher = SequenceMatcher(None, *bare, autojunk=False)
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            words[block.a + offset] = words[block.a + offset].model_copy(update={"word": written[block.b + offset]})
    return words


def _bare(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())
