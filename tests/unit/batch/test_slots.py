"""Who runs, how many at once, and that nobody leaves a step behind that became due while they looked."""

from batch.slots import Slots
from parley.jobs import Kind

STT: tuple[Kind, ...] = ("stt",)


def test_each_kind_has_its_own_slots() -> None:
    slots = Slots(("stt", "llm"), 2)
    assert [slots.take("stt") for _ in range(3)] == [True, True, False]
    assert slots.take("llm")
    assert (slots.has_room("stt"), slots.has_room("llm")) == (False, True)
    assert slots.taken == {"stt": 2, "llm": 1}


def test_a_slot_that_is_left_can_be_taken() -> None:
    slots = Slots(STT, 1)
    assert slots.take("stt")
    slots.leave("stt")
    assert slots.take("stt")


def test_who_knocks_where_all_slots_are_taken_has_one_of_them_look_again_once() -> None:
    slots = Slots(STT, 1)
    slots.take("stt")
    assert not slots.look_again("stt")
    assert not slots.take("stt")
    assert slots.look_again("stt")
    assert not slots.look_again("stt")


def test_a_kind_that_this_worker_does_not_run_has_no_slot() -> None:
    assert not Slots(STT, 1).take("llm")
