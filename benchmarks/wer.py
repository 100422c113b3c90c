"""`python -m benchmarks.wer`: the word error rate of streaming beside that of the same model without.

*Streaming*: each clip goes through a real server's WebSocket at the pace of a microphone, with a second of silence
behind it; what counts is the text of the finals. *Offline*: the same model hears the whole clip; Whisper through
faster-whisper's own `transcribe`, PocketSphinx segment by segment (`wer_offline`). The difference is the price of live
text. Also measured: how far the committed text, which a reader takes for settled, was right, how much of the tentative
text changed, and what was written down of sounds without speech.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.live import EngineOptions, final_window
from benchmarks.scoring import (
    Churn,
    Shown,
    committed_churn,
    committed_text,
    differences,
    final_text,
    plain_words,
    scored_words,
    tentative_churn,
    word_error_rate,
)
from benchmarks.speech import MINI_WHISPER, default_manifest, read_manifest
from benchmarks.wer_clips import (
    Clip,
    Row,
    is_non_speech,
    joined,
    load,
    load_speech,
    noisy,
    repeated,
    select_speech,
    spread,
)
from benchmarks.wer_offline import Offline, WholeFiles, WholeSegments
from benchmarks.wer_stream import play_all
from parley.embedded.server import running_server
from parley.errors import ClientError, ParleyError
from parley.settings import EngineSettings

_MINI_EXAMPLES = MINI_WHISPER / "examples" / "manifest.jsonl"
_COMPARED = (
    "final_window",
    "wer_streaming",
    "wer_penalty_points",
    "wer_committed",
    "churn_committed",
    "churn_tentative",
    "committed_words_non_speech_per_hour",
    "final_words_non_speech_per_hour",
)
"""What the runs with several final windows are compared by."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is played, and what the offline recogniser wrote down of each clip of speech."""

    speech: list[Clip]
    offline: list[str]
    non_speech: list[Clip]


def measure(sample: Sample, env: dict[str, str], streams: int) -> tuple[dict[str, Any], list[list[Shown]]]:
    """Plays the sample into a server with the settings `env`. Gives its figures, and the segments of speech."""
    with running_server(env=env) as server:
        heard = play_all(server.base_url, [*sample.speech, *sample.non_speech], streams)
    speech, non_speech = heard[: len(sample.speech)], heard[len(sample.speech) :]
    return speech_figures(sample, speech) | non_speech_figures(sample.non_speech, non_speech), speech


def speech_figures(sample: Sample, heard: Sequence[Sequence[Shown]]) -> dict[str, Any]:
    """The keys of `benchmarks/README.md` that tell of speech; `heard` are the segments of each clip of it."""
    offline = _error_rate(sample.speech, sample.offline)
    streaming = _error_rate(sample.speech, [final_text(segments) for segments in heard])
    committed = [committed_churn(segments, text) for segments, text in zip(heard, sample.offline, strict=True)]
    tentative = [tentative_churn(segment) for segments in heard for segment in segments]
    return {
        "wer_offline": _rounded(offline),
        "wer_streaming": _rounded(streaming),
        "wer_penalty_points": None if offline is None or streaming is None else round(100 * (streaming - offline), 2),
        "wer_committed": _rounded(_error_rate(sample.speech, [committed_text(segments) for segments in heard])),
        "churn_committed": _rounded(_sum(committed).share),
        "committed_words": _sum(committed).words,
        "churn_tentative": _rounded(_sum(tentative).share),
        "tentative_words": _sum(tentative).words,
        "clips": len(sample.speech),
        "segments": sum(len(segments) for segments in heard),
        "words": sum(len(_words(clip)) for clip in sample.speech),
        "hours_speech": round(sum(clip.hours for clip in sample.speech), 4),
    }


