"""What is read again, up to where the client ended a segment each time."""

from gateway.replay import up_to_each_end
from parley.store.recordings import AudioPart


def part(number: int, *, ends_segment: bool = False) -> AudioPart:
    return AudioPart(number, number + 1, f"k{number}", ends_segment)


def test_parts_are_read_together_up_to_each_end_of_a_segment() -> None:
    parts = [part(0), part(1, ends_segment=True), part(2, ends_segment=True), part(3), part(4)]
    assert list(up_to_each_end(parts)) == [parts[:2], parts[2:3], parts[3:]]
    assert list(up_to_each_end(parts[:2])) == [parts[:2]]
    assert list(up_to_each_end([])) == []
