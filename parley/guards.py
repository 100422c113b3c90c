"""When to doubt a hypothesis, and when to drop it. Pure.

Thresholds are Whisper's own, https://github.com/openai/whisper/blob/main/whisper/transcribe.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from parley.errors import EngineError
from parley.transcript import Hypothesis

MIN_LOG_PROBABILITY = -1.0
MAX_COMPRESSION_RATIO = 2.4
NO_SPEECH_PROBABILITY = 0.6

_LONGEST_PHRASE_WORDS = 4
_REPETITIONS = 4

Verdict = Literal["good", "suspect", "silence"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a decode says of itself: mean log-probability of a token, text bytes over their compressed bytes, the
    probability that there is no speech, and the words as written."""

    log_probability: float
    compression_ratio: float
    no_speech: float
    words: Sequence[str]


def judge(evidence: Evidence) -> Verdict:
    """`silence`: the words are no words that anyone said. `suspect`: keep them, but mark them."""
    unlikely = evidence.log_probability < MIN_LOG_PROBABILITY
    if unlikely and evidence.no_speech > NO_SPEECH_PROBABILITY:
        return "silence"
    if unlikely or evidence.compression_ratio > MAX_COMPRESSION_RATIO or repeats(evidence.words):
        return "suspect"
    return "good"


def better(before: Hypothesis | EngineError | None, now: Hypothesis | EngineError) -> Hypothesis | EngineError:
    """Which of two attempts at a window to keep: the later, which took more care, unless it failed or is suspect. Of
    two that are suspect, the more confident."""
    if isinstance(now, EngineError) or isinstance(before, EngineError) or before is None:
        return now if not isinstance(before, Hypothesis) else before
    if now.suspect and (not before.suspect or before.confidence > now.confidence):
        return before
    return now


def repeats(words: Sequence[str]) -> bool:
    """Whether a phrase of one to four words comes four times or more in a row."""
    return any(_longest_run(words, length) >= _REPETITIONS for length in range(1, _LONGEST_PHRASE_WORDS + 1))


def _longest_run(words: Sequence[str], length: int) -> int:
    """How often a phrase of `length` words comes in a row at most."""
    matching, longest = 0, 0
    for now, before in zip(words[length:], words, strict=False):
        matching = matching + 1 if now == before else 0
        longest = max(longest, matching)
    return longest // length + 1
