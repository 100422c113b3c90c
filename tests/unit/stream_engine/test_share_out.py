"""How the cores are shared out among decodes."""

import pytest

from parley.settings import EngineSettings
from stream_engine.recognizers.faster_whisper import share_out

SMALL, LARGE = 75_000_000, 1_600_000_000


@pytest.mark.parametrize(
    ("settings", "device", "cores", "model_bytes", "shared"),
    [
        ({}, "cpu", 2, SMALL, (1, 2)),
        ({}, "cpu", 16, SMALL, (1, 16)),
        ({}, "cpu", 2, LARGE, (2, 1)),
        ({}, "cpu", 16, LARGE, (4, 4)),
        ({}, "cpu", 1, LARGE, (1, 1)),
        ({"cpu_threads": 2}, "cpu", 8, SMALL, (2, 4)),
        ({"replicas": 1}, "cpu", 8, SMALL, (1, 1)),
        ({}, "cuda", 16, LARGE, (1, 1)),
        ({"replicas": 2}, "cuda", 16, LARGE, (1, 2)),
    ],
)
def test_small_models_get_a_thread_a_decode_and_large_ones_share_cores(
    settings: dict[str, int], device: str, cores: int, model_bytes: int, shared: tuple[int, int]
) -> None:
    assert share_out(EngineSettings.model_validate(settings), device, cores, model_bytes) == shared
