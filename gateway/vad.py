"""Voice activity detection for all sessions of a gateway together, off the event loop.

Frames are gathered for a tick; then those of all sessions go through the network in one call.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

import numpy as np

from parley import metrics
from parley.audio import Samples
from parley.logs import get_logger
from parley.segmenter import FRAME
from parley.silero import CONTEXT, STATE, Floats, Question, SileroModel

_log = get_logger(__name__)

OnFrames = Callable[[Sequence[float]], None]
_Turn = tuple["VadStream", Samples]
"""A session's part of a call."""


class VadStream:
    """One session's place in the detector: its recurrent state and the samples that do not yet fill a frame."""

    def __init__(self, detector: "VoiceActivityDetector", on_frames: OnFrames) -> None:
        self._detector = detector
        self._on_frames = on_frames
        self._tail: Samples = np.zeros(CONTEXT, np.int16)  # the context of the next frame, and what there is of it
        self._chunks: list[Samples] = []
        self._waiting = 0  # samples that were not taken yet
        self._taken = 0  # samples that were taken and are not answered yet
        self._busy = False
        self._failure: Exception | None = None
        self._answered: asyncio.Future[None] | None = None
        self.state: Floats = np.zeros((2, STATE), np.float32)

    def feed(self, samples: Samples) -> None:
        """Takes samples of shape (n,); `on_frames` is told the probability of each frame that they complete, later."""
        self._chunks.append(samples)
        self._waiting += len(samples)
        if self._waiting >= FRAME and not self._busy:
            self._busy = True
            self._detector.enqueue(self)

    def pad(self) -> None:
        """Completes the last frame with silence, where one is begun."""
        if missing := -self._waiting % FRAME:
            self.feed(np.zeros(missing, np.int16))

    def restart(self, samples: Samples) -> None:
        """Forgets all it was fed: `samples` of shape (n,) come next, for a detector that has heard nothing before.

        To be called where nothing is under way: from `on_frames`, or when it is settled.
        """
        self.state = np.zeros((2, STATE), np.float32)
        self._tail = np.zeros(CONTEXT, np.int16)
        self._chunks, self._waiting = [], 0
        self.feed(samples)

    async def settled(self, *, all_but: int = 0) -> None:
        """Waits until `on_frames` was told all whole frames of all but so many samples. Raises what went wrong."""
        while self._busy and self._waiting + self._taken > all_but:
            self._answered = asyncio.get_running_loop().create_future()
            await self._answered
        if self._failure is not None:
            raise self._failure

    def take(self) -> Samples:
        """The whole frames that wait, with the context of the first: 64 + 512 n samples."""
        joined = np.concatenate([self._tail, *self._chunks])
        self._chunks.clear()
        whole = self._waiting - self._waiting % FRAME
        self._waiting, self._taken = self._waiting - whole, whole
        self._tail = joined[whole:]
        return joined[: CONTEXT + whole]

    def deliver(self, outcome: "Sequence[float] | Exception") -> None:
        """What came of the frames that were taken."""
        try:
            if isinstance(outcome, Exception):
                raise outcome
            self._on_frames(outcome)
        except Exception as error:  # noqa: BLE001 — the session learns it; the others' turn comes
            self._failure = error
        self._taken = 0
        self._busy = self._waiting >= FRAME and self._failure is None
        if self._busy:
            self._detector.enqueue(self)
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)


class VoiceActivityDetector:
    """All sessions of one gateway, batched. `run` must be running while streams are fed."""

    def __init__(self, model: SileroModel, *, tick_ms: int) -> None:
        self._model = model
        self._tick_s = tick_ms / 1000
        self._waiting: list[VadStream] = []
        self._wake = asyncio.Event()

    def open(self, on_frames: OnFrames) -> VadStream:
        """A new session's stream. `on_frames` is told the speech probability of each frame, in order."""
        return VadStream(self, on_frames)

    def enqueue(self, stream: VadStream) -> None:
        """The stream has whole frames; it takes part in the next call."""
        self._waiting.append(stream)
        self._wake.set()

    async def run(self) -> None:
        """Serves until cancelled."""
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="vad") as worker:
            while True:
                await self._wake.wait()
                await asyncio.sleep(self._tick_s)
                self._wake.clear()
                streams, self._waiting = self._waiting, []
                await self._serve(worker, [(stream, stream.take()) for stream in streams])

    async def _serve(self, worker: Executor, turns: Sequence[_Turn]) -> None:
        """One call for all. Where the network fails, each is tried alone, so that one spoils no other."""
        try:
            found = await self._detect(worker, turns)
        except Exception as error:  # noqa: BLE001 — each session learns it; the detector serves on
            if len(turns) == 1:
                turns[0][0].deliver(error)
                return
            _log.warning("detector failed", sessions=len(turns), exc_info=True)
            for turn in turns:
                await self._serve(worker, [turn])
            return
        for (stream, _), probabilities in zip(turns, found, strict=True):
            stream.deliver(probabilities)

    async def _detect(self, worker: Executor, turns: Sequence[_Turn]) -> list[list[float]]:
        """Only the network runs in the thread: its steps of Python and the event loop would wait for each other."""
        started = time.perf_counter()
        state = np.stack([stream.state for stream, _ in turns], axis=1)
        question = Question.of([samples for _, samples in turns], state)
        answer = await asyncio.get_running_loop().run_in_executor(worker, self._answer, question)
        found, state = question.read(answer)
        for column, (stream, _) in enumerate(turns):
            stream.state = state[:, column].copy()
        metrics.VAD_CALL_S.observe(time.perf_counter() - started)
        metrics.VAD_BATCH.observe(question.counts.sum())
        return found

    def _answer(self, question: Question) -> list[Floats]:
        started = time.thread_time()
        answer = self._model.answer(question)
        metrics.VAD_CPU_S.inc(time.thread_time() - started)
        return answer
