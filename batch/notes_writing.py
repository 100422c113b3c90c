"""Notes by a language model, also of a transcript that is longer than the model's window.

    transcript ── fits ──────────────────────────────▶ one question ─▶ notes
         └────── parts of whole segments ─▶ notes of each ─▶ put together, in rounds until it is one ─▶ notes

Nothing is cut: a part whose notes do not fit into an answer is halved, and what cannot be divided is an error.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from batch.asking import Said
from batch.notes_form import WrittenNotes, brief, to_draft
from batch.notes_prompts import line, reduce_prompt, transcript_prompt
from parley.llm.attempts import LanguageModelsAway, NoAnswer
from parley.llm.prompt import Prompt
from parley.llm.structured import T
from parley.llm.tokens import estimate, packed
from parley.notes import NotesDraft, Unfounded, checked
from parley.templates import Template
from parley.transcript import Segment

Progress = Callable[[float, str], Awaitable[None]]
"""A share in [0, 1], and what is being done."""
_LINE_TOKENS = 1
"""The end of a line."""


class Asks(Protocol):
    """Who asks the models: a step's Asker."""

    @property
    def rooms(self) -> tuple[int, ...]: ...

    async def ask(self, prompt: Prompt, form: type[T]) -> Said[T]: ...


@dataclass(frozen=True, slots=True)
class _Piece:
    """Notes of some of the segments: only what rests on those."""

    draft: NotesDraft
    segments: tuple[Segment, ...]
    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class Written:
    """Notes, the model that wrote them last, in how many parts, and what was taken out since it rests on nothing."""

    draft: NotesDraft
    provider: str
    model: str
    parts: int
    unfounded: tuple[Unfounded, ...]


class NotesWriter:
    """Writes the notes of one transcript. `segments` are those with words, in order."""

    def __init__(
        self, asks: Asks, segments: Sequence[Segment], template: Template, day: date, progress: Progress
    ) -> None:
        self._asks, self._segments, self._template, self._day = asks, segments, template, day
        self._progress = progress
        self._lines = [line(segment) for segment in segments]
        self._unfounded: list[Unfounded] = []

    async def write(self) -> Written:
        """Raises NoAnswer and LanguageModelsAway. Each window of the route is tried, in order."""
        rooms = self._asks.rooms
        for number, room in enumerate(rooms, 1):
            self._unfounded.clear()
            try:
                return await self._write_within(room)
            except (NoAnswer, LanguageModelsAway) as error:
                with_less = any(attempt.outcome == "too_long" for attempt in error.attempts)
                if number == len(rooms) or not with_less:
                    raise
        raise NoAnswer("No language model is configured.")

    async def _write_within(self, room: int) -> Written:
        sizes = [estimate(each) + _LINE_TOKENS for each in self._lines]
        runs = self._packed(sizes, room - self._overhead(transcript_prompt([], self._template, self._day, count=2)))
        pieces: list[_Piece] = []
        for number, run in enumerate(runs, 1):
            await self._progress((number - 1) / (len(runs) + 1), f"part {number} of {len(runs)}")
            pieces += await self._part(run, number, len(runs))
        parts = len(pieces)
        while len(pieces) > 1:
            await self._progress(len(runs) / (len(runs) + 1), f"putting {len(pieces)} parts together")
            pieces = await self._reduced(pieces, room)
        [whole] = pieces
        if not any(getattr(whole.draft, field) for field in ("summary", "key_points", "diary")):
            raise NoAnswer(f"{whole.provider}: nothing in its notes rests on what was said.", code="llm_unfounded")
        return Written(whole.draft, whole.provider, whole.model, parts, tuple(dict.fromkeys(self._unfounded)))

    async def _part(self, run: range, number: int, count: int) -> list[_Piece]:
        """Notes of one part; of its halves where they do not fit into one answer."""
        lines = self._lines[run.start : run.stop]
        prompt = transcript_prompt(lines, self._template, self._day, number=number, count=count)
        try:
            said = await self._asks.ask(prompt, WrittenNotes)
        except NoAnswer as none:
            if none.code != "llm_cut" or len(run) < 2:
                raise
            middle = run.start + len(run) // 2
            halves = range(run.start, middle), range(middle, run.stop)
            return [piece for half in halves for piece in await self._part(half, number, max(2, count))]
        return [self._founded(said, self._segments[run.start : run.stop])]

    async def _reduced(self, pieces: Sequence[_Piece], room: int) -> list[_Piece]:
        """One round: notes of groups of neighbours, as many as fit into one question each."""
        sizes = [estimate(json.dumps(brief(piece.draft), ensure_ascii=False)) + _LINE_TOKENS for piece in pieces]
        groups = self._packed(sizes, room - self._overhead(reduce_prompt([], self._template, self._day)))
        if len(groups) == len(pieces):
            raise NoAnswer(f"The notes of two parts do not fit into {room} tokens.", code="llm_too_long")
        return [await self._put_together(pieces[group.start : group.stop]) for group in groups]

    async def _put_together(self, pieces: Sequence[_Piece]) -> _Piece:
        if len(pieces) == 1:
            return pieces[0]
        prompt = reduce_prompt([brief(piece.draft) for piece in pieces], self._template, self._day)
        said = await self._asks.ask(prompt, WrittenNotes)
        return self._founded(said, [segment for piece in pieces for segment in piece.segments])

    def _founded(self, said: Said[WrittenNotes], segments: Sequence[Segment]) -> _Piece:
        """What was said about `segments`, without what does not rest on them."""
        draft, unfounded = checked(to_draft(said.value, segments), [segment.number for segment in segments])
        self._unfounded += unfounded
        return _Piece(draft, tuple(segments), said.provider, said.model)

    def _overhead(self, prompt: Prompt) -> int:
        schema = json.dumps(WrittenNotes.model_json_schema())
        return estimate(prompt.system) + estimate(prompt.user) + estimate(schema)

    def _packed(self, sizes: Sequence[int], room: int) -> list[range]:
        try:
            return packed(sizes, room)
        except ValueError as error:
            raise NoAnswer(f"It does not fit into the language model's window: {error}.", code="llm_too_long") from None
