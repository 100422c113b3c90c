"""WhisperLive, as a peer: its server with the one shared model, and a stream of it.

Protocol (read from the package's `server.py`, 0.10): the client sends a JSON object of options, the server answers
`{"message": "SERVER_READY"}`; then come float32 frames at 16 kHz, and `{"segments": [{start, end, text, completed}]}`
back, times in seconds of the stream; `END_OF_AUDIO` ends it, and what is not transcribed by then is dropped.

**Refresh** here: at each message that covers speech which no message covered before, the age of the oldest such speech:
from its being sent to the message. A message covers the audio up to the end of its last segment. Silence asks for no
words, so it does not count as uncovered. Speech that was never covered counts with its age at the stream's end, if that
is more than the limit. WhisperLive has no finals that follow the end of speech, so it is not asked for any.
"""

import asyncio
import contextlib
import importlib.metadata
import json
import os
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from benchmarks.environments import Peer
from benchmarks.speech import Corpus, Speech
from benchmarks.streams import LIMIT_S, Measured, Pacer, Refresh, run_streams, summarise
from benchmarks.usage import Meter, tree
from parley.audio import SAMPLE_RATE, to_float32
from parley.errors import SetupError

VERSION = "0.10.0"
THRESHOLD = 0.5
"""Speech probability from which its detector keeps audio; Parley's `speech_threshold` is the same."""
_WAIT_POLICY = "PASSIVE"
"""As Parley's engine has it: OpenMP's threads sleep while they wait. Where they spin, any other busy process makes
CTranslate2 several times slower, and the comparison would measure that."""
_START_TIMEOUT_S = 180.0
_READY_TIMEOUT_S = 60.0
"""The first session loads the model before it is ready."""
_STOP_TIMEOUT_S = 10.0
_SERVE = """
import json, sys
from whisper_live.server import TranscriptionServer
TranscriptionServer().run("127.0.0.1", **json.loads(sys.argv[1]))
"""


def peer() -> Peer:
    """Its server needs only these of its requirements. The others belong to its client (PyAudio), to other backends
    (OpenVINO, TensorRT, NVIDIA's libraries) and to diarization. CTranslate2 is the version that Parley runs on."""
    return Peer(
        name=f"whisper-live-{VERSION}",
        package=f"whisper-live=={VERSION}",
        requirements=(
            *("torch==2.13.0+cpu", "faster-whisper==1.2.0"),
            f"ctranslate2=={importlib.metadata.version('ctranslate2')}",
            *("fastapi", "uvicorn", "python-multipart", "websockets", "onnxruntime", "requests"),
        ),
    )


