"""SubRip and WebVTT from cues. Pure.

Words in doubt are in italics in both: the nearest that subtitles have to a mark, shown by every player, and no word of
its own.
"""

import re

from gateway.exports.cues import Cue, cues
from gateway.exports.export import Export

_LOOKS_LIKE_A_TAG = re.compile(r"<(?=[^<>]*>)")


def as_srt(export: Export) -> str:
    """SubRip: numbered cues, comma before the milliseconds."""
    return "\n".join(
        f"{number}\n{_span(cue, ',')}\n{_srt_text(cue)}\n" for number, cue in enumerate(cues(export.spoken), start=1)
    )


def as_vtt(export: Export) -> str:
    """WebVTT (W3C): cue text with the three characters escaped that it reserves, `-->` so among them."""
    return "WEBVTT\n" + "".join(f"\n{_span(cue, '.')}\n{_vtt_text(cue)}\n" for cue in cues(export.spoken))


def _srt_text(cue: Cue) -> str:
    """SubRip has tags and no escape for them: what players would take for one, and not show, gets another bracket."""
    text = _LOOKS_LIKE_A_TAG.sub("‹", "\n".join(cue.lines))
    return f"<i>{text}</i>" if cue.suspect else text


def _vtt_text(cue: Cue) -> str:
    text = "\n".join(cue.lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"<i.suspect>{text}</i>" if cue.suspect else text


def _span(cue: Cue, separator: str) -> str:
    return f"{_clock(cue.start_ms, separator)} --> {_clock(cue.end_ms, separator)}"


def _clock(ms: int, separator: str) -> str:
    seconds, ms = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{separator}{ms:03}"
