"""One gateway connection: what it may send, and what it gets."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from parley.engine_wire import Begin, End, EngineMessage, Error, Final, Lane, Open, Partial, Pause
from parley.errors import ClientError, EngineError
from parley.settings import EngineSettings
from parley.transcript import Hypothesis, Recognizer, Word
from stream_engine.headroom import Headroom
from stream_engine.outbox import Outbox
from stream_engine.recognizers.base import Window
from stream_engine.scheduler import Outcome, Request, Scheduler
from stream_engine.session import Session
from stream_engine.windows import Lane as Order

HALF_SECOND = np.ones(8_000, np.int16).tobytes()


class _Nothing:
    info = Recognizer("scripted", "none", "cpu", "int16", "a test")
    replicas = 1

    def decode(self, windows: Sequence[Window]) -> list[Hypothesis]:
        raise NotImplementedError

    def close(self) -> None: ...


class Requests(Scheduler):
    """A scheduler that only notes what it is asked; `answer` delivers."""

    def __init__(self) -> None:
        headroom = Headroom(replicas=1, slowest_partial_s=1.0, partial_s=0.1, final_s=0.1, now=0.0)
        super().__init__(_Nothing(), ThreadPoolExecutor(1), EngineSettings(), headroom)
        self.asked: list[Request] = []
        self.dropped: list[int] = []

    def ask(self, request: Request) -> None:
        self.asked.append(request)

    def drop(self, session: int) -> None:
        self.dropped.append(session)

    def answer(self, outcome: Outcome) -> None:
        request = self.asked.pop(0)
        request.deliver(outcome, len(request.audio.snapshot()))


class Desk:
    def __init__(self, lane: Lane = "live") -> None:
        self.requests = Requests()
        self.outbox = Outbox()
        self.session = Session(7, Open(session="s", lane=lane), self.requests, EngineSettings(), self.outbox)

    async def next(self) -> EngineMessage:
        return await self.outbox.next()


def said(text: str) -> Hypothesis:
    words = tuple(Word(word, i * 1000, (i + 1) * 1000, 0.9) for i, word in enumerate(text.split()))
    return Hypothesis(words, "en", 0.9)


def paused(samples: int) -> Desk:
    """A desk whose segment 0 has just under half a second of audio, and may end with its first `samples`."""
    desk = Desk()
    desk.session.begin(Begin(segment=0))
    desk.session.audio(HALF_SECOND[:-2])
    desk.session.pause(Pause(segment=0, samples=samples))
    return desk


async def final_text(desk: Desk) -> str:
    """What the next message, which must be a final, says."""
    message = await desk.next()
    assert isinstance(message, Final)
    return " ".join(word.text for word in message.words)


async def test_a_partial_is_asked_for_once_there_is_enough_audio() -> None:
    desk = Desk()
    desk.session.begin(Begin(segment=0))
    desk.session.audio(HALF_SECOND[:-2])
    assert desk.requests.asked == []
    desk.session.audio(HALF_SECOND[:2])
    assert [request.lane for request in desk.requests.asked] == [Order.PARTIAL]


async def test_partials_have_revisions_and_tell_how_much_they_cover() -> None:
    desk = Desk()
    desk.session.begin(Begin(segment=3))
    desk.session.audio(HALF_SECOND)
    desk.requests.answer(said("the door"))
    assert await desk.next() == Partial(segment=3, revision=0, committed="", tentative="the door", samples=8_000)
    desk.session.audio(HALF_SECOND)
    desk.requests.answer(said("the door is"))
    assert await desk.next() == Partial(segment=3, revision=1, committed="the door", tentative="is", samples=16_000)


async def test_an_ended_segment_gets_its_final_and_no_late_partial() -> None:
    desk = Desk()
    desk.session.begin(Begin(segment=0))
    desk.session.audio(HALF_SECOND)
    desk.session.end(End(segment=0, samples=7_000))
    assert len(desk.requests.asked[1].audio.snapshot()) == 7_000
    desk.requests.answer(said("late"))
    desk.requests.answer(said("the door"))
    assert await final_text(desk) == "the door"


async def test_nothing_heard_yet_is_no_partial() -> None:
    desk = Desk()
    desk.session.begin(Begin(segment=0))
    desk.session.audio(HALF_SECOND)
    desk.requests.answer(said(""))
    desk.session.audio(HALF_SECOND)
    desk.requests.answer(said("the"))
    message = await desk.next()
    assert isinstance(message, Partial)
    assert message.revision == 0


async def test_a_final_that_fails_twice_is_an_error_that_names_its_segment() -> None:
    desk = Desk()
    desk.session.begin(Begin(segment=5))
    desk.session.end(End(segment=5, samples=0))
    desk.requests.answer(EngineError("No memory."))
    desk.requests.answer(EngineError("No memory."))
    assert await desk.next() == Error(code="engine_error", message="No memory.", retryable=True, segment=5)


async def test_a_draft_in_doubt_is_tried_again_and_its_final_waits_for_that() -> None:
    desk = paused(7_000)
    desk.requests.answer(replace(said("the floor"), doubtful=True))
    assert [(each.lane, each.audio.attempt) for each in desk.requests.asked] == [(Order.DRAFT, 1)]
    assert isinstance(await desk.next(), Partial)
    desk.session.end(End(segment=0, samples=7_000))
    assert [(each.lane, each.audio.attempt) for each in desk.requests.asked] == [(Order.DRAFT, 1), (Order.FINAL, 1)]
    desk.requests.asked.pop(0)  # the scheduler itself forgets it
    desk.requests.answer(said("the door"))
    assert await final_text(desk) == "the door"


async def test_a_draft_that_failed_does_not_decide_the_final() -> None:
    desk = paused(7_000)
    desk.requests.answer(EngineError("No memory."))
    desk.session.end(End(segment=0, samples=7_000))
    desk.requests.asked.pop(0)  # the scheduler itself forgets the draft
    desk.requests.answer(said("the door"))
    assert await final_text(desk) == "the door"


async def test_what_cannot_be_decoded_by_anybody_is_not_tried_again() -> None:
    desk = Desk()
    desk.session.begin(Begin(segment=0))
    desk.session.end(End(segment=0, samples=0))
    desk.requests.answer(EngineError("No Klingon.", code="unsupported_language", retryable=False))
    assert isinstance(await desk.next(), Error)


async def test_a_session_of_which_nothing_is_heard_does_not_go_before_those_who_speak() -> None:
    desk = Desk()
    desk.session.begin(Begin(segment=0))
    for _ in range(3):
        desk.session.audio(HALF_SECOND)
        assert desk.requests.asked[0].stale == 8_000
        desk.requests.answer(said(""))


async def test_a_draft_in_doubt_is_not_tried_again_when_speech_goes_on() -> None:
    desk = paused(2_000)
    desk.requests.answer(replace(said("the floor"), doubtful=True))
    assert desk.requests.asked == []


def two_ended(desk: Desk) -> None:
    """Two segments without a pause; of their decodes, only the finals are asked for."""
    for number in range(2):
        desk.session.begin(Begin(segment=number))
        desk.session.audio(HALF_SECOND[:-2])
        desk.session.end(End(segment=number, samples=7_000))


@pytest.mark.parametrize(("lane", "order"), [("live", [0, 1]), ("batch", [1, 0])])
async def test_a_final_that_is_decoded_again_holds_up_those_after_it_only_where_somebody_reads(
    lane: Lane, order: list[int]
) -> None:
    desk = Desk(lane)
    two_ended(desk)
    desk.requests.answer(replace(said("the floor"), doubtful=True))
    desk.requests.answer(said("is open"))
    again = Order.FINAL if lane == "live" else Order.BATCH
    assert [(each.lane, each.audio.attempt) for each in desk.requests.asked] == [(again, 1)]
    desk.requests.answer(said("the door"))
    finals = [await desk.next(), await desk.next()]
    assert [final.segment for final in finals if isinstance(final, Final)] == order


async def test_the_language_that_is_likely_goes_along_with_each_attempt_at_its_segment() -> None:
    desk = Desk("batch")
    desk.session.begin(Begin(segment=0, likely="de"))
    desk.session.audio(HALF_SECOND)
    desk.session.end(End(segment=0, samples=8_000))
    assert [request.likely for request in desk.requests.asked] == ["de"]
    desk.requests.answer(replace(said("die Tür"), doubtful=True))
    assert [request.likely for request in desk.requests.asked] == ["de"]


async def test_a_batch_session_has_no_partials() -> None:
    desk = Desk("batch")
    desk.session.begin(Begin(segment=0))
    desk.session.audio(HALF_SECOND * 4)
    desk.session.end(End(segment=0, samples=32_000))
    assert [request.lane for request in desk.requests.asked] == [Order.BATCH]


async def paused_desk() -> Desk:
    """A segment of half a second that may end at sample 7,000; only the draft is asked for."""
    desk = Desk()
    desk.session.begin(Begin(segment=0))
    desk.session.audio(HALF_SECOND)
    desk.requests.asked.clear()
    desk.session.pause(Pause(segment=0, samples=7_000))
    return desk


async def test_a_final_decoded_in_advance_is_sent_at_the_end_without_another_decode() -> None:
    desk = await paused_desk()
    assert [(request.lane, len(request.audio)) for request in desk.requests.asked] == [(Order.DRAFT, 7_000)]
    desk.requests.answer(said("the door"))
    desk.session.end(End(segment=0, samples=7_000))
    assert desk.requests.asked == []
    assert await final_text(desk) == "the door"


async def test_a_final_still_being_decoded_in_advance_is_sent_when_it_is_done() -> None:
    desk = await paused_desk()
    draft = desk.requests.asked.pop()
    assert len(draft.audio.snapshot()) == 7_000
    desk.session.end(End(segment=0, samples=7_000))
    assert desk.requests.asked == []
    draft.deliver(said("the door"), 7_000)
    assert isinstance(await desk.next(), Final)


async def test_a_draft_that_was_not_begun_at_the_end_is_asked_for_as_a_final() -> None:
    desk = await paused_desk()
    desk.session.end(End(segment=0, samples=7_000))
    assert [request.lane for request in desk.requests.asked] == [Order.DRAFT, Order.FINAL]


async def test_a_draft_is_void_when_the_segment_ends_elsewhere() -> None:
    desk = await paused_desk()
    draft = desk.requests.asked.pop()
    draft.audio.snapshot()
    desk.session.end(End(segment=0, samples=8_000))
    assert [len(request.audio) for request in desk.requests.asked] == [8_000]
    draft.deliver(said("wrong"), 7_000)
    desk.requests.answer(said("right"))
    message = await desk.next()
    assert isinstance(message, Final)
    assert [word.text for word in message.words] == ["right"]


async def test_a_batch_session_decodes_nothing_in_advance() -> None:
    desk = Desk("batch")
    desk.session.begin(Begin(segment=0))
    desk.session.audio(HALF_SECOND)
    desk.session.pause(Pause(segment=0, samples=7_000))
    assert desk.requests.asked == []


async def test_a_draft_is_the_partial_of_its_pause_and_no_other_is_asked_for() -> None:
    desk = await paused_desk()
    desk.requests.answer(said("the door"))
    assert await desk.next() == Partial(segment=0, revision=0, committed="", tentative="the door", samples=7_000)
    desk.session.audio(HALF_SECOND[: 2 * 3_000])
    assert desk.requests.asked == []
    desk.session.audio(HALF_SECOND[: 2 * 3_000])
    assert [request.lane for request in desk.requests.asked] == [Order.PARTIAL]


async def test_partials_of_a_trimmed_window_are_on_the_segments_clock() -> None:
    desk = Desk()
    desk.session.begin(Begin(segment=0))
    texts = ("a b c", "a b c d", "a b c d e")
    for text in texts:
        desk.session.audio(HALF_SECOND * 3)
        desk.requests.asked = desk.requests.asked[-1:]
        desk.requests.answer(said(text))
    assert await desk.next() == Partial(segment=0, revision=2, committed="a b c d", tentative="e", samples=72_000)
    desk.session.audio(HALF_SECOND)
    [request] = desk.requests.asked
    assert len(request.audio) == 80_000 - 4_000  # behind "d", which ends at sample 4,000
    desk.requests.answer(Hypothesis((Word("e", 0, 1_000, 0.9), Word("f", 1_000, 2_000, 0.9)), "en", 0.9))
    assert await desk.next() == Partial(segment=0, revision=3, committed="a b c d e", tentative="f", samples=80_000)


async def test_closing_drops_what_waits() -> None:
    desk = Desk()
    desk.session.close()
    assert desk.requests.dropped == [7]


Sent = Begin | Pause | End | bytes

WRONG: dict[str, tuple[list[Sent], str]] = {
    "audio before begin": ([b"\0\0"], "Audio came while no segment is open"),
    "half a sample": ([Begin(segment=0), b"\0\0\0"], "3 bytes ends in half a sample"),
    "begin twice": ([Begin(segment=0), Begin(segment=1)], "while segment 0 is open"),
    "a number again": (
        [Begin(segment=2), End(segment=2, samples=0), Begin(segment=2)],
        "begin 2 came after segment 2",
    ),
    "a negative number": ([Begin(segment=-1)], "begin -1"),
    "end before begin": ([End(segment=0, samples=0)], "while none is open"),
    "end of another": ([Begin(segment=1), End(segment=0, samples=0)], "segment 1 is open"),
    "end beyond": ([Begin(segment=0), End(segment=0, samples=1)], "but 0 came"),
    "pause beyond": ([Begin(segment=0), Pause(segment=0, samples=1)], "but 0 came"),
    "pause of another": ([Begin(segment=1), Pause(segment=0, samples=0)], "segment 1 is open"),
    "end below zero": ([Begin(segment=0), End(segment=0, samples=-1)], "keeps -1"),
    "too long": ([Begin(segment=0), b"\0\0" * 480_001], "at most 480000"),
}


def send(session: Session, message: Sent) -> None:
    match message:
        case bytes():
            session.audio(message)
        case Begin():
            session.begin(message)
        case Pause():
            session.pause(message)
        case End():
            session.end(message)


@pytest.mark.parametrize("case", WRONG)
async def test_what_cannot_be_is_refused_with_the_values(case: str) -> None:
    messages, complaint = WRONG[case]
    session = Desk().session
    for message in messages[:-1]:
        send(session, message)
    with pytest.raises(ClientError, match=complaint):
        send(session, messages[-1])
