"""Notes without a language model: the sentences of the transcript that say most of it. Pure, numpy alone.

    sentences ──▶ chapters, where what is talked about changes ──▶ how central each sentence is in its own (LexRank)
              ──▶ the most central, each unlike the others (MMR), in the order in which they were said

A sentence counts by its chapter, not by the whole: else what is talked about longest would be all that is told.

Nothing is written that was not said: titles and statements are sentences, or the beginnings of such. What looks like a
task is a candidate, and shown as one; decisions and the diary stay empty, since no sentence's place tells them.
"""

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from batch.chapters import chapters
from batch.ranking import Floats, lexrank, mmr, normalised
from batch.sentences import Sentence
from batch.tasks_said import says_a_task
from parley.notes import ActionItem, Chapter, NotesDraft, Point
from parley.transcript import Segment, samples_to_ms

_BLOCK = 512
"""Sentences that are ranked together at most."""
_TELLING_COLUMNS = 20
"""Shorter sentences (yes, thank you, go on) are no statements."""
_MOST_KEY_POINTS = 10
_MOST_TASKS = 10
_TITLE_COLUMNS = 60
_CLAUSE_ENDS = ",;:—–、，；：،؛"
_FULL_STOPS = ".。｡।۔።"


def extractive_notes(segments: Sequence[Segment], sentences: Sequence[Sentence], embeddings: Floats) -> NotesDraft:
    """Notes out of `sentences`, at least one, which `batch.sentences` took out of `segments`.

    `embeddings`: float, shape (sentences, dimensions), a row a sentence. The same input gives the same notes.
    Raises ValueError for another shape.
    """
    if not sentences or embeddings.ndim != 2 or len(embeddings) != len(sentences):
        raise ValueError(f"{len(sentences)} sentences with embeddings of shape {embeddings.shape}")
    chosen = _telling(sentences)
    telling, vectors = [sentences[i] for i in chosen], normalised(embeddings[chosen])
    parts = chapters(telling, vectors)
    scores = _scores(vectors, parts)
    length = _summary_length(len(telling))
    best = mmr(vectors, scores, length + min(_MOST_KEY_POINTS, len(telling) // 6))
    return NotesDraft(
        title=_title(telling[best[0]].text),
        summary=tuple(_point(telling[i]) for i in sorted(best[:length])),
        key_points=tuple(_point(telling[i]) for i in sorted(best[length:])),
        action_items=tuple(_task(telling[i]) for i in _tasks(telling, scores)),
        chapters=_chapters(segments, telling, scores, parts) if parts[1:] else (),
    )


def _telling(sentences: Sequence[Sentence]) -> list[int]:
    """The sentences that can stand for what was said: long enough, not doubted, each wording once; if none is, all."""
    seen: set[str] = set()
    found = []
    for i, sentence in enumerate(sentences):
        wording = "".join(filter(str.isalnum, sentence.text.casefold()))
        if _columns(sentence.text) >= _TELLING_COLUMNS and not sentence.suspect and wording not in seen:
            seen.add(wording)
            found.append(i)
    return found or list(range(len(sentences)))


def _columns(text: str) -> int:
    """How long `text` is; characters of scripts in which one is a syllable or a word count twice."""
    if text.isascii():
        return len(text)
    return len(text) + sum("\u2e80" <= char <= "\ud7ff" or "\uf900" <= char <= "\ufaff" for char in text)


def _summary_length(count: int) -> int:
    """Of 10 sentences 3, of 100 5, of 10,000 9; never more than a third."""
    return max(1, min(round(1 + 0.6 * math.log2(count)), -(-count // 3)))


def _scores(vectors: Floats, parts: Sequence[tuple[int, int]]) -> Floats:
    """How central each sentence is in its chapter; 1 is the average."""
    scores = np.zeros(len(vectors))
    for first, end in parts:
        for block in np.array_split(np.arange(first, end), -(-(end - first) // _BLOCK)):
            scores[block] = lexrank(vectors[block]) * len(block)
    return scores


def _point(sentence: Sentence) -> Point:
    return Point(text=sentence.text, segments=sentence.segments)


def _task(sentence: Sentence) -> ActionItem:
    return ActionItem(text=sentence.text, segments=sentence.segments)


def _tasks(sentences: Sequence[Sentence], scores: Floats) -> list[int]:
    """Of the sentences that sound as if something is to be done, the most central, in order."""
    found = [i for i, said in enumerate(sentences) if says_a_task(said.text, said.language)]
    return sorted(sorted(found, key=lambda i: -scores[i])[:_MOST_TASKS])


def _chapters(
    segments: Sequence[Segment], sentences: Sequence[Sentence], scores: Floats, parts: Sequence[tuple[int, int]]
) -> tuple[Chapter, ...]:
    """The first begins where speech does, each ends where the next begins. A segment that both speak in is in both."""
    spoken = [segment for segment in segments if segment.words]
    starts = [sentences[first] for first, _ in parts[1:]]
    numbers = [spoken[0].number, *(start.segments[0] for start in starts), spoken[-1].number + 1]
    times = [samples_to_ms(spoken[0].words[0].start), *(start.start_ms for start in starts), sentences[-1].end_ms]
    times = list(accumulate(times, max))
    return tuple(
        Chapter(
            title=_title(sentences[first + int(np.argmax(scores[first:end]))].text),
            start_ms=times[i],
            end_ms=times[i + 1],
            segments=_segments_of(spoken, sentences[first:end], numbers[i], numbers[i + 1]),
        )
        for i, (first, end) in enumerate(parts)
    )


def _segments_of(spoken: Sequence[Segment], part: Sequence[Sentence], first: int, end: int) -> tuple[int, ...]:
    """The numbers from `first` up to, not including, `end`, and those in which the sentences of `part` are spoken."""
    inside = {number for sentence in part for number in sentence.segments}
    return tuple(each.number for each in spoken if first <= each.number < end or each.number in inside)


def _title(text: str) -> str:
    """`text` if it is short, else its beginning: up to a clause's end if one is near, else up to a word's."""
    text = " ".join(text.split()).rstrip(_FULL_STOPS) or text
    most = _TITLE_COLUMNS * len(text) // _columns(text)
    if len(text) <= most:
        return text
    beginning = text[:most]
    clause = max(beginning.rfind(mark) for mark in _CLAUSE_ENDS)
    if clause >= most // 3:
        return f"{beginning[:clause].rstrip()} …"
    return f"{beginning.rpartition(' ')[0] or beginning} …"
