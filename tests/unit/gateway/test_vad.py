"""The batched detector gives every session what it would get alone."""

import asyncio

import numpy as np
import pytest

from gateway.segmenter import FRAME
from gateway.vad import SileroModel, VoiceActivityDetector, model_path
from parley.audio import Samples
from parley.media import decode_file
from parley.tasks import background
from tests.conftest import CLIPS


@pytest.fixture(scope="module")
def model() -> SileroModel:
    return SileroModel(model_path())


def samples_of(index: int) -> Samples:
    return np.concatenate(list(decode_file(CLIPS[index].path)))


async def probabilities(detector: VoiceActivityDetector, samples: Samples, chunk: int) -> list[float]:
    stream = detector.open()
    found: list[float] = []
    for start in range(0, len(samples), chunk):
        found += await stream.feed(samples[start : start + chunk])
    return [*found, *await stream.flush()]


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


async def test_a_failing_model_is_told_to_each_session_and_the_detector_serves_on(model: SileroModel) -> None:
    class FailsOnce(SileroModel):
        def __init__(self) -> None:
            self.failed = False

        def step(self, frames: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            if not self.failed:
                self.failed = True
                raise RuntimeError("boom")
            return model.step(frames, state)

    detector = VoiceActivityDetector(FailsOnce(), tick_ms=0)
    async with background(detector.run()):
        with pytest.raises(RuntimeError, match="boom"):
            await probabilities(detector, np.zeros(FRAME, np.int16), FRAME)
        assert len(await probabilities(detector, np.zeros(FRAME, np.int16), FRAME)) == 1
