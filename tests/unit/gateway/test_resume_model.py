"""Whatever is lost, and whenever: a recording that is resumed gets the segments and finals of one that was never cut.

The parts that decide are the real ones: what the client holds (`HeldAudio`), the audio of a session (`Timeline`), where
segments end (`Segmenter`), where a resumed session goes on (`Checkpoint.after`). Around them stand models: a detector
that, as the real one, hears differently the longer it has listened; a journal that cuts parts where a client ended a
segment; and a database that keeps what was written before a crash.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from parley import wire
from parley.audio import SAMPLE_RATE, AudioFormat, Samples
from parley.held_audio import HeldAudio
from parley.segmenter import FRAME, Checkpoint, SegmentEnded, Segmenter, SegmentEvent, SegmentStarted
from parley.settings import SegmenterSettings
from parley.timeline import Timeline
from parley.transcript import LastFinal

SETTINGS = SegmenterSettings(max_segment_s=2, trailing_silence_ms=256, tail_ms=128)
LOUDNESS = (0.0, 0.0, 0.3, 0.45, 0.7, 1.0, 1.0)
_FULL_SCALE = 20_000
_MEMORY = 0.5
_GAINS = (0.7, 1.0, 0.9, 1.1, 0.8)


class Detector:
    """The probability of a frame depends on all that came since the restart, and on how long ago that was."""

    def __init__(self) -> None:
        self.restart(np.empty(0, np.int16))

    def restart(self, samples: Samples) -> None:
        self._level, self._frames = 0.0, 0
        self._waiting = samples

    def feed(self, samples: Samples) -> None:
        self._waiting = np.concatenate([self._waiting, samples])

    def pad(self) -> None:
        self.feed(np.zeros(-len(self._waiting) % FRAME, np.int16))

    def answer(self, most_frames: int) -> list[float]:
        """The probabilities of so many of the whole frames that wait."""
        count = min(len(self._waiting) // FRAME, most_frames)
        frames, self._waiting = self._waiting[: count * FRAME], self._waiting[count * FRAME :]
        return [self._hear(frame) for frame in frames.reshape(count, FRAME)]

    def _hear(self, frame: Samples) -> float:
        self._frames += 1
        loudness = float(np.abs(frame).mean()) / _FULL_SCALE
        self._level = _MEMORY * self._level + (1 - _MEMORY) * loudness
        return min(1.0, self._level * _GAINS[self._frames % len(_GAINS)])


@dataclass(frozen=True, slots=True)
class Final:
    """`text` is what any engine makes of exactly these samples."""

    number: int
    start: int
    end: int
    text: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """A final that is not stored yet, and where the search for the next segment begins."""

    final: Final
    checkpoint: Checkpoint


class Pipeline:
    """One session's way from audio to finals, from a checkpoint on. What it holds is lost with it."""

    def __init__(self, checkpoint: Checkpoint, batch: int) -> None:
        """The detector answers at most `batch` frames at once."""
        self._batch = batch
        self._heard_from = checkpoint.position
        self._timeline = Timeline(checkpoint.audio_from(SETTINGS))
        self._segmenter = Segmenter(SETTINGS, checkpoint)
        self._detector = Detector()
        self._starts: dict[int, int] = {}
        self.decoded: list[Decoded] = []

    @property
    def end(self) -> int:
        return self._timeline.end

    def feed(self, samples: Samples) -> None:
        unheard = max(0, self._heard_from - self._timeline.end)
        self._timeline.append(samples)
        self._detector.feed(samples[unheard:])
        self._settle()

    def finalize(self) -> None:
        self._apply(self._segmenter.finalize(self._timeline.end))

    def finish(self) -> None:
        self._detector.pad()
        self._settle()
        self._apply(self._segmenter.finalize(self._timeline.end, "stop"))

    def _settle(self) -> None:
        while probabilities := self._detector.answer(self._batch):
            self._apply(self._segmenter.feed(probabilities))
            needed = min([self._segmenter.earliest_needed, *self._starts.values()])
            self._timeline.forget_before(needed)

    def _apply(self, events: Sequence[SegmentEvent]) -> None:
        for event in events:
            if isinstance(event, SegmentStarted):
                self._starts[event.number] = event.start
            elif isinstance(event, SegmentEnded):
                self._end(event)

    def _end(self, ended: SegmentEnded) -> None:
        checkpoint = ended.checkpoint.within(self._timeline.end)
        start, end = self._starts.pop(ended.number), checkpoint.last_end
        text = zlib.crc32(self._timeline.slice(start, end).tobytes())
        self.decoded.append(Decoded(Final(ended.number, start, end, text), checkpoint))
        self._detector.restart(self._timeline.slice(checkpoint.position, self._timeline.end))


