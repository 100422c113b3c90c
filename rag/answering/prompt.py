"""What a language model is told when it is to answer. Pure.

Instructions are ours; what was said is data (`parley.llm.prompt`).
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from parley.ask import Exchange
from parley.llm.prompt import Prompt
from rag.answering.claims import Evidence
from rag.answering.history import as_data

_ANSWER = """\
The data is a question and numbered lines of transcripts: [number] what was said. Answer the question from these lines
alone, in its language, in as few statements as it takes, at most five. For each statement name the lines that say it,
and quote their words exactly as they stand there. Where lines contradict each other, say so, with both. What you know
otherwise does not count. If the lines do not say it, or only speak about something similar, give no statement at all:
an empty answer is a good answer."""

_REWRITE = """\
The data is a conversation: what was asked and answered, and what is asked now. Write what is asked now as one question
that can be understood without the rest, in the same language: put in the names and things that it refers to, and add
nothing else."""


class StandaloneQuestion(BaseModel):
    """A question that needs nothing before it."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    question: str
    """The question."""


def to_answer(question: str, evidence: Evidence) -> Prompt:
    """For an `AnswerDraft`."""
    return Prompt.of(_ANSWER, f"Question: {question}\n\n{_listed(evidence)}")


def to_rewrite(question: str, history: Sequence[Exchange]) -> Prompt:
    """For a `StandaloneQuestion`."""
    return Prompt.of(_REWRITE, as_data(question, history))


def _listed(evidence: Evidence) -> str:
    """The lines by recording and day, each on one line: what was said cannot begin a line of its own."""
    shown, heading = [], None
    for line in evidence.lines:
        if (line.hit.recording_id, line.hit.title) != heading:
            heading = line.hit.recording_id, line.hit.title
            shown.append(f"\nRecording {_flat(line.hit.title or 'without a title')}, {line.hit.created_at:%Y-%m-%d}:")
        shown.append(f"[{line.number}] {_flat(line.segment.text)}")
    return "\n".join(shown).strip()


def _flat(text: str) -> str:
    return " ".join(text.split())
