"""Voice activity detection: Silero's ONNX model, run for all sessions together, off the event loop.

Frames that wait are gathered for a tick and go through the network in rounds: each round takes the next frame of
every session that has one, as one batch.
Source of the model: https://github.com/snakers4/silero-vad (MIT), version 6.
"""

import asyncio
import importlib.util
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from gateway.segmenter import FRAME
from parley import metrics
from parley.audio import SAMPLE_RATE, Samples, to_float32
from parley.errors import SetupError
from parley.logs import get_logger

_CONTEXT = 64
"""Samples of the frame before that the model sees again at 16 kHz."""
_MODEL_FILE = "silero_vad_op18_ifless.onnx"

_log = get_logger(__name__)

Floats = npt.NDArray[np.float32]


def model_path() -> Path:
    """The ONNX file in the silero-vad wheel, found without importing the package (which needs PyTorch)."""
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError("The package silero-vad is not installed; `make install` installs it.")
    return Path(spec.submodule_search_locations[0]) / "data" / _MODEL_FILE


class SileroModel:
    """The network: one step for a batch of frames."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._rate = np.array(SAMPLE_RATE, dtype=np.int64)

    def step(self, frames: Floats, state: Floats) -> tuple[Floats, Floats]:
        """Frames (b, 64 + 512) and state (2, b, 128) → probabilities (b,) and the next state."""
        probabilities, next_state = self._session.run(None, {"input": frames, "state": state, "sr": self._rate})
        return probabilities[:, 0], next_state


class VadStream:
    """One session's place in the detector: its recurrent state and the samples that do not yet fill a frame."""

    def __init__(self, detector: "VoiceActivityDetector") -> None:
        self._detector = detector
        self._rest: Floats = np.empty(0, np.float32)
        self.context: Floats = np.zeros(_CONTEXT, np.float32)
        self.state: Floats = np.zeros((2, 128), np.float32)

    async def feed(self, samples: Samples) -> Sequence[float]:
        """The speech probability of each frame that `samples`, shape (n,), completes; often none."""
        joined = np.concatenate([self._rest, to_float32(samples)])
        whole = len(joined) // FRAME * FRAME
        self._rest = joined[whole:]
        if not whole:
            return ()
        return await self._detector.process(self, joined[:whole].reshape(-1, FRAME))

    async def flush(self) -> Sequence[float]:
        """The probability of the last, incomplete frame (filled up with silence), if there is one."""
        if not len(self._rest):
            return ()
        last = np.pad(self._rest, (0, FRAME - len(self._rest))).reshape(1, FRAME)
        self._rest = self._rest[:0]
        return await self._detector.process(self, last)


@dataclass(slots=True)
class _Waiting:
    stream: VadStream
    frames: Floats  # (n, 512)
    done: asyncio.Future[Sequence[float]]


class VoiceActivityDetector:
    """All sessions of one gateway, batched. `run` must be running while streams are fed."""

    def __init__(self, model: SileroModel, *, tick_ms: int) -> None:
        self._model = model
        self._tick_s = tick_ms / 1000
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()

    def open(self) -> VadStream:
        """A new session's stream."""
        return VadStream(self)

    async def process(self, stream: VadStream, frames: Floats) -> Sequence[float]:
        """Frames (n, 512) of one session, in order → n probabilities. One call at a time for each session."""
        done: asyncio.Future[Sequence[float]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(stream, frames, done))
        self._wake.set()
        return await done

    async def run(self) -> None:
        """Serves until cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="vad") as worker:
            while True:
                await self._wake.wait()
                await asyncio.sleep(self._tick_s)
                self._wake.clear()
                batch, self._waiting = self._waiting, []
                started = time.perf_counter()
                results = await loop.run_in_executor(worker, self._detect, batch)
                metrics.VAD_CALL_S.observe(time.perf_counter() - started)
                for waiting, result in zip(batch, results, strict=True):
                    if waiting.done.done():
                        continue
                    if isinstance(result, Exception):
                        waiting.done.set_exception(result)
                    else:
                        waiting.done.set_result(result)

    def _detect(self, batch: list[_Waiting]) -> list[list[float] | Exception]:
        """The probabilities of each. Where the network fails, each is tried alone, so that one spoils no other."""
        try:
            return list(self._rounds(batch))
        except Exception as error:  # noqa: BLE001 — each session learns it; the detector serves on
            if len(batch) == 1:
                return [error]
            _log.warning("detector failed", sessions=len(batch), exc_info=True)
            return [outcome for waiting in batch for outcome in self._detect([waiting])]

    def _rounds(self, batch: list[_Waiting]) -> list[list[float]]:
        results: list[list[float]] = [[] for _ in batch]
        for index in range(max(len(waiting.frames) for waiting in batch)):
            members = [i for i, waiting in enumerate(batch) if index < len(waiting.frames)]
            metrics.VAD_BATCH.observe(len(members))
            streams = [batch[i].stream for i in members]
            frames = np.stack([np.concatenate([batch[i].stream.context, batch[i].frames[index]]) for i in members])
            probabilities, state = self._model.step(frames, np.stack([stream.state for stream in streams], axis=1))
            for row, (i, stream) in enumerate(zip(members, streams, strict=True)):
                results[i].append(float(probabilities[row]))
                stream.context, stream.state = frames[row, -_CONTEXT:], state[:, row]
        return results
