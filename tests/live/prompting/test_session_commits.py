"""From suggestions to objects and back: the real built-in model."""

import numpy as np
import pytest

from napari_sam.live.labels.store import LabelStore
from napari_sam.live.values import Rule
from napari_sam.types import NapariSamError


@pytest.fixture
def labels(store):
    return store.labels


def ready(session):
    return lambda: session.status.phase == "ready"


def test_a_suggestion_becomes_an_object(
    pump, opened, listener, draw, answered, labels, frames
):
    noted = []
    opened.on_change = noted.append
    opened.class_id = 2
    opened.ask("a", (0,), draw.on(1))
    pump.until(answered(opened))
    mask = opened.suggestions["a"].mask
    opened.commit()
    assert not opened.suggestions
    assert opened.current is None
    assert np.array_equal(labels[0] == 1, mask.full(frames.shape[1:]))
    assert not labels[1:].any()
    record = opened.store.records[1]
    assert (record.source, record.annotator, record.class_id) == ("person", "Ada", 2)
    assert (record.model, len(record.model_sha256)) == ("pocket", 64)
    assert (record.score, record.stability) == (mask.score, mask.stability)
    ((plane),) = record.prompts
    assert (plane.index, len(plane.marks)) == ((0,), 1)
    assert listener.marks == [{"a"}]
    assert len(listener.changes) == len(noted) == 1
    assert opened.history.undo_text == "Add object 1"


def test_the_candidate_that_is_shown_is_taken(pump, opened, draw, answered, labels):
    opened.ask("a", (0,), (draw.click(44.5, 68.5),))
    pump.until(answered(opened))
    opened.cycle()
    chosen = opened.suggestions["a"].mask
    opened.commit()
    assert (labels == 1).sum() == chosen.area


def test_an_answer_that_is_still_coming_is_added_when_it_comes(
    pump, opened, listener, draw, answered, labels
):
    opened.ask("a", (0,), draw.on(1))
    opened.commit()
    opened.commit()  # a second Enter does nothing more
    assert list(opened.suggestions) == ["a"]
    assert not labels.any()
    pump.until(lambda: not opened.suggestions)
    assert labels[0, 33, 44] == 1
    assert len(opened.store.records) == 1
    assert opened.history.undo_text == "Add object 1"
    assert listener.marks == [{"a"}]


def test_the_answer_that_was_waited_for_is_added_and_never_an_older_one(
    pump, opened, draw, answered, labels
):
    opened.ask("a", (0,), draw.on(0))
    pump.until(answered(opened))
    opened.ask("a", (0,), draw.on(1))  # moved
    opened.commit()
    assert opened.suggestions["a"].mask is not None  # the older one is still shown
    pump.until(lambda: not opened.suggestions)
    assert labels[0, 33, 44] == 1
    assert labels[0, 8, 91] == 0


def test_who_says_more_does_not_want_it_added_any_more(pump, opened, draw, answered):
    opened.ask("a", (0,), draw.on(0))
    opened.commit()
    opened.ask("a", (0,), draw.on(1))
    pump.until(answered(opened))
    assert "a" in opened.suggestions
    assert not opened.store.records
    assert opened.undo()  # not the step that came to nothing
    assert opened.suggestions["a"].marks[0].vertices[0, 0] == np.float32(8.8)


def test_clicks_faster_than_answers_become_objects_in_their_order(
    pump, opened, draw, labels
):
    opened.ask(0, (0,), draw.on(0))
    for number in (1, 2, 3):
        opened.commit([number - 1])
        opened.ask(number, (0,), draw.on(number))
    opened.commit()
    pump.until(lambda: not opened.suggestions)
    at = [labels[0, int(y), int(x)] for y, x in draw.nuclei]
    assert at == [1, 2, 3, 4]
    for left in (3, 2, 1, 0):
        assert opened.undo()  # the object
        assert len(opened.store.records) == left
        assert opened.undo()  # its click
        assert list(opened.suggestions) == [] or left
    assert not labels.any()
    while opened.redo():
        pass
    assert [labels[0, int(y), int(x)] for y, x in draw.nuclei] == [1, 2, 3, 4]


def test_several_are_added_in_one_step(pump, opened, draw, answered, labels):
    opened.ask_all({n: ((n % 2,), draw.on(n)) for n in range(4)})
    pump.until(answered(opened))
    opened.commit()
    assert set(opened.store.records) == {1, 2, 3, 4}
    after = labels.copy()
    assert opened.history.undo_text == "Add 4 objects"
    assert opened.undo()
    assert not labels.any()
    assert not opened.store.records
    assert all(not one.waiting for one in opened.suggestions.values())
    assert list(opened.suggestions) == [0, 1, 2, 3]
    assert opened.redo()
    assert np.array_equal(labels, after)
    assert not opened.suggestions


