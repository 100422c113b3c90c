"""The process that PocketSphinx decodes in: audio on stdin, words on stdout, until stdin ends.

In: the bytes of a window as a 32 bit number, then so many bytes of int16 audio, all little-endian. Out: a line when it
is ready, then for each window one line of JSON, `[[word, first frame, last frame, probability], …]`, frames of 10 ms.
"""

import json
import re
import signal
import struct
import sys

HEADER = struct.Struct("<I")

Found = tuple[str, int, int, float]

_VARIANT = re.compile(r"\(\d+\)$")


def plain(entry: str) -> str:
    """The word of a dictionary entry: `thursday(2)` is thursday; `<sil>` and `[NOISE]` are none."""
    if entry.startswith(("<", "[", "+")):
        return ""
    return _VARIANT.sub("", entry)


def main() -> None:
    from pocketsphinx import Decoder

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the engine's end closes stdin
    decoder = Decoder(samprate=16_000, loglevel="FATAL")
    _say("ready")
    while len(header := sys.stdin.buffer.read(HEADER.size)) == HEADER.size:
        decoder.reinit_feat()  # else one window's noise estimate changes the next one's words
        decoder.start_utt()
        decoder.process_raw(sys.stdin.buffer.read(*HEADER.unpack(header)), no_search=False, full_utt=True)
        decoder.end_utt()
        segments = [] if decoder.hyp() is None else decoder.seg()
        _say([(plain(s.word), s.start_frame, s.end_frame, s.prob) for s in segments if plain(s.word)])


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
