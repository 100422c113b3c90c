"""The gateway and the engine neither install nor import PyTorch, although silero-vad's metadata asks for it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("lock", ["gateway", "engine", "embedded", "dev"])
def test_no_lock_names_pytorch(lock: str) -> None:
    names = [line.split("==")[0] for line in (ROOT / "requirements" / f"{lock}.txt").read_text().splitlines()]
    assert names
    assert not {"torch", "torchaudio"} & set(names)


@pytest.mark.parametrize(
    ("service", "other"), [("gateway", "stream_engine"), ("stream_engine", "gateway")], ids=["gateway", "engine"]
)
def test_a_service_in_full_imports_neither_pytorch_nor_the_other_service(service: str, other: str) -> None:
    extra = "import stream_engine.recognizers.faster_whisper, stream_engine.recognizers.pocketsphinx"
    code = f"""
import sys, {service}.__main__
{extra if service == "stream_engine" else "from parley import silero; silero.SileroModel(silero.model_path())"}
print([name for name in sys.modules if name.split(".")[0] in ("torch", "silero_vad", {other!r})])
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