class WhisperLivePlayer:
    """Plays speech into one session and notes when each answer came."""

    def __init__(self, url: str, speech: Speech, language: str | None) -> None:
        self._url = url
        self._language = language
        self._pacer = Pacer(speech, lambda speech: to_float32(speech.samples).data.cast("B"))
        self._covered = 0
        self._refresh = Refresh(self._pacer)
        self.measured = Measured()

    async def play(self) -> None:
        try:
            async with connect(self._url, compression=None, max_size=None, open_timeout=30) as session:
                await session.send(json.dumps(self._options()))
                if await self._is_ready(session):
                    await self._play(session)
        except* (OSError, WebSocketException) as errors:
            self.measured.errors += [type(error).__name__ for error in errors.exceptions]

    async def _play(self, session: ClientConnection) -> None:
        self._pacer.begin()

        async def send() -> None:
            await self._pacer.send_all(session.send)
            await session.send(b"END_OF_AUDIO")

        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(send())
            async for text in session:
                self._note(json.loads(text))
            sending.cancel()
        self._note_end()

    async def _is_ready(self, session: ClientConnection) -> bool:
        """False, with the reason in the errors, where the server refuses. Raises TimeoutError (an OSError)."""
        async with asyncio.timeout(_READY_TIMEOUT_S):
            message = json.loads(await session.recv())
        if message.get("message") == "SERVER_READY":
            return True
        self.measured.errors.append(f"{message.get('status')}: {message.get('message')}")
        return False

    def _options(self) -> dict[str, Any]:
        """Its own client's defaults, but for the language and the threshold."""
        return {
            "uid": str(uuid.uuid4()),
            "language": self._language,
            "task": "transcribe",
            "model": "tiny",  # the server's own model takes its place
            "use_vad": True,
            "vad_parameters": {"threshold": THRESHOLD},
            "send_last_n_segments": 10,
            "no_speech_thresh": 0.45,
            "clip_audio": False,
            "same_output_threshold": 10,
        }

    def _note(self, message: dict[str, Any]) -> None:
        now = time.monotonic()
        segments = message.get("segments")
        if not segments:
            return
        if (still_s := self._refresh.updated(now)) is not None:
            self.measured.refresh_s.append(still_s)
        covered = max(int(float(segment["end"]) * SAMPLE_RATE) for segment in segments)
        oldest = self._pacer.speech.next_sample(self._covered)
        if oldest is not None and oldest < covered:
            self.measured.age_s.append(max(0.0, now - self._pacer.sent_at(oldest)))
            self.measured.lag_s.append(max(0, self._pacer.spoken(now) - covered) / SAMPLE_RATE)
        self._covered = max(self._covered, covered)

    def _note_end(self) -> None:
        end = self._pacer.sent_at(len(self._pacer.speech.samples) - 1)
        if (still_s := self._refresh.updated(end)) is not None and still_s > LIMIT_S:
            self.measured.refresh_s.append(still_s)
        oldest = self._pacer.speech.next_sample(self._covered)
        if oldest is not None:
            age = self._pacer.sent_at(len(self._pacer.speech.samples) - 1) - self._pacer.sent_at(oldest)
            if age > LIMIT_S:
                self.measured.age_s.append(age)


class WhisperLiveBench:
    """One running server to measure, again and again."""

    def __init__(self, url: str, pid: int, corpus: Corpus, language: str | None) -> None:
        self._url = url
        self._pid = pid
        self._corpus = corpus
        self._language = language

    def measure(self, streams: int, seconds: float) -> dict[str, Any]:
        return asyncio.run(self._measure(streams, seconds))

    async def _measure(self, streams: int, seconds: float) -> dict[str, Any]:
        speeches = [self._corpus.speech(seconds, first=index) for index in range(streams)]
        players = [WhisperLivePlayer(self._url, speech, self._language) for speech in speeches]
        meter = Meter({"server": tree(self._pid)})
        completed = await run_streams(players)
        return summarise([player.measured for player in players]) | {"completed": completed} | meter.read()


@contextlib.contextmanager
def whisperlive_bench(
    python: Path, corpus: Corpus, model: Path, *, threads: int, language: str | None, batch: bool
) -> Iterator[WhisperLiveBench]:
    """A warm server of the environment `python` with the model in the folder `model`. `batch`: with its opt-in
    batching across clients. Raises SetupError where it does not start."""
    port = _free_port()
    options = {
        "port": port,
        "backend": "faster_whisper",
        "faster_whisper_custom_model_path": str(model.resolve()),
        "single_model": True,
        "max_clients": 10_000,
        "max_connection_time": 86_400,
        "batch_enabled": batch,
        "batch_max_admissions_per_s": 10_000.0,
    }
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [str(python), "-c", _SERVE, json.dumps(options)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={"OMP_WAIT_POLICY": _WAIT_POLICY, **os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        try:
            _wait_until_open(port, process, said)
            bench = WhisperLiveBench(f"ws://127.0.0.1:{port}", process.pid, corpus, language)
            bench.measure(1, 5.0)
            yield bench
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_open(port: int, process: "subprocess.Popen[bytes]", said: Any) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.2)
    said.seek(0)
    lines = said.read().decode(errors="replace").splitlines()[-15:]
    raise SetupError("WhisperLive's server did not start. What it said:\n" + "\n".join(lines))


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