@dataclass
class Stored:
    """What outlives every crash: the audio in parts, and the finals, each with where the search went on behind it."""

    audio: Samples = field(default_factory=lambda: np.empty(0, np.int16))
    part_ends: dict[int, bool] = field(default_factory=dict)
    finals: list[Decoded] = field(default_factory=list)

    @property
    def checkpoint(self) -> Checkpoint:
        if not self.finals:
            return Checkpoint.after(None)
        final, after = self.finals[-1].final, self.finals[-1].checkpoint
        return Checkpoint.after(LastFinal(final.number, final.end, after.position, after.continues))


class Session:
    """A connection to some gateway: it goes on from what is stored."""

    def __init__(self, stored: Stored, batch: int) -> None:
        self._stored = stored
        self.pipeline = Pipeline(stored.checkpoint, batch)
        self._pending = np.empty(0, np.int16)
        self._marks: list[int] = []
        self._replay()

    def _replay(self) -> None:
        for end, ends_segment in self._stored.part_ends.items():
            if end > self.pipeline.end:
                self.pipeline.feed(self._stored.audio[self.pipeline.end : end])
                if ends_segment:
                    self.pipeline.finalize()

    def take(self, message: bytes | wire.Finalize | wire.Stop) -> None:
        if isinstance(message, bytes):
            samples = np.frombuffer(message, np.int16)
            self._pending = np.concatenate([self._pending, samples])
            self.pipeline.feed(samples)
        else:
            self._marks.append(len(self._stored.audio) + len(self._pending))
            self.pipeline.finalize()

    def write_part(self, most_samples: int) -> None:
        """One step of the journal: a mark behind what is durable already, or a part, which ends where a segment was
        ended."""
        durable = len(self._stored.audio)
        if self._marks and self._marks[0] <= durable:
            self._mark_part(self._marks.pop(0))
            return
        until = min(self._marks[0] - durable if self._marks else len(self._pending), most_samples)
        if until and len(self._pending):
            written, self._pending = self._pending[:until], self._pending[until:]
            self._stored.audio = np.concatenate([self._stored.audio, written])
            end = durable + len(written)
            ends_segment = bool(self._marks) and self._marks[0] == end
            self._stored.part_ends[end] = ends_segment
            if ends_segment:
                self._marks.pop(0)

    def _mark_part(self, end: int) -> None:
        if end in self._stored.part_ends:
            self._stored.part_ends[end] = True

    def store_final(self) -> None:
        """The next one, where all the audio that it needs is durable."""
        if self.pipeline.decoded:
            decoded = self.pipeline.decoded[0]
            if max(decoded.final.end, decoded.checkpoint.position) <= len(self._stored.audio):
                self._stored.finals.append(self.pipeline.decoded.pop(0))

    def write_everything(self) -> None:
        while len(self._pending) or self._marks:
            self.write_part(len(self._pending))
        while self.pipeline.decoded:
            self.store_final()


def undisturbed(said: Sequence[Samples | None]) -> list[Final]:
    """The finals of a recording of these pieces, None for `finalize`, that nothing happens to."""
    pipeline = Pipeline(Checkpoint(), batch=1)
    for piece in said:
        if piece is None:
            pipeline.finalize()
        else:
            pipeline.feed(piece)
    pipeline.finish()
    return [decoded.final for decoded in pipeline.decoded]


batches = st.integers(1, 40)
lengths = st.sampled_from((1, 500, FRAME, 3_000, 6_000, 6_000, 16_000, 40_000))
counts = st.sampled_from((0, 0, 1, 3, 100, 100))
sounds = st.lists(st.tuples(st.sampled_from(LOUDNESS), lengths), min_size=1, max_size=6)


