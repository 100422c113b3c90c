"""What a model writes down of a whole clip, without streaming: what streaming is compared with."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol

from benchmarks.speech import speech_probabilities
from benchmarks.wer_clips import Clip
from parley.audio import Samples, to_float32
from parley.errors import ClientError
from parley.segmenter import Checkpoint, SegmentEnded, Segmenter, SegmentStarted
from parley.settings import EngineSettings, SegmenterSettings
from parley.silero import SileroModel, model_path
from stream_engine.recognizers.base import Recognizer, Window
from stream_engine.recognizers.choose import device_of


class Offline(Protocol):
    """A recogniser of whole clips."""

    name: str
    languages: tuple[str, ...]

    def text(self, clip: Clip) -> str:
        """All that is said in the clip. Blocks."""
        ...

    def close(self) -> None: ...


class WholeFiles:
    """faster-whisper's own `transcribe` over the whole file: what somebody gets who doesn't stream.

    Device, compute type and beam are those of the engine's finals. No filter of silence; the text of one window is no
    prompt of the next, because a guess would otherwise go on through the file, and an engine's segments have none
    either. All else, such as its fallback to other temperatures, is faster-whisper's default.
    """

    name = "faster-whisper"

    def __init__(self, model: Path, settings: EngineSettings) -> None:
        from faster_whisper import WhisperModel

        device = device_of(settings)
        compute_type = "float16" if device == "cuda" else "int8"
        try:
            self._model = WhisperModel(str(model), device=device, compute_type=compute_type, local_files_only=True)
        except (RuntimeError, ValueError, OSError) as error:
            raise ClientError(f"The model in {model} does not load: {str(error).strip()}", code="bad_model") from error
        self._beam_size = settings.beam_size
        self.languages = tuple(self._model.supported_languages)

    def text(self, clip: Clip) -> str:
        segments, _ = self._model.transcribe(
            to_float32(clip.samples),
            language=clip.language,
            beam_size=self._beam_size,
            vad_filter=False,
            condition_on_previous_text=False,
        )
        return " ".join(segment.text.strip() for segment in segments)

    def close(self) -> None:
        """Nothing to let go of: the model's memory goes with the object."""


class WholeSegments:
    """A recogniser of the engine over the segments that the gateway's endpointing finds in a whole clip.

    The silence that is played behind the clip belongs to it, so that the segments are those of streaming.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self._recognizer = recognizer
        self._silero = SileroModel(model_path())
        self.name = recognizer.info.name
        self.languages = recognizer.info.languages

    def text(self, clip: Clip) -> str:
        samples = clip.played
        found = segments(lambda start: speech_probabilities(self._silero, samples[start:]), len(samples))
        return " ".join(self._decoded(samples[start:end], clip.language) for start, end in found)

    def close(self) -> None:
        self._recognizer.close()

    def _decoded(self, samples: Samples, language: str | None) -> str:
        return self._recognizer.decode([Window(samples, len(samples), language=language)])[0].text


def segments(hear: Callable[[int], Iterable[float]], samples: int) -> Iterator[tuple[int, int]]:
    """Where the segments of a clip of `samples` begin and end, in samples.

    `hear(start)` gives the speech probability of each frame from sample `start` on, by a detector that begins there.
    """
    segmenter = Segmenter(SegmenterSettings())
    start = 0
    checkpoint: Checkpoint | None = Checkpoint()
    while checkpoint is not None:
        events = segmenter.feed(hear(checkpoint.position))
        checkpoint = next((event.checkpoint for event in events if isinstance(event, SegmentEnded)), None)
        for event in events if checkpoint else [*events, *segmenter.finalize(samples, "stop")]:
            match event:
                case SegmentStarted():
                    start = event.start
                case SegmentEnded():
                    yield start, event.end
                case _:
                    pass
