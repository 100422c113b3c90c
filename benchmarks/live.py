"""`python -m benchmarks.live`: live sessions in real time through gateway and engine, measured as a user feels them.

Each stream plays real speech through a real WebSocket at the pace of a microphone. Measured are

- **refresh**: how long the screen stands still while someone speaks: from a partial or final (or, where it was silent
  then, from the next speech) to the next;
- **age**: of the oldest audio that is not yet on the screen, at each partial (the time between updates and the decode).
  Speech that no partial covered for over a second before it ended counts with that age;
- **lag**: of each partial, from the newest audio in it to its being sent, by the server's own word;
- **final**: from the end of the speech (the last word's own end, known from the clip) to its final;
- **endpoint**: from the audio of the segment's end being sent to the final: what the engine adds after the silence.

`--find-limit` looks for the largest number of streams with refresh p95 and final p95 of a second at most.
"""

import argparse
import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.limit import find_limit
from benchmarks.speech import MINI_WHISPER, Corpus, Speech, default_manifest
from benchmarks.streams import LIMIT_S, Measured, Pacer, Refresh, run_streams, summarise
from benchmarks.usage import Meter, parley_parts
from parley import wire
from parley.audio import SAMPLE_RATE
from parley.client import Reconnecting, SessionEvent, open_session
from parley.embedded.server import RunningServer, running_server
from parley.errors import ClientError, ParleyError, SetupError
from parley.transcript import ms_to_samples

PROBE_S = 30.0
"""Seconds of audio of each stream in one probe for the limit."""
_WARM_UP_S = 3.0


class ParleyPlayer:
    """Plays speech into one session and notes when each answer came."""

    def __init__(self, url: str, speech: Speech, language: str | None) -> None:
        self._url = url
        self._speech = speech
        self._language = language
        self._pacer = Pacer(speech, lambda speech: speech.samples.data.cast("B"))
        self._covered = 0
        self._acked = 0
        self._refresh = Refresh(self._pacer)
        self.measured = Measured()

    async def play(self) -> None:
        start = wire.Start(sample_rate=SAMPLE_RATE, language=self._language)
        try:
            async with open_session(self._url, start) as session, asyncio.TaskGroup() as tasks:
                self._pacer.begin()

                async def send() -> None:
                    await self._pacer.send_all(session.send_audio)
                    await session.send(wire.Stop())

                sending = tasks.create_task(send())
                async for message in session:
                    self._note(message)
                sending.cancel()
                self.measured.lost_samples = len(self._speech.samples) - self._acked
        except* ParleyError as errors:
            self.measured.errors += [error.code for error in errors.exceptions if isinstance(error, ParleyError)]

    def _note(self, message: SessionEvent) -> None:
        now = time.monotonic()
        if isinstance(message, wire.Partial | wire.Final) and (still_s := self._refresh.updated(now)) is not None:
            self.measured.refresh_s.append(still_s)
        match message:
            case wire.SpeechStart():
                self._covered = max(self._covered, ms_to_samples(message.start_ms))
            case wire.Partial():
                spoken = self._pacer.spoken(now)
                self.measured.age_s.append(max(0.0, now - self._pacer.sent_at(self._covered)))
                self.measured.lag_s.append(message.lag_ms / 1000)
                self._covered = max(self._covered, spoken - ms_to_samples(message.lag_ms))
            case wire.Final():
                self._note_final(message, now)
            case wire.Ack():
                self._acked = message.samples
            case wire.Error() if message.code != "no_words":
                self.measured.errors.append(message.code)
            case Reconnecting():
                self.measured.errors.append("connection_lost")
            case _:
                pass

    def _note_final(self, final: wire.Final, now: float) -> None:
        end = ms_to_samples(final.end_ms)
        self.measured.finals += 1
        self.measured.endpoint_s.append(max(0.0, now - self._pacer.sent_at(end - 1)))
        speech_end = self._speech.last_end(ms_to_samples(final.start_ms), end)
        if speech_end is not None:
            self.measured.final_s.append(now - self._pacer.began - speech_end / SAMPLE_RATE)
            starved_s = (speech_end - self._covered) / SAMPLE_RATE
            if starved_s > LIMIT_S:
                self.measured.age_s.append(starved_s)
        self._covered = max(self._covered, end)


