"""What a server should not have kept is found, each with a sentence of its own."""

from dataclasses import replace

import pytest

from benchmarks.chaos.remains import Part, Remains, errors_in, gauge_of, leftovers

KEY = "recordings/r/audio/a.flac"
CLEAN = Remains(
    states={"r": "finished"},
    samples={"r": 100},
    parts={"r": [Part(0, 100, KEY)]},
    blobs=frozenset({KEY}),
    open_sessions={"gateway": 0, "engine": 0},
    temporary=frozenset(),
)


def test_finished_recordings_in_one_file_each_are_all_there_should_be() -> None:
    assert leftovers(CLEAN, ["r"]) == []


@pytest.mark.parametrize(
    ("remains", "said"),
    [
        (replace(CLEAN, states={"r": "recording"}), "recording r is recording"),
        (
            replace(
                CLEAN,
                states={"r": "finished", "s": "finished"},
                samples={"r": 100, "s": 100},
                parts={"r": [Part(0, 100, KEY)], "s": [Part(0, 100, KEY)]},
            ),
            "recording s belongs to no session",
        ),
        (replace(CLEAN, parts={"r": [Part(0, 90, KEY)]}), "recording r: samples 90 to 100 are in no part"),
        (replace(CLEAN, samples={"r": 90}), "recording r: samples 90 to 100 are in two parts"),
        (replace(CLEAN, blobs=frozenset({KEY, "x.pcm"})), "blob x.pcm is named by no row"),
        (replace(CLEAN, blobs=frozenset()), f"blob {KEY} is named but not there"),
        (replace(CLEAN, open_sessions={"gateway": 1}), "gateway has 1 sessions open"),
        (replace(CLEAN, temporary=frozenset({"x"})), "temporary file x"),
        (replace(CLEAN, errors=("gateway: session failed",)), "error: gateway: session failed"),
    ],
)
def test_what_is_left_is_said(remains: Remains, said: str) -> None:
    assert leftovers(remains, ["r"]) == [said]


def test_what_a_client_began_whose_ready_was_lost_may_stay_while_it_is_empty() -> None:
    begun = replace(CLEAN, states={"r": "finished", "s": "interrupted"}, samples={"r": 100, "s": 0})
    assert leftovers(begun, ["r"]) == []
    assert leftovers(begun, ["r", "s"]) == ["recording s is interrupted", "recording s is in 0 parts, not one FLAC"]


def test_parts_that_overlap_leave_gaps_or_are_not_yet_one_file_are_left_over() -> None:
    first, second = Part(0, 60, "a.pcm"), Part(50, 100, "b.pcm")
    remains = replace(CLEAN, parts={"r": [first, second]}, blobs=frozenset({"a.pcm", "b.pcm"}))
    assert leftovers(remains, ["r"]) == [
        "recording r: samples 50 to 60 are in two parts",
        "recording r is in 2 parts, not one FLAC",
    ]


def test_an_error_in_a_log_is_found_with_its_cause_and_a_warning_is_none() -> None:
    lines = [
        '{"service": "gateway", "level": "error", "logger": "gateway.live", "event": "session failed",'
        ' "exception": "Traceback\\nKeyError: 1"}',
        '{"service": "gateway", "level": "warning", "logger": "gateway.live", "event": "client gone"}',
        '{"service": "gateway", "level": "error", "logger": "uvicorn.error", "event": "Application startup failed."}',
        "no JSON",
    ]
    assert errors_in(lines) == ["gateway: session failed: KeyError: 1"]


def test_a_gauge_is_read_from_the_text_form() -> None:
    text = "# HELP parley_open Sessions.\n# TYPE parley_open gauge\nparley_open 3.0\nparley_open_total 7.0\n"
    assert gauge_of("parley_open", text) == 3
    with pytest.raises(ValueError, match="no gauge"):
        gauge_of("parley_shut", text)
