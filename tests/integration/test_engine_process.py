"""The engine's process: how it starts, stops, falls back, and says what is wrong."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from parley.transcript import join_words
from tests.integration.engine_process import CLIPS, MODEL, engine_process, session, wait_until_ready, whole


def test_it_stops_on_sigterm_with_status_zero(tmp_path: Path) -> None:
    with engine_process(tmp_path, PARLEY_ENGINE__MODEL=str(MODEL)) as (port, process):
        wait_until_ready(port)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_a_broken_model_ends_it_with_one_clear_line(tmp_path: Path) -> None:
    with engine_process(tmp_path, PARLEY_ENGINE__MODEL=str(tmp_path)) as (_, process):
        assert process.wait(20) == 3
    last = (tmp_path / "engine.log").read_text().splitlines()[-1]
    assert last.startswith(f"parley: The configured model {tmp_path} cannot be used: config.json is missing.")


def test_a_model_that_cannot_be_had_is_no_silent_fallback(tmp_path: Path) -> None:
    with engine_process(tmp_path, PARLEY_ENGINE__MODEL="small") as (_, process):
        assert process.wait(20) == 3
    assert "parley models get small" in (tmp_path / "engine.log").read_text().splitlines()[-1]


async def test_without_a_model_and_a_network_pocketsphinx_stands_in_and_says_so(tmp_path: Path) -> None:
    with engine_process(tmp_path) as (port, _):
        ready = await asyncio.to_thread(wait_until_ready, port)
        info = ready["recognizer"]
        assert isinstance(info, dict)
        assert (info["name"], info["fallback"]) == ("pocketsphinx", True)
        assert info["reason"] == (
            "No Whisper model is on this machine, and the model hub is not asked, because HF_HUB_OFFLINE is set."
        )
        assert info["remedy"].startswith("Run: parley models get ")
        async with session(port) as ws:
            final = await whole(ws, 0, CLIPS[1].audio)
    heard = join_words(final.words)
    assert "please send" in heard
    assert "(" not in heard
    assert all(0 <= word.confidence <= 1 for word in final.words)


def test_neither_the_engine_nor_its_recognisers_import_torch() -> None:
    program = (
        "import sys, stream_engine.__main__, stream_engine.recognizers.faster_whisper; "
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('torch', 'torchaudio')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout == b"[]\n"
