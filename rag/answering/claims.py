"""From what a language model wrote to claims that hold: every citation was retrieved, every quote was said. Pure.

A model sees the retrieved segments under numbers that are made for the occasion (`Evidence`), and answers with an
`AnswerDraft`. `checked` keeps of it what stands. So a transcript that gives the model orders, and a model that obeys,
bring nothing onto the page but words that somebody said, with the second at which to hear them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from parley.ask import Citation, Claim
from parley.rag_wire import Hit, SegmentHit
from rag.answering import quotes

_MOST_CLAIMS = 12
_LINK = re.compile(r"\b\w+://\S+|\bwww\.\S+|!?\[[^\]]*\]\([^)]*\)|<[a-z/][^>]*>", re.IGNORECASE)
_NEXT_SEGMENTS = 2
"""Segments behind the cited one that a quote may run into."""

Fault = Literal["unknown_segment", "no_such_quote", "no_citation", "link", "too_many"]


class _Draft(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)


class DraftCitation(_Draft):
    """Where a statement comes from."""

    segment: int
    """The number in front of the line."""
    quote: str
    """Words of that line that say it, exactly as they stand there: from a few words to a sentence."""


class DraftClaim(_Draft):
    """One statement of the answer."""

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
    """One sentence that answers the question or a part of it, in the question's language."""
    citations: tuple[DraftCitation, ...]
    """Where it was said, at least one."""


class AnswerDraft(_Draft):
    """The answer to the question. Without claims: the lines do not answer it."""

    claims: tuple[DraftClaim, ...] = Field(max_length=100)
    """What the answer says, statement by statement; empty if the lines do not answer the question."""


@dataclass(frozen=True, slots=True)
class Line:
    """A retrieved segment as a model sees it. `following`: the segments right behind it that were retrieved too."""

    number: int
    hit: Hit
    segment: SegmentHit
    following: tuple[SegmentHit, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The retrieved segments, each once, numbered from 1; by passage, the best first."""

    lines: tuple[Line, ...]

    @classmethod
    def of(cls, hits: Sequence[Hit]) -> "Evidence":
        known = {(hit.recording_id, segment.number): segment for hit in hits for segment in hit.segments}
        lines: dict[tuple[str, int], Line] = {}
        for hit in hits:
            for segment in hit.segments:
                key = hit.recording_id, segment.number
                behind = [known.get((hit.recording_id, segment.number + step)) for step in range(1, _NEXT_SEGMENTS + 1)]
                following = tuple(_until_gap(behind))
                lines.setdefault(key, Line(len(lines) + 1, hit, segment, following))
        return cls(tuple(lines.values()))

    def line(self, number: int) -> Line | None:
        return self.lines[number - 1] if 1 <= number <= len(self.lines) else None


@dataclass(frozen=True, slots=True)
class Dropped:
    """What `checked` took out: a citation, or a claim (`segment` is None)."""

    fault: Fault
    text: str
    segment: int | None = None


def checked(draft: AnswerDraft, evidence: Evidence) -> tuple[tuple[Claim, ...], tuple[Dropped, ...]]:
    """The claims of `draft` that rest on what was retrieved, and what was dropped and why."""
    claims: list[Claim] = []
    dropped = [Dropped("too_many", claim.text) for claim in draft.claims[_MOST_CLAIMS:]]
    for draft_claim in draft.claims[:_MOST_CLAIMS]:
        citations = []
        for draft_citation in draft_claim.citations:
            found = _cited(draft_citation, evidence)
            if isinstance(found, Citation):
                citations.append(found)
            else:
                dropped.append(Dropped(found, draft_citation.quote, draft_citation.segment))
        if not citations:
            dropped.append(Dropped("no_citation", draft_claim.text))
        elif _brings_links(draft_claim.text, citations):
            dropped.append(Dropped("link", draft_claim.text))
        else:
            claims.append(Claim(text=draft_claim.text, citations=tuple(dict.fromkeys(citations))))
    return tuple(claims), tuple(dropped)


def _cited(draft: DraftCitation, evidence: Evidence) -> Citation | Fault:
    if (line := evidence.line(draft.segment)) is None:
        return "unknown_segment"
    segments = (line.segment, *line.following)
    for count in range(1, len(segments) + 1):
        text = " ".join(segment.text for segment in segments[:count])
        if (span := quotes.find(draft.quote, text)) is not None:
            return _citation(line.hit, segments[:count], text, span)
    return "no_such_quote"


def _citation(hit: Hit, segments: Sequence[SegmentHit], text: str, span: tuple[int, int]) -> Citation:
    """The quote as the transcript has it, with the time of its first and last characters."""
    start, end = span
    touched, times, offset = [], [], 0
    for segment in segments:
        length = len(segment.text)
        if start < offset + length and end > offset:
            ms_per_character = (segment.end_ms - segment.start_ms) / max(length, 1)
            times.append(segment.start_ms + max(0, start - offset) * ms_per_character)
            times.append(segment.start_ms + min(length, end - offset) * ms_per_character)
            touched.append(segment.number)
        offset += length + 1
    return Citation(
        recording_id=hit.recording_id,
        title=hit.title,
        created_at=hit.created_at,
        segments=tuple(touched),
        start_ms=round(min(times)),
        end_ms=round(max(times)),
        quote=text[start:end],
    )


def _brings_links(text: str, citations: Sequence[Citation]) -> bool:
    """Whether a claim has an address or markup that nobody said: a way to carry words out of the house."""
    said = " ".join(citation.quote for citation in citations)
    return any(link.group() not in said for link in _LINK.finditer(text))


def _until_gap(segments: Sequence[SegmentHit | None]) -> Iterator[SegmentHit]:
    for segment in segments:
        if segment is None:
            return
        yield segment
