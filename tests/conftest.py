"""What all tests share: the miniature Whisper, its clips, and a whole server of real parts."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from parley.embedded.server import RunningServer, running_server

ASSETS = Path(__file__).parent / "assets"
MINI_WHISPER = ASSETS / "mini-whisper" / "model"
EXAMPLES = ASSETS / "mini-whisper" / "examples"
SHARED_AUDIO = Path(__file__).parents[2] / "shared" / "audio"


@dataclass(frozen=True, slots=True)
class Clip:
    """Speech with its exact text. `segments` are the texts of its sentences, which pauses divide."""

    path: Path
    text: str
    seconds: float
    segments: tuple[str, ...]


def _clips() -> tuple[Clip, ...]:
    lines = (EXAMPLES / "manifest.jsonl").read_text().splitlines()
    return tuple(
        Clip(
            EXAMPLES / entry["file"],
            entry["text"],
            entry["seconds"],
            tuple(segment["text"] for segment in entry["segments"]),
        )
        for entry in map(json.loads, lines)
    )


CLIPS = _clips()


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    """A whole Parley with the miniature Whisper: PostgreSQL, Redis, engine and gateway as real processes."""
    with running_server(
        env={
            "PARLEY_ENGINE__MODEL": str(MINI_WHISPER),
            "PARLEY_GATEWAY__START_TIMEOUT_S": "1.5",
            "PARLEY_GATEWAY__IDLE_TIMEOUT_S": "3",
        }
    ) as running:
        yield running
