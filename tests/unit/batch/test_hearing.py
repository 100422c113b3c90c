"""What is deafness and what is quiet."""

from batch.hearing import Hearing


def hearing() -> Hearing:
    return Hearing(after_s=60, heard_at=0)


def test_who_has_nothing_to_hear_is_not_deaf() -> None:
    assert not hearing().is_deaf(1000, starving=[])


def test_who_hears_nothing_of_what_was_sent_and_is_due_is_deaf() -> None:
    ears = hearing()
    ears.was_sent("stt", 1)
    ears.was_sent("stt", 1)
    assert not ears.is_deaf(59, starving=["stt"])
    assert ears.is_deaf(60, starving=["stt"])


def test_while_the_broker_takes_no_messages_nobody_is_deaf() -> None:
    assert not hearing().is_deaf(1000, starving=["stt"])


def test_one_message_may_have_gone_to_another() -> None:
    ears = hearing()
    ears.was_sent("stt", 1)
    assert not ears.is_deaf(1000, starving=["stt"])


def test_messages_about_another_kind_say_nothing() -> None:
    ears = hearing()
    ears.was_sent("llm", 9)
    assert not ears.is_deaf(1000, starving=["stt"])


def test_whoever_hears_anything_hears() -> None:
    ears = hearing()
    ears.was_sent("stt", 9)
    ears.heard(59)
    assert not ears.is_deaf(100, starving=["stt"])
    ears.was_sent("stt", 2)
    assert ears.is_deaf(119, starving=["stt"])