def non_speech_figures(clips: Sequence[Clip], heard: Sequence[Sequence[Shown]]) -> dict[str, Any]:
    """The keys that tell of sounds without speech."""
    hours = sum(clip.hours for clip in clips)
    committed = sum(len(plain_words(committed_text(segments))) for segments in heard)
    final = sum(len(plain_words(final_text(segments))) for segments in heard)
    return {
        "committed_words_non_speech_per_hour": round(committed / hours, 1) if hours else None,
        "final_words_non_speech_per_hour": round(final / hours, 1) if hours else None,
        "clips_non_speech": len(clips),
        "segments_non_speech": sum(len(segments) for segments in heard),
        "hours_non_speech": round(hours, 4),
    }


def _error_rate(clips: Sequence[Clip], texts: Sequence[str]) -> float | None:
    written = (scored_words(text, clip.language or "") for clip, text in zip(clips, texts, strict=True))
    return word_error_rate(zip(map(_words, clips), written, strict=True))


def _words(clip: Clip) -> list[str]:
    return scored_words(clip.text, clip.language or "")


def _sum(churns: Sequence[Churn]) -> Churn:
    return reduce(add, churns, Churn())


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 4)


def _show_differences(sample: Sample, heard: Sequence[Sequence[Shown]]) -> None:
    """Each clip in which offline or streaming differs from what was said, with the words."""
    for clip, text, segments in zip(sample.speech, sample.offline, heard, strict=True):
        said, language = _words(clip), clip.language or ""
        offline, streaming = scored_words(text, language), scored_words(final_text(segments), language)
        if offline != said or streaming != said:
            report.progress(f"{clip.name}\n  offline:   {differences(said, offline)}")
            report.progress(f"  streaming: {differences(said, streaming)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.wer", description=(__doc__ or "").split("\n")[0])
    recognizer = parser.add_mutually_exclusive_group()
    recognizer.add_argument("--model", type=Path, help="Whisper model folder (default: the miniature one)")
    recognizer.add_argument(
        "--recognizer", choices=["pocketsphinx"], help="score the fallback recogniser in place of a Whisper model"
    )
    parser.add_argument(
        "--audio", type=Path, help="manifest of clips (default: real ones if at hand, the miniature model's own for it)"
    )
    parser.add_argument(
        "--non-speech", type=Path, help="manifest of sounds without speech (default: --audio, or real ones if at hand)"
    )
    parser.add_argument("--language", default="en", help="of clips that name none (default en)")
    parser.add_argument("--clips", type=int, help="score so many clips of speech, spread over all; 0: none")
    parser.add_argument("--longest", type=float, default=60.0, help="seconds of a clip at most (default 60)")
    parser.add_argument("--joined", type=float, help="join clips, in random order, to at least so many seconds")
    parser.add_argument("--pause", type=float, default=1.0, help="longest pause between joined clips (default 1 s)")
    parser.add_argument("--noise", type=float, help="put sounds without speech into the background, so many dB lower")
    parser.add_argument("--repeat", type=int, default=1, help="play all so often; joined clips in another order each")
    parser.add_argument(
        "--non-speech-seconds", type=float, default=30.0, help="of each sound, repeated (default 30); 0: no sounds"
    )
    parser.add_argument("--streams", type=int, default=4, help="clips that are played at once (default 4)")
    parser.add_argument("--final-window", type=final_window, nargs="+", default=[None], help="full, fit or seconds …")
    parser.add_argument("--differences", action="store_true", help="print the words that were written down wrong")
    report.add_output_options(parser)
    return parser


