"""What a client does when it loses its server, as tables."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley import wire
from parley.resuming import LONGEST_DELAY_S, Backoff, Heard, ends_session, http_refusal, may_resume


def error(code: str, *, retryable: bool) -> wire.Error:
    return wire.Error(code=code, message="", retryable=retryable)


@pytest.mark.parametrize(
    ("close_code", "last", "resumes"),
    [
        (None, None, True),  # the end of TCP
        (1006, None, True),
        (1000, None, True),  # a polite proxy: `closed` did not come
        (1001, None, True),
        (1011, None, True),
        (1012, None, True),
        (1013, None, True),
        (1002, None, False),
        (1007, None, False),
        (1009, None, False),
        (1012, error("going_away", retryable=True), True),
        (1013, error("at_capacity", retryable=True), True),
        (1013, error("drain_timeout", retryable=True), True),
        (1008, error("client_stalled", retryable=True), True),
        (1008, error("superseded", retryable=False), False),
        (1006, error("superseded", retryable=False), False),
        (1008, error("resume_invalid", retryable=False), False),
        (1008, error("resume_expired", retryable=False), False),
        (1008, error("no_audio", retryable=True), True),
        (1008, error("unsupported_language", retryable=False), False),
        (1011, error("internal", retryable=False), False),
        (1006, error("engine_error", retryable=False), True),  # the server will say how it ended
        (1011, error("no_words", retryable=False), True),  # was no reason to end
    ],
)
def test_which_ends_a_session_survives(close_code: int | None, last: wire.Error | None, resumes: bool) -> None:
    assert may_resume(close_code, last) is resumes


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("no_words", False),
        ("malformed_message", False),
        ("audio_after_stop", False),
        ("engine_unavailable", False),
        ("database_unavailable", False),
        ("storage_unavailable", False),
        ("engine_error", True),
        ("unsupported_language", True),
        ("malformed_audio", True),
        ("drain_timeout", True),
    ],
)
def test_which_errors_a_session_under_way_does_not_outlive(code: str, ends: bool) -> None:
    assert ends_session(error(code, retryable=False)) is ends


def body(**said: Any) -> bytes:
    known = {"code": "going_away", "message": "It stops.", "request_id": "r", "retryable": False, "retry_after_s": None}
    return json.dumps({"error": known | said}).encode()


@pytest.mark.parametrize(
    ("status", "retry_after", "said", "retryable", "retry_after_s"),
    [
        (503, None, body(retry_after_s=2.5), True, 2.5),  # a gateway that stops
        (429, "7", body(retry_after_s=2), True, 2.0),  # nginx: what the body says is more exact
        (503, "7", body(), True, 7.0),
        (503, "Fri, 20 Nov 2026 16:00:00 GMT", body(), True, None),  # a date means nothing without its clock
        (502, None, b"<html>Bad Gateway</html>", True, None),  # another's proxy
        (504, "3", b"", True, 3.0),
        (429, None, b"[]", True, None),
        (403, None, body(code="forbidden_origin"), False, None),
        (500, None, body(code="internal", retryable=True), True, None),
    ],
)
def test_an_http_answer_in_place_of_a_session_says_when_to_come_again(
    status: int, retry_after: str | None, said: bytes, retryable: bool, retry_after_s: float | None
) -> None:
    refusal = http_refusal(status, retry_after, said)
    assert refusal is not None
    assert (refusal.retryable, refusal.retry_after_s) == (retryable, retry_after_s)


def test_an_http_answer_is_told_in_its_own_words_where_it_has_some() -> None:
    refusals = [http_refusal(503, None, said) for said in (body(), b"no JSON", b'{"error": "an unknown form"}')]
    assert [(refusal.code, refusal.message) for refusal in refusals if refusal] == [
        ("going_away", "It stops."),
        *[("http_503", "The server takes no sessions now (HTTP status 503).")] * 2,
    ]


@pytest.mark.parametrize(("status", "said"), [(404, b"not here"), (200, b"<html>"), (403, b'{"error": {}}')])
def test_what_answers_without_parleys_words_is_no_parley(status: int, said: bytes) -> None:
    assert http_refusal(status, None, said) is None


def longest(low: float, high: float) -> float:
    return high


def test_waits_double_up_to_five_seconds_and_begin_anew_when_it_went_well() -> None:
    backoff = Backoff(["a"], longest)
    assert [backoff.next(0) for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert backoff.attempt == 8
    backoff.went_well()
    assert backoff.next(0) == 0.1


@given(st.integers(1, 5_000), st.integers(1, 3))
def test_a_wait_is_anywhere_between_none_and_the_longest(attempts: int, addresses: int) -> None:
    backoff = Backoff([str(number) for number in range(addresses)])
    backoff.attempt = attempts
    assert 0 <= backoff.next(0) <= LONGEST_DELAY_S


def test_addresses_take_turns_and_each_round_waits_longer() -> None:
    backoff = Backoff(["a", "b"], longest)
    assert [(backoff.next(0), backoff.address) for _ in range(4)] == [(0.1, "b"), (0.1, "a"), (0.2, "b"), (0.2, "a")]


def test_a_time_that_was_named_is_waited_for() -> None:
    backoff = Backoff(["a"], longest)
    assert backoff.next(100.0, retry_after_s=3.0) == 3.1


def test_an_address_that_named_a_time_is_left_alone_while_another_is_free() -> None:
    backoff = Backoff(["a", "b"], longest)
    backoff.next(0, retry_after_s=10.0)
    assert backoff.address == "b"
    assert backoff.next(1.0) == 0.1
    assert backoff.address == "b"
    assert backoff.next(2.0, retry_after_s=20.0) == pytest.approx(8.2)
    assert backoff.address == "a"


def test_the_last_of_all_addresses_is_known() -> None:
    backoff = Backoff(["a", "b"], longest)
    assert not backoff.is_last
    backoff.next(0)
    assert backoff.is_last


def final(segment: int) -> wire.Final:
    return wire.Final(
        segment=segment, start_ms=0, end_ms=1, text="", words=(), language="", confidence=1, suspect=False
    )


def test_a_final_is_heard_once_and_counted_where_none_before_it_lacks() -> None:
    heard = Heard()
    assert [heard.is_new(final(number)) for number in (0, 0, 2, 2)] == [True, False, True, False]
    assert heard.next_segment == 1
    assert heard.is_new(final(1))
    assert heard.next_segment == 3
    assert not heard.is_new(final(2))


def test_what_is_said_of_a_known_segment_again_is_no_news() -> None:
    heard = Heard(next_segment=2)
    started = wire.SpeechStart(segment=2, start_ms=0)
    partial = wire.Partial(segment=2, revision=0, start_ms=0, committed="", tentative="a", lag_ms=0)
    assert [heard.is_new(message) for message in (started, partial, started, partial)] == [True, True, False, True]
    assert heard.is_new(final(2))
    assert not heard.is_new(partial)
    assert not heard.is_new(wire.SpeechStart(segment=1, start_ms=0))
