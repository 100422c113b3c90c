"""The wire protocol: every message survives the wire, and what is no message is refused with the reason."""

import re
from pathlib import Path

import pytest

from gateway import failures
from parley import wire
from parley.errors import AtCapacity, ClientError, EngineError

PROTOCOL_PAGE = Path(__file__).parents[3] / "docs" / "protocol.md"


def documented_messages() -> list[tuple[str, str]]:
    """(who sends it, JSON) for every example on the protocol page."""
    page = PROTOCOL_PAGE.read_text()
    return re.findall(r"```json (client|server)\n(.*?)```", page, flags=re.DOTALL)


def test_every_example_on_the_protocol_page_is_a_message() -> None:
    parse = {"client": wire.parse_client_message, "server": wire.parse_server_message}
    shown = set()
    for sender, text in documented_messages():
        message = parse[sender](text)
        shown.add(type(message))
        assert parse[sender](message.to_json()) == message
    assert shown == {*wire.ClientMessage.__args__, *wire.ServerMessage.__args__}


def test_every_code_that_closes_a_session_is_on_the_protocol_page() -> None:
    codes = {*failures.CLOSE_CODES, *(kind.code for kind in (EngineError, AtCapacity))}
    missing = [code for code in codes if f"| `{code}` |" not in PROTOCOL_PAGE.read_text()]
    assert missing == []


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[1, 2]", "list"),
        ('"start"', "str"),
        ("null", "NoneType"),
        ("{", "no JSON"),
        ("", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ('{"type": "begin"}', "begin"),
        ('{"sample_rate": 16000}', "type"),
        ('{"type": "start"}', "sample_rate"),
        ('{"type": "start", "sample_rate": "fast"}', "fast"),
        ('{"type": "start", "sample_rate": "16000"}', '"16000"'),
        ('{"type": "start", "sample_rate": 16000, "encoding": "mp3"}', "mp3"),
        ('{"type": "start", "sample_rate": 16000, "langauge": "en"}', "langauge"),
        ('{"type": "start", "sample_rate": 16000, "language": "English"}', "English"),
        ('{"type": "start", "sample_rate": 16000, "title": ""}', "title"),
        ('{"type": "start", "sample_rate": 1e400}', "sample_rate"),
        ('{"type": "start", "sample_rate": 16000, "title": "   "}', "must not be empty"),
        ('{"type": "start", "sample_rate": 16000, "title": "\\ud800x"}', "half a character"),
        ('{"type": "\\ud800"}', "half a character"),
        ('{"type": "start", "sample_rate": 16000, "vocabulary": "a"}', "must be a list"),
        ('{"type": "start", "sample_rate": 16000, "next_segment": 2}', "no resume"),
        ('{"type": "start", "sample_rate": 16000, "resume": "t", "next_segment": 1e12}', "next_segment"),
        ('{"type": "begin"}', "no message of this type"),
        ("1" * 5000, "too large a number"),
    ],
)
def test_what_is_no_message_is_refused_with_what_was_wrong(text: str, named: str) -> None:
    with pytest.raises(ClientError, match=re.escape(named)) as refused:
        wire.parse_client_message(text)
    assert refused.value.code == "malformed_message"
    assert len(refused.value.message) < 400


def test_a_title_is_one_line() -> None:
    text = '{"type": "start", "sample_rate": 16000, "title": " a\\r\\n# head \\t b "}'
    start = wire.parse_client_message(text)
    assert isinstance(start, wire.Start)
    assert start.title == "a # head b"