class ParleyBench:
    """One running server to measure, again and again."""

    def __init__(self, server: RunningServer, corpus: Corpus, language: str | None) -> None:
        self._server = server
        self._corpus = corpus
        self._language = language

    def measure(self, streams: int, seconds: float, *, to_the_end: bool = False) -> dict[str, Any]:
        """Plays `seconds` of speech in each of `streams`."""
        speeches = [self._corpus.speech(seconds, first=index) for index in range(streams)]
        return asyncio.run(self._measure(speeches, to_the_end))

    async def _measure(self, speeches: Sequence[Speech], to_the_end: bool) -> dict[str, Any]:
        players = [ParleyPlayer(self._server.base_url, speech, self._language) for speech in speeches]
        meter = Meter(parley_parts(self._server.process.pid))
        completed = await run_streams(players, to_the_end=to_the_end)
        return summarise([player.measured for player in players]) | {"completed": completed} | meter.read()


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """`threads` of a decode, and `replicas`, which decode at the same time. None and 0: the engine's own choice."""

    final_window: str | None = None
    threads: int = 0
    replicas: int = 0

    def environment(self, model: Path) -> dict[str, str]:
        settings = {"MODEL": str(model.resolve()), "CPU_THREADS": str(self.threads), "REPLICAS": str(self.replicas)}
        if self.final_window:
            settings["FINAL_WINDOW"] = self.final_window
        return {f"PARLEY_ENGINE__{name}": value for name, value in settings.items()}


@contextlib.contextmanager
def parley_bench(corpus: Corpus, model: Path, options: EngineOptions, language: str | None) -> Iterator[ParleyBench]:
    """A warm server with the model in the folder `model`. Raises ClientError where there is none."""
    if not (model / "model.bin").is_file():
        raise ClientError(f"--model must be a folder with a CTranslate2 model (given: {model}).", code="no_such_file")
    env = options.environment(model)
    with running_server(env=env) as server:
        bench = ParleyBench(server, corpus, language)
        bench.measure(1, _WARM_UP_S)
        yield bench


def final_window(text: str) -> str:
    """`full`, `fit` or a number of seconds up to 30, as the setting wants it."""
    if text not in ("full", "fit"):
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= 30:
            raise argparse.ArgumentTypeError(f"must be full, fit or seconds up to 30 (given: {text!r})")
    return text


def add_speech_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--language", default="en", help="of the speech; `auto` detects it (default en)")
    parser.add_argument(
        "--audio", type=Path, default=default_manifest(), help="manifest of clips (default: real ones if at hand)"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--streams", type=int, default=1, help="sessions at once; to begin with, for --find-limit")
    parser.add_argument(
        "--to-the-end", action="store_true", help="go on where streams are refused or far too late: overload"
    )
    parser.add_argument("--find-limit", action="store_true", help="look for the largest number of sessions")
    parser.add_argument("--seconds", type=float, help=f"audio of each session (default 60; --find-limit {PROBE_S:g})")
    parser.add_argument(
        "--model", type=Path, default=MINI_WHISPER / "model", help="Whisper model folder (default: the miniature one)"
    )
    parser.add_argument("--final-window", type=final_window, help="full, fit or seconds (default: the engine's)")
    parser.add_argument("--threads", type=int, default=0, help="of a decode on a CPU (default: the engine's choice)")
    parser.add_argument(
        "--replicas", type=int, default=0, help="decodes at the same time (default: the engine's choice)"
    )
    add_speech_options(parser)
    report.add_output_options(parser)
    return parser


def main() -> None:
    parser = _parser()
    args = parser.parse_args()
    seconds = args.seconds if args.seconds is not None else PROBE_S if args.find_limit else 60.0
    if args.streams < 1 or seconds <= 0:
        parser.error(f"--streams and --seconds must be positive (given: {args.streams}, {seconds:g})")
    if args.threads < 0 or args.replicas < 0:
        parser.error(f"--threads and --replicas must not be negative (given: {args.threads}, {args.replicas})")
    try:
        result = _run(args, seconds)
    except (ClientError, SetupError) as error:
        parser.error(str(error))
    report.finish(f"live-{'limit' if args.find_limit else args.streams}-{result['model']}", result, args)


def _run(args: argparse.Namespace, seconds: float) -> dict[str, Any]:
    corpus = Corpus(args.audio)
    language = None if args.language == "auto" else args.language
    model = args.model.name if args.model.name != "model" else args.model.parent.name
    about = {"model": model, "final_window": args.final_window or "default", "speech": corpus.label}
    report.progress(f"{model}, {seconds:g} s of {corpus.label} in each stream …")
    options = EngineOptions(args.final_window, args.threads, args.replicas)
    with parley_bench(corpus, args.model, options, language) as bench:
        if not args.find_limit:
            return about | bench.measure(args.streams, seconds, to_the_end=args.to_the_end)
        return about | find_limit(lambda streams: bench.measure(streams, seconds), args.streams)


if __name__ == "__main__":
    main()
