"""The batched detector gives every session what it would get alone, and what ONNX Runtime would give."""

import asyncio
from collections.abc import Sequence

import numpy as np
import onnxruntime
import pytest

from gateway.vad import VoiceActivityDetector
from parley.audio import Samples, to_float32
from parley.errors import SetupError
from parley.media import decode_file
from parley.segmenter import FRAME
from parley.silero import CONTEXT, STATE, Floats, Question, SileroModel, model_path
from parley.tasks import background
from tests.conftest import CLIPS


@pytest.fixture(scope="module")
def model() -> SileroModel:
    return SileroModel(model_path())


def samples_of(index: int) -> Samples:
    return np.concatenate(list(decode_file(CLIPS[index].path)))


async def probabilities(detector: VoiceActivityDetector, samples: Samples, chunk: int) -> list[float]:
    found: list[float] = []
    stream = detector.open(found.extend)
    for start in range(0, len(samples), chunk):
        stream.feed(samples[start : start + chunk])
        await stream.settled()
    stream.pad()
    await stream.settled()
    return found


def test_the_network_answers_as_the_file_that_it_was_made_of(model: SileroModel) -> None:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    original = onnxruntime.InferenceSession(model_path(), options)
    rate = np.array(16_000)
    for index in range(len(CLIPS)):
        samples = np.pad(samples_of(index), (CONTEXT, 0))
        frames = [samples[start : start + CONTEXT + FRAME] for start in range(0, len(samples) - CONTEXT - FRAME, FRAME)]
        state, expected = np.zeros((2, 1, STATE), np.float32), []
        for frame in frames:
            answer, state = original.run(None, {"input": to_float32(frame)[None], "state": state, "sr": rate})
            expected.append(answer[0, 0])
        start = np.zeros((2, 1, STATE), np.float32)
        (found,), found_state = model.detect([samples[: CONTEXT + FRAME * len(frames)]], start)
        np.testing.assert_allclose(found, expected, atol=1e-4)
        np.testing.assert_allclose(found_state, state, atol=1e-3)


def test_a_file_with_another_network_is_refused_by_name() -> None:
    with pytest.raises(SetupError, match=r"silero_vad_16k_sequence\.onnx is not the network of silero-vad 6"):
        SileroModel(model_path().with_name("silero_vad_16k_sequence.onnx"))


async def test_speech_is_told_from_silence(model: SileroModel) -> None:
    detector = VoiceActivityDetector(model, tick_ms=0)
    async with background(detector.run()):
        speech = await probabilities(detector, samples_of(0), 1600)
        silence = await probabilities(detector, np.zeros(16_000, np.int16), 1600)
    assert max(speech) > 0.9
    assert max(silence) < 0.1


async def test_sessions_together_get_what_each_gets_alone_whatever_the_chunks(model: SileroModel) -> None:
    clips = [samples_of(index) for index in range(4)]
    detector = VoiceActivityDetector(model, tick_ms=1)
    async with background(detector.run()):
        alone = [await probabilities(detector, clip, 16_000) for clip in clips]
        together = await asyncio.gather(
            *(probabilities(detector, clip, chunk) for clip, chunk in zip(clips, (160, 1600, 777, 5000), strict=True))
        )
    for clip, one, many in zip(clips, alone, together, strict=True):
        assert len(one) == -(-len(clip) // FRAME)
        np.testing.assert_allclose(one, many, atol=1e-5)


async def test_audio_may_be_fed_while_earlier_audio_is_waited_for(model: SileroModel) -> None:
    clip = samples_of(0)
    detector = VoiceActivityDetector(model, tick_ms=1)
    found: list[float] = []
    async with background(detector.run()):
        alone = await probabilities(detector, clip, 16_000)
        stream = detector.open(found.extend)
        for start in range(0, len(clip), 1600):
            stream.feed(clip[start : start + 1600])
            await asyncio.sleep(0)
        stream.pad()
        await stream.settled()
    np.testing.assert_allclose(alone, found, atol=1e-5)


async def test_a_failing_model_is_told_to_each_session_and_the_detector_serves_on(model: SileroModel) -> None:
    class FailsOnce(SileroModel):
        def __init__(self) -> None:
            super().__init__(model_path())
            self.failed = False

        def answer(self, question: Question) -> list[Floats]:
            if not self.failed:
                self.failed = True
                raise RuntimeError("boom")
            return super().answer(question)

    detector = VoiceActivityDetector(FailsOnce(), tick_ms=0)
    async with background(detector.run()):
        with pytest.raises(RuntimeError, match="boom"):
            await probabilities(detector, np.zeros(FRAME, np.int16), FRAME)
        assert len(await probabilities(detector, np.zeros(FRAME, np.int16), FRAME)) == 1


async def test_a_session_that_cannot_take_its_frames_spoils_no_other(model: SileroModel) -> None:
    def cannot(_: Sequence[float]) -> None:
        raise RuntimeError("boom")

    detector = VoiceActivityDetector(model, tick_ms=1)
    async with background(detector.run()):
        broken = detector.open(cannot)
        broken.feed(np.zeros(FRAME, np.int16))
        assert len(await probabilities(detector, np.zeros(FRAME, np.int16), FRAME)) == 1
        with pytest.raises(RuntimeError, match="boom"):
            await broken.settled()
