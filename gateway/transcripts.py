"""A transcript in the forms people use: plain text, SRT and WebVTT. Pure."""

from collections.abc import Callable, Sequence

from parley.transcript import Segment, samples_to_ms


def as_text(segments: Sequence[Segment]) -> str:
    """One line a segment."""
    return "".join(f"{segment.text}\n" for segment in segments if segment.text)


def as_srt(segments: Sequence[Segment]) -> str:
    """SubRip: numbered cues, comma before the milliseconds."""
    cues = [segment for segment in segments if segment.text]
    return "\n".join(
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(cues, start=1)
    )


def as_vtt(segments: Sequence[Segment]) -> str:
    """WebVTT (W3C): cue text with the three characters escaped that it reserves."""
    cues = [segment for segment in segments if segment.text]
    return "WEBVTT\n" + "".join(
        f"\n{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_escape(cue.text)}\n" for cue in cues
    )


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(samples: int, separator: str) -> str:
    seconds, ms = divmod(samples_to_ms(samples), 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{separator}{ms:03}"


FORMATS: dict[str, tuple[str, Callable[[Sequence[Segment]], str]]] = {
    "txt": ("text/plain; charset=utf-8", as_text),
    "srt": ("application/x-subrip; charset=utf-8", as_srt),
    "vtt": ("text/vtt; charset=utf-8", as_vtt),
}
"""Name → media type and writer. JSON is the API's own form."""
