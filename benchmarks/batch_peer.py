"""faster-whisper's own `BatchedInferencePipeline` over files, in a process of its own: what the batch path is compared
with. Prints one JSON object: `seconds` and processor time for all files, the model's loading aside, and their `texts`.
"""

import argparse
import json
import time
from pathlib import Path

from faster_whisper import BatchedInferencePipeline, WhisperModel

BATCH = 8
"""Windows of a batch: what faster-whisper's own benchmarks use."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch_peer", description=(__doc__ or "").split(":")[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--beam", type=int, default=5, help="(default 5, as the pipeline's own)")
    parser.add_argument("--words", action="store_true", help="with the words' times, as Parley's finals have them")
    parser.add_argument("--language")
    args = parser.parse_args()
    model = WhisperModel(str(args.model), device="cpu", compute_type="int8", cpu_threads=args.threads)
    pipeline = BatchedInferencePipeline(model)
    began, cpu, texts = time.monotonic(), time.process_time(), []
    for file in args.files:
        segments, _ = pipeline.transcribe(
            str(file), batch_size=BATCH, beam_size=args.beam, word_timestamps=args.words, language=args.language
        )
        texts.append(" ".join(segment.text.strip() for segment in segments))
    took = {"seconds": time.monotonic() - began, "cpu_s": time.process_time() - cpu}
    print(json.dumps(took | {"texts": texts}))


if __name__ == "__main__":
    main()
