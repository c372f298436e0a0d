from dataclasses import dataclass, field

import pytest

from napari_sam.live.labels.history import History


@dataclass
class Typing:
    """A step that adds a word to a list."""

    what: str
    words: list
    nbytes: int = 10

    def __post_init__(self):
        self.redo()

    def undo(self):
        assert self.words.pop() == self.what

    def redo(self):
        self.words.append(self.what)


@dataclass
class Failing:
    what: str = "something"
    nbytes: int = 1
    calls: list = field(default_factory=list)

    def undo(self):
        self.calls.append("undo")
        raise OSError("no")

    def redo(self):
        raise AssertionError


def type_words(history, text):
    words = []
    for word in text.split():
        history.push(Typing(word, words))
    return words


def test_steps_are_taken_back_and_done_again_in_order():
    history = History()
    words = type_words(history, "one two three")
    assert (history.undo_text, history.redo_text) == ("three", "")
    assert history.undo().what == "three"
    assert history.undo().what == "two"
    assert words == ["one"]
    assert (history.undo_text, history.redo_text) == ("one", "two")
    assert history.redo().what == "two"
    assert words == ["one", "two"]
    assert (history.can_undo, history.can_redo) == (True, True)


def test_at_the_ends_nothing_happens():
    history = History()
    assert history.undo() is None
    assert history.redo() is None
    words = type_words(history, "one")
    assert history.redo() is None
    history.undo()
    assert history.undo() is None
    assert words == []
    assert (history.can_undo, history.can_redo) == (False, True)


def test_something_new_forgets_what_was_taken_back():
    history = History()
    words = type_words(history, "one two three")
    history.undo()
    history.undo()
    history.push(Typing("other", words))
    assert history.redo() is None
    assert words == ["one", "other"]
    assert history.nbytes == 20


def test_steps_alike_are_never_made_one():
    history = History()
    words = type_words(history, "same same same")
    history.undo()
    assert words == ["same", "same"]
    assert len(history) == 2


def test_the_oldest_fall_out_over_the_budget():
    history = History(budget_bytes=35)
    words = type_words(history, "a b c d e")
    assert (len(history), history.nbytes) == (3, 30)
    while history.undo():
        pass
    assert words == ["a", "b"]
    while history.redo():
        pass
    assert words == list("abcde")


def test_the_newest_stays_however_large_it_is():
    history = History(budget_bytes=35)
    words = type_words(history, "a b")
    history.push(Typing("huge", words, nbytes=1000))
    assert len(history) == 1
    assert history.undo().what == "huge"
    history.push(Typing("small", words))
    assert history.nbytes == 10


def test_a_step_that_fails_stays_where_it_was():
    history = History()
    step = Failing()
    history.push(step)
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            history.undo()
    assert step.calls == ["undo", "undo"]
    assert (history.can_undo, history.can_redo) == (True, False)


def test_a_step_may_clear_the_timeline():
    history = History()
    words = type_words(history, "one")

    class Leaving(Typing):
        def undo(self):
            super().undo()
            history.clear()

    history.push(Leaving("two", words))
    history.undo()
    assert words == ["one"]
    assert (history.can_undo, history.can_redo, history.nbytes) == (False, False, 0)
