"""LocalAgreement-2: committed words stay, tentative words may change."""

from hypothesis import given
from hypothesis import strategies as st

from parley.audio import SAMPLE_RATE
from parley.transcript import Word, join_words
from stream_engine.commit import Committer, same

SECOND = SAMPLE_RATE
GUARD = SECOND * 3 // 10


def said(text: str, *, start_s: float = 0.0, word_s: float = 0.5) -> tuple[Word, ...]:
    """Words of half a second, one after the other."""
    return tuple(
        Word(word, round((start_s + i * word_s) * SECOND), round((start_s + (i + 1) * word_s) * SECOND), 0.9)
        for i, word in enumerate(text.split())
    )


def test_nothing_is_committed_after_one_hypothesis() -> None:
    state = Committer(GUARD).heard(said("the door is open"), 10 * SECOND)
    assert state.committed == ()
    assert join_words(state.tentative) == "the door is open"


def test_what_two_hypotheses_agree_on_is_committed() -> None:
    state = Committer(GUARD).heard(said("the door is hope"), 3 * SECOND).heard(said("the door is open"), 3 * SECOND)
    assert join_words(state.committed) == "the door is"
    assert join_words(state.tentative) == "open"


def test_agreement_ends_at_the_first_difference() -> None:
    state = Committer(GUARD).heard(said("a cat is open"), 9 * SECOND).heard(said("the cat is open"), 9 * SECOND)
    assert state.committed == ()


def test_words_within_the_guard_stay_tentative() -> None:
    words = said("the door is open")
    state = Committer(GUARD).heard(words, 2 * SECOND).heard(words, 2 * SECOND)
    assert join_words(state.committed) == "the door is"
    state = state.heard(words, 2 * SECOND + GUARD)
    assert join_words(state.committed) == "the door is open"


def test_case_and_punctuation_do_not_hinder_agreement() -> None:
    state = Committer(GUARD).heard(said("The Door, is"), 9 * SECOND).heard(said("the door is."), 9 * SECOND)
    assert join_words(state.committed) == "the door is."


def test_pure_punctuation_is_compared_as_it_is() -> None:
    dash, dots = Word("—", 0, 1, 0.9), Word("…", 0, 1, 0.9)
    assert same(dash) != same(dots)


def test_vowel_signs_tell_words_apart() -> None:
    assert same(Word("कि", 0, 1, 0.9)) != same(Word("का", 0, 1, 0.9))


def test_a_changed_mind_about_committed_words_repeats_none_of_them() -> None:
    first = said("the red door is open")
    state = Committer(0).heard(first[:3], 9 * SECOND).heard(first[:3], 9 * SECOND)
    assert join_words(state.committed) == "the red door"
    changed = said("a red door is open")
    state = state.heard(changed, 9 * SECOND).heard(changed, 9 * SECOND)
    assert join_words(state.committed) == "the red door is open"


def test_a_word_heard_again_a_little_later_is_not_committed_twice() -> None:
    state = Committer(0).heard(said("the red door"), 9 * SECOND).heard(said("the red door"), 9 * SECOND)
    late = said("uh door is open", start_s=1.2)
    state = state.heard(late, 9 * SECOND)
    assert join_words(state.tentative) == "is open"


def test_behind_a_window_that_moved_up_the_words_before_it_are_not_expected_again() -> None:
    first = said("the red door is open")
    state = Committer(0).heard(first, 9 * SECOND).heard(first, 9 * SECOND).moved(first[2].end)
    assert state.passed == 3
    later = said("is open again", start_s=1.5)
    state = state.heard(later, 9 * SECOND).heard(later, 9 * SECOND)
    assert join_words(state.committed) == "the red door is open again"


def test_words_before_the_window_that_are_heard_again_are_not_committed_twice() -> None:
    first = said("the red door")
    state = Committer(0).heard(first, 9 * SECOND).heard(first, 9 * SECOND).moved(first[2].end)
    state = state.heard(said("red door is open", start_s=1.5), 9 * SECOND)
    assert join_words(state.tentative) == "is open"


def test_a_word_from_long_before_is_no_echo() -> None:
    first = said("the red door is")
    state = Committer(0).heard(first, 9 * SECOND).heard(first, 9 * SECOND).moved(first[3].end)
    state = state.heard(said("the best", start_s=2.0), 9 * SECOND)
    assert join_words(state.tentative) == "the best"


def test_committed_words_take_the_newest_times() -> None:
    guessed, timed = said("the red door"), said("the red door", start_s=0.25)
    state = Committer(0).heard(guessed, 9 * SECOND).heard(guessed, 9 * SECOND).heard(timed, 9 * SECOND)
    assert state.committed == timed


def test_an_empty_hypothesis_takes_back_only_what_is_tentative() -> None:
    state = (
        Committer(0).heard(said("the door"), 9 * SECOND).heard(said("the door is"), 9 * SECOND).heard((), 9 * SECOND)
    )
    assert join_words(state.committed) == "the door"
    assert state.tentative == ()


words = st.lists(
    st.builds(
        lambda text, start, length: Word(text, start, start + length, 0.5),
        st.sampled_from(["the", "The", "door", "door.", "is", "open", "—"]),
        st.integers(0, 8000),
        st.integers(0, 2000),
    ),
    max_size=8,
)
hypotheses = st.lists(st.tuples(words, st.integers(0, 12000)), max_size=8)


@given(hypotheses, st.integers(0, 2000))
def test_the_committed_prefix_never_shrinks(heard: list[tuple[list[Word], int]], guard: int) -> None:
    state = Committer(guard)
    for hypothesis, samples in heard:
        after = state.heard(hypothesis, samples)
        assert [word.text for word in after.committed[: len(state.committed)]] == [w.text for w in state.committed]
        assert join_words(after.committed).startswith(join_words(state.committed))
        assert all(word.end <= samples - guard for word in after.committed[len(state.committed) :])
        state = after


@given(words)
def test_a_hypothesis_that_stays_is_committed_whole(hypothesis: list[Word]) -> None:
    state = Committer(0).heard(hypothesis, 20000).heard(hypothesis, 20000)
    assert state.committed == tuple(hypothesis)
    assert state.tentative == ()
