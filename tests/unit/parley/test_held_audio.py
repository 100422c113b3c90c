"""What a client keeps until the server has stored it: nothing is said twice, nothing is left out."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley import wire
from parley.audio import AudioFormat
from parley.errors import ClientError
from parley.held_audio import HeldAudio

FINALIZE, STOP = wire.Finalize(), wire.Stop()


def held(rate: int = 16_000, next_sample: int = 0) -> HeldAudio:
    return HeldAudio(AudioFormat(rate, "pcm_s16le", 1), next_sample)


def taken(audio: HeldAudio) -> list[object]:
    return list(iter(audio.take, None))


def test_each_message_is_taken_once_and_in_order() -> None:
    audio = held()
    audio.push(b"aabb")
    audio.finalize()
    audio.push(b"cc")
    audio.stop()
    assert taken(audio) == [b"aabb", FINALIZE, b"cc", STOP]
    assert taken(audio) == []


def test_a_rewind_says_everything_behind_it_again() -> None:
    audio = held()
    audio.push(b"aabb")
    audio.finalize()
    audio.push(b"ccdd")
    audio.stop()
    taken(audio)
    audio.rewind(1)
    assert taken(audio) == [b"bb", FINALIZE, b"ccdd", STOP]
    audio.rewind(2)
    assert taken(audio) == [FINALIZE, b"ccdd", STOP]
    audio.rewind(3)
    assert taken(audio) == [b"dd", STOP]


def test_what_is_acknowledged_is_let_go_but_not_a_finalize_right_behind_it() -> None:
    audio = held()
    audio.push(b"aabb")
    audio.finalize()
    taken(audio)
    audio.ack(2)
    assert audio.held_s == 0
    audio.rewind(2)
    assert taken(audio) == [FINALIZE]


def test_a_finalize_in_the_same_place_is_said_once() -> None:
    audio = held()
    audio.finalize()
    audio.finalize()
    assert taken(audio) == [FINALIZE]


def test_seconds_are_those_of_the_clients_rate() -> None:
    audio = held(48_000)
    audio.push(bytes(2 * 48_000))
    audio.ack(4_000)
    assert (audio.held_s, audio.acked_s) == (0.75, 0.25)


def test_a_recording_that_another_client_began_goes_on_where_the_server_says() -> None:
    audio = held(48_000, next_sample=16_000)
    audio.push(b"aa")
    assert audio.acked_s == 1.0
    audio.rewind(16_000)
    assert taken(audio) == [b"aa"]


@pytest.mark.parametrize("next_sample", [0, 3, 5, 6, 100])
def test_a_place_that_cannot_be_had_is_told(next_sample: int) -> None:
    audio = held(8_000)
    audio.push(b"aabb")  # 4 samples at 16 kHz
    audio.ack(2)
    with pytest.raises(ClientError, match="which cannot be had"):
        audio.rewind(next_sample)


def test_a_server_does_not_have_more_than_was_said() -> None:
    audio = held(48_000)
    audio.push(bytes(2 * 48_000))
    audio.rewind(16_000)
    with pytest.raises(ClientError, match=r"from 1\.000 s on, .* of 1\.000 s"):
        audio.rewind(16_001)


def test_until_something_is_acknowledged_all_of_the_recording_is_here() -> None:
    audio = held()
    audio.push(b"aabb")
    assert (audio.is_whole, audio.end_s) == (True, 2 / 16_000)
    audio.ack(1)
    assert not audio.is_whole
    assert not held(next_sample=1).is_whole


def test_half_a_sample_and_audio_behind_stop_are_refused() -> None:
    audio = held()
    with pytest.raises(ClientError, match="3 bytes of audio are no whole number of samples of 2 bytes"):
        audio.push(b"aab")
    audio.stop()
    with pytest.raises(ClientError, match="after stop"):
        audio.push(b"aa")


@dataclass
class Store:
    """A server with a durable journal: what one would have assembled from all connections."""

    rate: int
    audio: list[int] = field(default_factory=list)
    finalized: list[int] = field(default_factory=list)
    stops: int = 0

    @property
    def step(self) -> int:
        """Samples at 16 kHz between the places where the client has a whole sample."""
        return 16_000 // math.gcd(16_000, self.rate)

    def hear(self, message: object) -> None:
        if isinstance(message, bytes):
            self.audio += memoryview(message).cast("h").tolist()
        elif isinstance(message, wire.Finalize):
            self.finalized.append(len(self.audio))
        else:
            self.stops += 1

    def durable(self, share: float, since: int) -> int:
        """A place from which it may ask for the rest, at 16 kHz: between `since` and what it heard."""
        steps = len(self.audio) * 16_000 // self.rate // self.step
        first = since // self.step
        return (first + round(share * (steps - first))) * self.step

    def lose(self, next_sample: int) -> None:
        """All but what is durable is gone."""
        position = next_sample * self.rate // 16_000
        del self.audio[position:]
        self.finalized = [one for one in self.finalized if one < position]
        self.stops = 0


class Talk:
    """A client and its server, and what may happen between them; `share`, in [0, 1], says how much or where."""

    def __init__(self, rate: int) -> None:
        self.audio, self.store = held(rate), Store(rate)
        self.pushed: list[int] = []
        self.marks: list[int] = []
        self._acked = 0

    def push(self, share: float) -> None:
        new = [(len(self.pushed) + index) % 30_000 for index in range(1 + round(share * 700))]
        self.pushed += new
        self.audio.push(b"".join(sample.to_bytes(2, "little") for sample in new))

    def finalize(self, _share: float) -> None:
        self.audio.finalize()
        if len(self.pushed) not in self.marks:
            self.marks.append(len(self.pushed))

    def send(self, share: float) -> None:
        for message in itertools.islice(iter(self.audio.take, None), 1 + round(share * 3)):
            self.store.hear(message)

    def ack(self, share: float) -> None:
        self._acked = self.store.durable(share, self._acked)
        self.audio.ack(self._acked)

    def cut(self, share: float) -> None:
        next_sample = self.store.durable(share, self._acked)
        self.store.lose(next_sample)
        self.audio.rewind(next_sample)

    def send_all(self) -> None:
        for message in iter(self.audio.take, None):
            self.store.hear(message)


shares = st.floats(0, 1)
happenings = st.tuples(st.sampled_from([Talk.push, Talk.finalize, Talk.send, Talk.ack, Talk.cut]), shares)


@given(rate=st.sampled_from([8_000, 16_000, 44_100, 48_000]), script=st.lists(happenings, max_size=40), last=shares)
def test_whatever_is_cut_the_server_assembles_what_was_pushed(
    rate: int, script: list[tuple[Callable[[Talk, float], None], float]], last: float
) -> None:
    talk = Talk(rate)
    for happens, share in script:
        happens(talk, share)
    talk.audio.stop()
    talk.send_all()
    talk.cut(last)
    talk.send_all()
    assert (talk.store.audio, talk.store.finalized, talk.store.stops) == (talk.pushed, talk.marks, 1)
    talk.audio.ack(math.ceil(len(talk.pushed) * 16_000 / rate))
    assert talk.audio.held_s == 0
