"""Durable audio read back: any samples, of parts of both forms, and plain words for what is missing or damaged."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from parley.audio import SAMPLE_RATE, Samples
from parley.blobs import Blobs
from parley.durable import BLOCK_SAMPLES, read_recording, read_samples
from parley.errors import BackendError, ParleyError
from parley.store.recordings import AudioPart

EDGES = (0, 2 * BLOCK_SAMPLES + 77, 2 * BLOCK_SAMPLES + 78, 3 * BLOCK_SAMPLES, 5 * BLOCK_SAMPLES, 5 * BLOCK_SAMPLES + 9)
FORMS = ("flac", "pcm", "pcm", "flac", "pcm")
LENGTH = EDGES[-1]
PARTS = tuple(
    AudioPart(start, end, f"r/{start}.{form}") for start, end, form in zip(EDGES, EDGES[1:], FORMS, strict=False)
)
SAMPLES = np.random.default_rng(1).integers(-32768, 32768, LENGTH, dtype=np.int16)
ANY_SAMPLE = st.one_of(st.integers(0, LENGTH), st.sampled_from(EDGES), st.sampled_from(EDGES[1:]).map(lambda e: e - 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blobs")
    for part in PARTS:
        write(folder / part.blob_key, SAMPLES[part.start : part.end])
    return folder


@pytest.fixture(scope="module")
def blobs(folder: Path) -> Blobs:
    return Blobs(f"file://{folder}")


def write(path: Path, samples: Samples, *, rate: int = SAMPLE_RATE) -> None:
    path.parent.mkdir(exist_ok=True)
    if path.suffix == ".flac":
        soundfile.write(path, samples, rate, subtype="PCM_16")
    else:
        path.write_bytes(samples.astype("<i2").tobytes())


async def read(blobs: Blobs, parts: Sequence[AudioPart], first: int, last: int) -> Samples:
    blocks = [block async for block in read_samples(blobs, parts, first, last)]
    assert all(0 < len(block) <= BLOCK_SAMPLES for block in blocks)
    return np.concatenate([np.empty(0, np.int16), *blocks])


@given(one=ANY_SAMPLE, other=ANY_SAMPLE)
async def test_any_range_over_parts_of_both_forms_is_what_was_recorded(blobs: Blobs, one: int, other: int) -> None:
    first, last = min(one, other), max(one, other)
    assert np.array_equal(await read(blobs, PARTS, first, last), SAMPLES[first:last])


async def test_more_small_parts_than_are_fetched_at_once_come_in_order(blobs: Blobs) -> None:
    parts = [AudioPart(start, start + 10, f"small/{start}.pcm") for start in range(0, 1000, 10)]
    for part in parts:
        await blobs.put(part.blob_key, SAMPLES[part.start : part.end].tobytes())
    assert np.array_equal(await read(blobs, parts, 3, 997), SAMPLES[3:997])


async def test_a_reader_that_leaves_early_leaves_no_request_behind(blobs: Blobs) -> None:
    reader = read_samples(blobs, PARTS, 0, LENGTH)
    assert len(await anext(reader)) == BLOCK_SAMPLES
    await reader.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("missing", [0, 1, 3, 4])
async def test_a_gap_between_parts_is_missing_audio(blobs: Blobs, missing: int) -> None:
    parts = [*PARTS[:missing], *PARTS[missing + 1 :]]
    with pytest.raises(ParleyError, match=f"samples from {EDGES[missing]} ") as raised:
        await read(blobs, parts, 0, LENGTH)
    assert raised.value.code == "audio_missing"


@pytest.mark.parametrize("form", ["pcm", "flac"])
async def test_a_blob_that_is_gone_is_missing_audio(blobs: Blobs, form: str) -> None:
    with pytest.raises(ParleyError, match=f"gone.{form}") as raised:
        await read(blobs, [AudioPart(0, 10, f"r/gone.{form}")], 0, 10)
    assert (raised.value.code, raised.value.retryable) == ("audio_missing", False)


@pytest.mark.parametrize("kept", [0, 1, 30_000])
@pytest.mark.parametrize("form", ["pcm", "flac"])
async def test_a_blob_cut_short_is_damaged_and_not_tried_for_ever(folder: Path, form: str, kept: int) -> None:
    part = AudioPart(0, 50_000, f"cut/{kept}.{form}")
    path = folder / part.blob_key
    write(path, SAMPLES[:50_000])
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ParleyError, match=f"{kept}.{form}' is damaged") as raised:
        await read(Blobs(f"file://{folder}"), [part], 20_000, 50_000)
    assert (raised.value.code, raised.value.retryable) == ("audio_damaged", False)


@pytest.mark.parametrize(("samples", "rate"), [(999, SAMPLE_RATE), (1001, SAMPLE_RATE), (1000, 8000)])
async def test_a_flac_of_another_length_or_rate_is_damaged(folder: Path, samples: int, rate: int) -> None:
    write(folder / "r/other.flac", SAMPLES[:samples], rate=rate)
    with pytest.raises(ParleyError, match="is damaged"):
        await read(Blobs(f"file://{folder}"), [AudioPart(0, 1000, "r/other.flac")], 0, 10)


@pytest.mark.parametrize("form", ["pcm", "flac"])
async def test_storage_that_does_not_answer_is_no_damage(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:9")  # nothing listens on the discard port
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setattr("parley.blobs._RETRY", {"max_retries": 0})
    with pytest.raises(BackendError) as raised:
        await read(Blobs("s3://bucket"), [AudioPart(0, 10, f"r/a.{form}")], 0, 10)
    assert (raised.value.code, raised.value.retryable) == ("storage_unavailable", True)


class Listing:
    """A recording's parts as a compaction changes them."""

    def __init__(self, *listings: Sequence[AudioPart]) -> None:
        self._listings = list(listings)

    async def __call__(self, first: int, last: int) -> Sequence[AudioPart]:
        parts = self._listings.pop(0) if len(self._listings) > 1 else self._listings[0]
        return [part for part in parts if part.end > first and part.start < last]


async def read_listed(blobs: Blobs, listing: Listing, first: int, last: int) -> Samples:
    return np.concatenate([block async for block in read_recording(blobs, listing, first, last)])


async def test_a_compaction_under_a_reader_changes_nothing_for_it(blobs: Blobs) -> None:
    gone = [AudioPart(part.start, part.end, f"gone/{part.start}.pcm") for part in PARTS[1:]]
    listing = Listing([PARTS[0], *gone], PARTS)
    assert np.array_equal(await read_listed(blobs, listing, 5, LENGTH), SAMPLES[5:])


async def test_a_blob_that_is_gone_and_still_listed_is_missing_audio(blobs: Blobs) -> None:
    with pytest.raises(ParleyError, match="There is no blob"):
        await read_listed(blobs, Listing([AudioPart(0, LENGTH, "gone/all.pcm")]), 0, LENGTH)