def test_undo_while_an_object_waits_for_its_answer(
    pump, opened, draw, answered, labels
):
    opened.ask("a", (0,), draw.on(0))
    opened.commit()
    assert opened.undo()
    pump.until(answered(opened))
    assert "a" in opened.suggestions
    assert not labels.any()
    assert opened.redo()  # by now it can be added at once
    assert labels[0, 8, 91] == 1
    assert not opened.suggestions


def test_an_edit_in_between_is_undone_in_the_right_order(
    pump, opened, draw, answered, labels
):
    opened.ask("a", (0,), draw.on(0))
    pump.until(answered(opened))
    opened.commit()
    opened.ask("b", (0,), draw.on(1))
    opened.commit()
    opened.edit(opened.store.delete([1]))
    opened.edit(None)
    pump.until(lambda: not opened.suggestions)
    assert set(opened.store.records) == {2}
    assert opened.undo()  # what was written last
    assert not opened.store.records
    assert opened.undo()
    assert set(opened.store.records) == {1}
    assert opened.redo()
    assert opened.redo()
    assert set(opened.store.records) == {2}


def test_what_was_undone_is_told_as_the_reverse(pump, opened, draw, answered, labels):
    copy, noted = labels.copy(), []

    def replay(change):
        noted.append(change)
        for patch in change.patches:
            copy[patch.index][patch.slices] = patch.after

    opened.on_change = replay
    opened.ask_all({n: ((0,), draw.on(n)) for n in range(3)})
    pump.until(answered(opened))
    opened.commit()
    opened.edit(opened.store.delete([2]))
    assert np.array_equal(copy, labels)
    for move in (opened.undo, opened.undo, opened.redo, opened.redo, opened.undo):
        assert move()
        assert np.array_equal(copy, labels)
    assert len(noted) > 5


@pytest.mark.parametrize("rule", list(Rule))
def test_on_another_object(pump, opened, listener, draw, answered, labels, rule):
    for key in "ab":
        opened.ask(key, (0,), draw.on(1))
        pump.until(answered(opened))
        opened.rule = rule
        opened.commit()
    if rule is Rule.REPLACE:
        assert labels[0, 33, 44] == 2
        assert set(opened.store.records) == {2}
    else:
        assert labels[0, 33, 44] == 1
        assert listener.refusals
        assert "object 1" in listener.refusals[-1]
        assert "b" in opened.suggestions
        assert len(opened.history) == 3  # nothing happened that could be undone


def test_a_refusal_is_told_once(pump, opened, listener, draw, answered):
    for key in "ab":
        opened.ask(key, (0,), draw.on(1))
        pump.until(answered(opened))
        opened.commit()
    opened.look_at((1,))
    pump.until(ready(opened))
    assert len(listener.refusals) == 1
    assert not opened.status.refused


def test_an_object_is_opened_again_and_refined(pump, opened, draw, answered, labels):
    opened.ask("a", (0,), draw.on(1))
    pump.until(answered(opened))
    opened.commit()
    before = labels.copy()
    key = opened.reopen(1, (0,))
    assert opened.reopen(1, (0,)) == key == opened.current
    shown = opened.suggestions[key]
    assert (shown.object_id, len(shown.marks), shown.waiting) == (1, 1, False)
    assert shown.mask.area == (labels == 1).sum()
    away = draw.click(28, 52, positive=False)
    opened.ask(key, (0,), (*shown.marks, away))
    opened.commit()
    assert np.array_equal(labels, before)  # until the answer comes
    pump.until(lambda: not opened.suggestions)
    assert not np.array_equal(labels, before)
    assert set(np.unique(labels)) == {0, 1}
    assert len(opened.store.records[1].prompts[0].marks) == 2
    assert opened.undo()
    assert np.array_equal(labels, before)
    assert opened.undo()
    assert opened.undo()
    assert not opened.suggestions


def test_an_object_without_marks_is_refined_from_its_pixels(
    pump, session, source, frames, draw, answered
):
    labels = np.zeros(frames.shape, np.uint16)
    labels[0, 25:42, 36:50] = 7  # the left part of a nucleus
    box = (25, 36, 42, 50)
    session.open(source, LabelStore(labels, extents={7: {(0,): box}}))
    key = session.reopen(7, (0,))
    assert not session.suggestions[key].marks
    session.commit()
    assert session.store.records[7].source == "import"  # looked at, not changed
    key = session.reopen(7, (0,))
    session.ask(key, (0,), (draw.click(32, 53),))
    pump.until(answered(session))
    session.commit()
    assert labels[0, 32, 53] == 7
    assert labels[0, 33, 44] == 7
    record = session.store.records[7]
    assert (record.source, record.annotator) == ("person", "Ada")
    with pytest.raises(NapariSamError, match="not on this slice"):
        session.reopen(7, (1,))


