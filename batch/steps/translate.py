"""Translates a recording, segment by segment, by a language model. Without one there is no translation.

Each answer names the segments by their numbers, so that none is lost, doubled or moved; one that was left out is asked
for once more. What is spoken in the wanted language already is taken as it is.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict

from batch.asking import Asker
from batch.notes_prompts import one_line
from batch.pipeline import StepContext, StepResult, step
from parley.errors import ClientError
from parley.llm.attempts import NoAnswer
from parley.llm.prompt import Prompt
from parley.llm.tokens import estimate, packed
from parley.store import translations
from parley.store.translations import TranslatedSegment
from parley.transcript import Segment

_INSTRUCTIONS = """\
You translate what was said in a recording into the language with the ISO 639 code "{language}".
Each line of the data is one segment: its number, and what was said. Give each segment back under its number, translated
in full, in the tone in which it was said. Join none, divide none, leave none out, and add nothing."""
_LINE_TOKENS = 16
"""Of the JSON around a segment."""


class TranslatedLine(BaseModel):
    """One segment."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)
    number: int
    """Its number."""
    text: str
    """What was said, translated."""


class TranslatedLines(BaseModel):
    """All segments, translated."""

    model_config = ConfigDict(frozen=True)
    lines: tuple[TranslatedLine, ...]


@step("translate", kind="llm", needs={"transcript"}, gives={"translation"})
async def translate(context: StepContext) -> StepResult:
    """Raises ClientError where no model can do it, and LanguageModelsAway where one that could is away."""
    language = context.options.translate_to
    if language is None:
        raise ClientError('The step translate needs the option translate_to, such as "de".', code="no_language")
    recording_id = context.recording_id
    segments = [each for each in await context.recordings.segments(recording_id) if each.text.strip()]
    translator = _Translator(context, language)
    try:
        translated = await translator.translate(segments)
    except NoAnswer as none:
        raise ClientError(f"This recording cannot be translated. {none.message}", code=none.code) from none

    async def write(connection: Any) -> None:
        await translations.save(connection, context.owner, recording_id, language, translated)
        await translator.asker.done(connection)

    models = sorted({f"{each.provider} {each.model}" for each in translated if each.provider})
    value = {"language": language, "segments": len(translated), "models": models}
    return StepResult(value, translator.asker.usage(), write)


class _Translator:
    def __init__(self, context: StepContext, language: str) -> None:
        self.asker = Asker(context, "translate")
        self._language, self._progress = language, context.lease.progress

    async def translate(self, segments: Sequence[Segment]) -> list[TranslatedSegment]:
        """Every segment in the wanted language, in order."""
        foreign = [segment for segment in segments if segment.language != self._language]
        done: dict[int, TranslatedSegment] = {}
        parts = self._parts(foreign)
        for number, part in enumerate(parts, 1):
            await self._progress((number - 1) / len(parts), f"part {number} of {len(parts)}")
            done |= await self._part(foreign[part.start : part.stop])
        return [done.get(segment.number) or TranslatedSegment(segment.number, segment.text) for segment in segments]

    def _parts(self, segments: Sequence[Segment]) -> list[range]:
        """As many as question and answer have room for, whoever of the route it goes to."""
        if not segments:
            return []
        if not self.asker.rooms:
            raise NoAnswer("No language model is configured.")
        overhead = estimate(self._prompt([]).system) + estimate(json.dumps(TranslatedLines.model_json_schema()))
        room = min(self.asker.rooms[-1] - overhead, self.asker.answer_room)
        try:
            return packed([2 * estimate(segment.text) + _LINE_TOKENS for segment in segments], room)
        except ValueError as error:
            raise NoAnswer(f"A segment does not fit into the window: {error}.", code="llm_too_long") from None

    async def _part(self, segments: Sequence[Segment]) -> Mapping[int, TranslatedSegment]:
        """These segments by number; in halves where the answer to all does not fit."""
        try:
            done = await self._asked(segments)
        except NoAnswer as none:
            if none.code != "llm_cut" or len(segments) < 2:
                raise
            middle = len(segments) // 2
            return {**await self._part(segments[:middle]), **await self._part(segments[middle:])}
        if left_out := [segment for segment in segments if segment.number not in done]:
            done = {**done, **await self._asked(left_out)}
        if missing := [segment.number for segment in segments if segment.number not in done]:
            raise NoAnswer(f"The language model left out the segments {missing}, twice.", code="llm_unusable")
        return done

    async def _asked(self, segments: Sequence[Segment]) -> dict[int, TranslatedSegment]:
        said = await self.asker.ask(self._prompt(segments), TranslatedLines)
        wanted = {segment.number for segment in segments}
        return {
            line.number: TranslatedSegment(line.number, one_line(line.text), said.provider, said.model)
            for line in said.value.lines
            if line.number in wanted and line.text.strip()
        }

    def _prompt(self, segments: Sequence[Segment]) -> Prompt:
        lines = [f"{segment.number} | {one_line(segment.text)}" for segment in segments]
        return Prompt.of(_INSTRUCTIONS.format(language=self._language), "\n".join(lines))