def main() -> None:
    parser = _parser()
    args = parser.parse_args()
    if args.streams < 1 or args.repeat < 1 or args.longest <= 0 or (args.joined is not None and args.joined <= 0):
        parser.error("--streams, --repeat, --longest and --joined must be positive")
    if args.pause < 0 or args.non_speech_seconds < 0 or (args.clips is not None and args.clips < 0):
        parser.error("--pause, --non-speech-seconds and --clips must not be negative")
    if args.recognizer and args.final_window != [None]:
        parser.error("--final-window goes with a Whisper model: PocketSphinx decodes each segment as it is")
    try:
        result = _run(args)
    except ParleyError as error:
        parser.error(str(error))
    kinds = [kind for kind, given in (("joined", args.joined), ("noisy", args.noise)) if given is not None]
    report.finish("-".join(["wer", result["model"], *kinds]), result, args)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    model = None if args.recognizer else (args.model or MINI_WHISPER / "model")
    offline = _open_offline(model)
    try:
        sample, about = _gather(args, offline, model)
    finally:
        offline.close()
    runs = []
    for window in args.final_window:
        report.progress(f"Streaming with final_window {window or 'default'}:")
        figures, heard = measure(sample, _environment(model, window), args.streams)
        runs.append({"final_window": window or "default"} | figures)
        if args.differences:
            _show_differences(sample, heard)
    result = about | runs[0]
    if len(runs) > 1:
        result["by_final_window"] = [{key: run[key] for key in _COMPARED} for run in runs]
    return result


def _open_offline(model: Path | None) -> Offline:
    """The recogniser to compare with: the Whisper model in the folder `model`, or PocketSphinx."""
    if model is None:
        from stream_engine.recognizers.pocketsphinx import PocketSphinx

        return WholeSegments(PocketSphinx("configured"))
    if not (model / "model.bin").is_file():
        raise ClientError(f"--model must be a folder with a CTranslate2 model (given: {model}).", code="no_such_file")
    return WholeFiles(model, EngineSettings())


def _environment(model: Path | None, window: str | None) -> dict[str, str]:
    if model is not None:
        return EngineOptions(window).environment(model)
    return {"PARLEY_ENGINE__RECOGNIZER": "pocketsphinx"}


def _gather(args: argparse.Namespace, offline: Offline, model: Path | None) -> tuple[Sample, dict[str, Any]]:
    """Loads and decodes what is to be played; with what the result says about it."""
    audio = args.audio or (default_manifest() if model != MINI_WHISPER / "model" else _MINI_EXAMPLES)
    rows, excluded = select_speech(read_manifest(audio), offline.languages, args.language, args.longest)
    sounds = _sounds(args.non_speech or args.audio or default_manifest())
    speech = _speech(args, audio.parent, spread(rows, args.clips))
    if speech and args.noise is not None:
        speech = noisy(speech, sounds, args.noise)
    non_speech = [repeated(sound, args.non_speech_seconds) for sound in sounds if args.non_speech_seconds]
    if not speech and not non_speech:
        raise ClientError(f"The manifest {audio} has no clips to score.", code="bad_manifest")
    name = "en-us" if model is None else model.name if model.name != "model" else model.parent.name
    about = {"recognizer": offline.name, "model": name, "speech": _label(args, audio), "excluded": excluded}
    return Sample(speech, _texts(offline, speech), non_speech), about | {"streams": args.streams}


def _speech(args: argparse.Namespace, folder: Path, rows: Sequence[Row]) -> list[Clip]:
    if args.joined is None:
        clips = [load(row, folder) for row in rows]
        return [clip for _ in range(args.repeat) for clip in clips]
    clips = [load_speech(row, folder) for row in rows]
    return [clip for seed in range(args.repeat) for clip in joined(clips, args.joined, args.pause, seed)]


def _sounds(manifest: Path) -> list[Clip]:
    return [load(row, manifest.parent) for row in read_manifest(manifest) if is_non_speech(row)]


def _texts(offline: Offline, clips: Sequence[Clip]) -> list[str]:
    texts = []
    for number, clip in enumerate(clips, 1):
        texts.append(offline.text(clip))
        report.progress(f"  offline {number}/{len(clips)} {clip.name}")
    return texts


def _label(args: argparse.Namespace, audio: Path) -> str:
    label = f"{audio.parent.parent.name}/{audio.parent.name}"
    if args.joined is not None:
        label += f", joined to {args.joined:g} s, pauses to {args.pause:g} s"
    return label if args.noise is None else f"{label}, noise {args.noise:g} dB below"


if __name__ == "__main__":
    main()
