"""PocketSphinx with the English model that its wheel carries: works on any machine, with no network, and hears badly.

It is here so that a fresh machine writes down real speech at once; whoever runs it by fallback is told so. It decodes
in a process of its own (`sphinx_process`), because it keeps Python's global lock all the while: measured, 1.8 s in
which the event loop would stand still for a segment of 16 s.
"""

import json
import subprocess
import sys
from collections.abc import Sequence

from parley.audio import SAMPLE_RATE, Samples
from parley.errors import EngineError, SetupError
from parley.transcript import Hypothesis, Word
from parley.transcript import Recognizer as RecognizerInfo
from stream_engine.recognizers.base import Window
from stream_engine.recognizers.sphinx_process import HEADER, Found

_FRAME_SAMPLES = SAMPLE_RATE // 100
"""PocketSphinx counts time in frames of 10 ms."""
_SUSPECT_BELOW = 0.3
"""Mean word probability: on clear English sentences it was 0.2 to 0.5 here, and the lower end was mostly wrong."""


class PocketSphinx:
    """One decoder process, used for one window after the other, started again if it dies."""

    replicas = 1

    def __init__(self, reason: str, *, fallback: bool = False, remedy: str = "") -> None:
        self._info = RecognizerInfo(
            name="pocketsphinx",
            model="en-us",
            device="cpu",
            compute_type="int16",
            reason=reason,
            fallback=fallback,
            remedy=remedy,
        )
        self._process = _start()

    @property
    def info(self) -> RecognizerInfo:
        return self._info

    def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
        return [self._decode_one(window) for window in windows]

    def close(self) -> None:
        """Ends the process; a decode in it is given up."""
        self._process.kill()
        self._process.communicate()

    def _decode_one(self, window: Window) -> Hypothesis:
        if window.language not in (None, "en"):
            raise EngineError(
                f"PocketSphinx knows English only, not {window.language!r}.",
                code="unsupported_language",
                retryable=False,
            )
        if not window.samples.any():  # digital silence: its model would guess a word
            return Hypothesis((), "en", 0.0, no_speech=1.0)
        words = tuple(_word(found, len(window.samples)) for found in self._ask(window.samples))
        confidence = sum(word.confidence for word in words) / len(words) if words else 0.0
        return Hypothesis(words, "en", confidence, suspect=bool(words) and confidence < _SUSPECT_BELOW)

    def _ask(self, samples: Samples) -> list[Found]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        data = samples.astype("<i2", copy=False).tobytes()
        try:
            process.stdin.write(HEADER.pack(len(data)) + data)
            process.stdin.flush()
            answer: list[Found] = json.loads(process.stdout.readline())
        except (OSError, ValueError) as error:
            self.close()
            self._process = _start()
            raise EngineError(f"The decoder process ended with status {process.returncode}.") from error
        return answer


def _start() -> "subprocess.Popen[bytes]":
    """A decoder process that says it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_engine.recognizers.sphinx_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    if not process.stdout.readline():
        process.communicate()
        raise SetupError(
            f"PocketSphinx cannot be started; its process ended with status {process.returncode}."
            " Is it installed? pip install 'parley[engine]'.",
            code="missing_library",
        )
    return process


def _word(found: Found, samples: int) -> Word:
    text, first_frame, last_frame, probability = found
    return Word(
        text=text,
        start=min(first_frame * _FRAME_SAMPLES, samples),
        end=min((last_frame + 1) * _FRAME_SAMPLES, samples),
        confidence=min(1.0, max(0.0, probability)),
    )
