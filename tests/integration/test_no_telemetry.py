"""Nothing that Parley runs tells anyone outside what it does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DETECTOR = "from parley import silero; silero.SileroModel(silero.model_path())"
ENGINE = "import stream_engine.recognizers.faster_whisper, onnxruntime"


@pytest.mark.parametrize("code", [DETECTOR, ENGINE], ids=["gateway", "engine"])
def test_onnx_runtime_begins_no_telemetry_session(code: str, tmp_path: Path) -> None:
    """It would leave the file of its session in the temporary folder, before it says the first thing."""
    environment = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    environment |= {"TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True)
    assert list(tmp_path.iterdir()) == []