class ResumedRecording(RuleBasedStateMachine):
    """A client speaks; its messages, the writes behind them and the acknowledgements come when they come; and at any
    moment everything that is not stored is gone, and another gateway goes on."""

    @initialize(batch=batches)
    def begin(self, batch: int) -> None:
        self.client = HeldAudio(AudioFormat(SAMPLE_RATE, "pcm_s16le", 1))
        self.said: list[Samples | None] = []
        self.stored = Stored()
        self.session = Session(self.stored, batch)
        self.noise = np.random.default_rng(0)

    @rule(sounds=sounds, finalize=st.booleans(), messages=counts, part_samples=lengths, parts=counts, finals=counts)
    def someone_speaks(
        self,
        sounds: list[tuple[float, int]],
        finalize: bool,
        messages: int,
        part_samples: int,
        parts: int,
        finals: int,
    ) -> None:
        for loudness, samples in sounds:
            sound = (self.noise.uniform(0.8, 1.2, samples) * loudness * _FULL_SCALE).astype(np.int16)
            self.said.append(sound)
            self.client.push(sound.tobytes())
        if finalize:
            self.said.append(None)
            self.client.finalize()
        self.messages_arrive(messages)
        self.something_is_written(part_samples, parts, finals)

    @rule()
    def the_client_ends_the_segment(self) -> None:
        self.said.append(None)
        self.client.finalize()
        self.messages_arrive(1000)

    def messages_arrive(self, messages: int) -> None:
        for _ in range(messages):
            if (message := self.client.take()) is not None:
                self.session.take(message)

    @rule(part_samples=lengths, parts=counts, finals=counts)
    def something_is_written(self, part_samples: int, parts: int, finals: int) -> None:
        for _ in range(parts):
            self.session.write_part(part_samples)
        for _ in range(finals):
            self.session.store_final()

    @rule()
    def an_ack_arrives(self) -> None:
        self.client.ack(len(self.stored.audio))

    @rule(batch=batches)
    def everything_is_lost_and_resumed(self, batch: int) -> None:
        self.session = Session(self.stored, batch)
        self.client.rewind(len(self.stored.audio))

    @rule(batch=batches, finals=counts)
    def everything_is_lost_that_could_be_written(self, batch: int, finals: int) -> None:
        self.messages_arrive(1000)
        self.something_is_written(3_000, parts=1000, finals=finals)
        self.everything_is_lost_and_resumed(batch)

    @invariant()
    def what_is_stored_is_what_was_said(self) -> None:
        said = np.concatenate([np.empty(0, np.int16), *(piece for piece in self.said if piece is not None)])
        assert np.array_equal(self.stored.audio, said[: len(self.stored.audio)])

    @invariant()
    def finals_are_in_order_and_within_the_audio(self) -> None:
        assert [decoded.final.number for decoded in self.stored.finals] == list(range(len(self.stored.finals)))
        assert all(decoded.final.end <= len(self.stored.audio) for decoded in self.stored.finals)

    def teardown(self) -> None:
        """The client comes to its end: then all is as if nothing had happened."""
        while (message := self.client.take()) is not None:
            self.session.take(message)
        self.session.pipeline.finish()
        self.session.write_everything()
        assert [decoded.final for decoded in self.stored.finals] == undisturbed(self.said)


TestResumedRecording = ResumedRecording.TestCase
TestResumedRecording.settings = hypothesis_settings(max_examples=250, stateful_step_count=30, deadline=None)


def test_a_segment_that_was_ended_behind_a_part_already_durable_is_ended_there_again() -> None:
    machine = ResumedRecording()
    machine.begin(batch=1)
    loud = [(1.0, SAMPLE_RATE // 2)]
    everything = {"messages": 1000, "part_samples": SAMPLE_RATE, "parts": 1000, "finals": 0}
    machine.someone_speaks(loud, finalize=False, **everything)
    machine.the_client_ends_the_segment()
    machine.someone_speaks(loud, finalize=False, **everything)
    machine.everything_is_lost_and_resumed(batch=1)
    machine.teardown()
    assert len(machine.stored.finals) == 2