def test_one_object_on_two_slices_keeps_the_marks_of_both(pump, opened, draw, answered):
    opened.ask("a", (0,), draw.on(1))
    pump.until(answered(opened))
    opened.commit()
    key = opened.reopen(1, (0,))
    opened.ask(key, (1,), draw.on(1))
    pump.until(answered(opened))
    opened.commit()
    assert set(opened.store.extents[1]) == {(0,), (1,)}
    assert [p.index for p in opened.store.records[1].prompts] == [(0,), (1,)]


def test_other_labels_for_the_same_image(pump, opened, draw, answered, frames, labels):
    opened.ask("a", (0,), draw.on(1))
    pump.until(answered(opened))
    opened.commit()
    reopened = opened.reopen(1, (0,))
    opened.ask("b", (0,), draw.on(0))
    pump.until(answered(opened))
    other = np.zeros(frames.shape, np.uint8)
    opened.attach(LabelStore(other, next_id=40))
    assert not opened.undo()
    assert list(opened.suggestions) == ["b"]
    assert reopened not in opened.suggestions
    opened.commit()
    assert other[0, 8, 91] == 40
    assert set(np.unique(labels)) == {0, 1}


def test_nothing_to_add(pump, opened, listener, draw, answered):
    opened.commit()
    opened.ask("a", (0,), (draw.click(20, 20, positive=False),))
    pump.until(answered(opened))
    opened.commit()
    assert "not belong" in listener.refusals[-1]
    assert "a" in opened.suggestions
    assert len(opened.history) == 1


def test_a_suggestion_is_added_to_an_object_on_another_slice(
    pump, opened, draw, answered, labels
):
    kept = []
    opened.on_kept = kept.append
    opened.ask("a", (0,), draw.on(1))
    pump.until(answered(opened))
    opened.commit()
    before = labels.copy()
    opened.look_at((1,))
    opened.ask("b", (1,), draw.on(1))
    pump.until(answered(opened))
    mask = opened.suggestions["b"].mask
    opened.class_id = 3  # of new ones: this is none
    opened.commit(into=1)
    assert kept == [1, 1]
    assert set(opened.store.records) == {1} and opened.store.next_id == 2
    assert np.array_equal(labels[1] == 1, mask.full(labels.shape[1:]))
    assert np.array_equal(labels[0], before[0])
    record = opened.store.records[1]
    assert [plane.index for plane in record.prompts] == [(0,), (1,)]
    assert (record.class_id, record.reviewed) == (0, False)
    assert opened.history.undo_text == "Add to object 1"
    assert opened.undo()
    assert np.array_equal(labels, before)
    assert opened.suggestions["b"].object_id is None
    assert [plane.index for plane in opened.store.records[1].prompts] == [(0,)]
    assert opened.redo()
    assert (labels[1] == 1).sum() == mask.area


def test_on_the_same_slice_it_is_one_more_piece(pump, opened, draw, answered, labels):
    for number in (1, 2):
        opened.ask("a", (0,), draw.on(number))
        pump.until(answered(opened))
        mask = opened.suggestions["a"].mask.full(labels.shape[1:])
        before = labels[0] == 1
        opened.commit(into=1 if number == 2 else None)
    assert np.array_equal(labels[0] == 1, before | mask)
    ((plane),) = opened.store.records[1].prompts
    assert len(plane.marks) == 2


def test_others_keep_their_pixels_when_one_gets_more(
    pump, opened, draw, answered, labels
):
    opened.ask("a", (0,), draw.on(1))
    opened.ask("b", (1,), draw.on(2))
    pump.until(answered(opened))
    opened.commit()
    opened.ask("c", (0,), draw.on(1))
    pump.until(answered(opened))
    own = (labels[0] == 1).copy()
    opened.commit(into=2)
    assert (labels[0][own] == 1).all()


def test_an_answer_that_is_still_coming_is_added_to_the_object_too(
    pump, opened, draw, answered, labels
):
    opened.ask("a", (0,), draw.on(1))
    pump.until(answered(opened))
    opened.commit()
    opened.ask("b", (1,), draw.on(1))
    opened.commit(into=1)
    assert opened.history.undo_text == "Add to object 1"
    pump.until(lambda: not opened.suggestions)
    assert (labels[1] == 1).any()
    assert set(opened.store.records) == {1}


def test_one_that_was_opened_again_stays_itself(pump, opened, draw, answered, labels):
    for key, number in (("a", 1), ("b", 2)):
        opened.ask(key, (0,), draw.on(number))
    pump.until(answered(opened))
    opened.commit()
    before = labels.copy()
    opened.reopen(2, (0,))
    opened.commit(into=1)
    assert np.array_equal(labels, before)


def test_nothing_is_added_to_an_object_that_is_gone(
    pump, opened, listener, draw, answered, labels
):
    opened.ask("a", (0,), draw.on(1))
    pump.until(answered(opened))
    opened.commit(into=7)
    assert not labels.any()
    assert "no object 7 any more" in listener.refusals[-1]
    assert list(opened.suggestions) == ["a"]
