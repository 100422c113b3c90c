"""`python -m benchmarks.shape_models SIZE --out DIR`: a model that costs what Whisper costs, and hears nothing.

A test of speed only. The folder is a CTranslate2 model of the exact architecture (layers, heads, width, vocabulary,
mels, alignment heads) with constructed weights: it writes one fixed sentence, whatever the audio, with words' times and
high confidence. It writes three tokens for each second of the window, as many as people say, up to the sentence's 20.
So the cost of the encoder, of the decoder and of the alignment is true to the real model, save that in a long window
the number of tokens does not follow the speech in it. `benchmarks/shape_weights.py` tells how.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from ctranslate2.specs import WhisperSpec

from benchmarks.shape_tokenizer import LONG_PIECES, PIECES, Vocabulary, build_vocabulary
from benchmarks.shape_weights import Shape, fill

SHAPES = {
    "tiny": Shape(4, 4, 6, 80, 51_865, ((2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5))),
    "base": Shape(6, 6, 8, 80, 51_865, ((3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6))),
    "small": Shape(
        *(12, 12, 12, 80, 51_865),
        ((5, 3), (5, 9), (8, 0), (8, 4), (8, 7), (8, 8), (9, 0), (9, 7), (9, 9), (10, 5)),
    ),
    "large-v3-turbo": Shape(32, 4, 20, 128, 51_866, ((2, 4), (2, 11), (3, 3), (3, 6), (3, 11), (3, 14))),
}
QUANTIZATIONS = ("int8", "float16", "float32")
SEED = 7


def write_shape_model(size: str, out: Path, quantization: str = "int8", *, long: bool = False) -> None:
    """Writes the model of `size` into the folder `out`, which is made. Needs about five bytes of memory a parameter.

    `long`: its sentence fills a window of 30 s.

    Raises ValueError for an unknown size or quantization.
    """
    if size not in SHAPES or quantization not in QUANTIZATIONS:
        raise ValueError(
            f"size must be one of {', '.join(SHAPES)} and quantization one of {', '.join(QUANTIZATIONS)} "
            f"(given: {size!r}, {quantization!r})."
        )
    shape = SHAPES[size]
    vocabulary = build_vocabulary(shape.vocabulary, LONG_PIECES if long else PIECES)
    spec = WhisperSpec(shape.encoder_layers, shape.heads, shape.decoder_layers, shape.heads)
    fill(spec, shape, vocabulary, SEED)
    _configure(spec, shape, vocabulary)
    spec.validate()
    spec.optimize(quantization=quantization)
    out.mkdir(parents=True, exist_ok=True)
    spec.save(str(out))
    vocabulary.tokenizer.save(str(out / "tokenizer.json"))
    (out / "preprocessor_config.json").write_text(json.dumps(_preprocessor(shape.mels), indent=1) + "\n")
    (out / "SPEED-TEST-ONLY.txt").write_text(f"Whisper {size}'s shape with constructed weights. {_WARNING}\n")


_WARNING = "It writes one fixed sentence, whatever it hears: a test of speed only."


def _configure(spec: WhisperSpec, shape: Shape, vocabulary: Vocabulary) -> None:
    spec.register_vocabulary(list(vocabulary.tokens))
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [vocabulary["Ġ"], vocabulary["<|endoftext|>"]]
    spec.config.lang_ids = list(vocabulary.languages)
    spec.config.alignment_heads = [list(head) for head in shape.alignment_heads]


def _preprocessor(mels: int) -> dict[str, object]:
    """What faster-whisper gives to its feature extractor: Whisper's own parameters."""
    return {
        "chunk_length": 30,
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": mels,
        "hop_length": 160,
        "n_fft": 400,
        "n_samples": 480_000,
        "nb_max_frames": 3_000,
        "padding_side": "right",
        "padding_value": 0.0,
        "processor_class": "WhisperProcessor",
        "return_attention_mask": False,
        "sampling_rate": 16_000,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shape_models", description=__doc__.split("\n")[0])
    parser.add_argument("size", choices=SHAPES, help="whose architecture")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the model to")
    parser.add_argument("--quantization", choices=QUANTIZATIONS, default="int8", help="of the weights (default int8)")
    parser.add_argument("--long", action="store_true", help="with a sentence that fills 30 s, not one of 20 tokens")
    args = parser.parse_args()
    if args.out.exists() and not args.out.is_dir():
        parser.error(f"--out must be a folder (given: the file {args.out})")
    began = time.monotonic()
    write_shape_model(args.size, args.out, args.quantization, long=args.long)
    weight = (args.out / "model.bin").stat().st_size / 1e6
    print(f"{args.out}: {weight:,.0f} MB in {time.monotonic() - began:.0f} s. {_WARNING}", file=sys.stderr)


if __name__ == "__main__":
    main()
