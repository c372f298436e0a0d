"""What is asked and answered: the real built-in model on small frames."""

import threading

import numpy as np
import pytest

from napari_sam.live.labels.store import LabelStore
from napari_sam.live.prompting.answers import NOTHING
from napari_sam.live.prompting.session import Session
from napari_sam.live.source import Source
from napari_sam.models.catalog import load_model
from napari_sam.types import Prompt

# Between nuclei, where the model has several answers.
UNCLEAR = ((44.5, 68.5), (12.5, 52.5), (52.5, 60.5))


def ready(session):
    return lambda: session.status.phase == "ready"


def areas(suggestion):
    return [mask.area for mask in suggestion.candidates.masks]


def test_a_click_is_answered(pump, opened, listener, draw, frames, answered):
    opened.ask("a", (0,), draw.on(1))
    assert opened.current == "a"
    assert opened.suggestions["a"].waiting
    assert opened.suggestions["a"].mask is None
    pump.until(answered(opened))
    mask = opened.suggestions["a"].mask
    assert mask.full(frames.shape[1:])[33, 44]
    assert 300 < mask.area < 800
    assert listener.threads == {threading.current_thread()}
    assert {(0,)} in listener.redrawn
    assert not listener.marks  # whoever asks knows the marks


def test_phases_are_told_in_their_order(pump, opened, listener, draw, answered):
    opened.ask("a", (0,), draw.on(0))
    pump.until(answered(opened))
    pump.until(ready(opened))
    assert listener.phases == ["loading", "preparing", "answering", "ready"]
    status = opened.status
    assert (status.model, status.device, status.busy) == ("pocket", "cpu", False)


def test_several_boxes_are_several_objects(pump, opened, draw, frames, answered):
    boxes = [(0, 78, 22, 104), (23, 32, 43, 58), (50, 69, 74, 87)]
    opened.ask_all({n: ((0,), (draw.box(*box),)) for n, box in enumerate(boxes)})
    assert opened.history.undo_text == "Change 3 suggestions"
    pump.until(answered(opened))
    model = load_model("pocket", "cpu")
    normalization = opened.source.normalization("stack")
    embedding = model.encode(opened.source.plane((0,), normalization))
    alone = model.decode(embedding, [Prompt(box=box) for box in boxes])
    for number, candidates in enumerate(alone):
        ours = opened.suggestions[number].mask
        assert (ours.full((96, 112)) != candidates.best.full((96, 112))).mean() < 1e-3
    assert opened.undo()
    assert not opened.suggestions
    assert opened.redo()
    assert list(opened.suggestions) == [0, 1, 2]


def test_many_boxes_are_all_answered(pump, opened, draw, answered):
    count = 150  # more than fit in one batch
    boxes = {
        n: ((0,), (draw.box(n % 40, n % 50, n % 40 + 30, 80),)) for n in range(count)
    }
    opened.ask_all(boxes)
    pump.until(answered(opened))
    shown = opened.suggestions.values()
    assert len(shown) == count
    assert {one.error for one in shown if one.mask is None} <= {NOTHING}
    assert sum(one.mask is not None for one in shown) > count // 2


def test_a_second_click_refines_what_is_shown(pump, opened, draw, answered):
    first = draw.on(1)
    opened.ask("a", (0,), first)
    pump.until(answered(opened))
    before = opened.suggestions["a"].mask
    y0, _, y1, x1 = before.box
    away = draw.click((y0 + y1) / 2, x1 - 4, positive=False)
    opened.ask("a", (0,), (*first, away))
    assert opened.suggestions["a"].mask is before  # until the answer comes
    assert opened.suggestions["a"].waiting
    pump.until(answered(opened))
    after = opened.suggestions["a"].mask
    model = load_model("pocket", "cpu")
    normalization = opened.source.normalization("stack")
    embedding = model.encode(opened.source.plane((0,), normalization))
    points = np.concatenate([mark.vertices for mark in (*first, away)])
    refined = Prompt(points, [1, 0], previous=before)
    (expected,) = model.decode(embedding, [refined])
    assert np.array_equal(after.full((96, 112)), expected.best.full((96, 112)))


def test_a_moved_click_is_answered_from_the_beginning(pump, opened, draw, answered):
    opened.ask("a", (0,), draw.on(2))
    pump.until(answered(opened))
    fresh = opened.suggestions["a"].mask
    opened.ask("a", (0,), draw.on(0))
    pump.until(answered(opened))
    opened.ask("a", (0,), draw.on(2))
    pump.until(answered(opened))
    assert np.array_equal(opened.suggestions["a"].mask.data, fresh.data)


def test_marks_that_did_not_change_are_no_question(pump, opened, draw, answered):
    opened.ask("a", (0,), draw.on(0))
    pump.until(answered(opened))
    before = opened.suggestions["a"]
    opened.ask("a", (0,), draw.on(0))
    assert opened.suggestions["a"] is before
    assert len(opened.history) == 1


def test_the_newest_question_is_the_one_that_is_answered(
    pump, opened, draw, answered, frames
):
    pump.until(ready(opened))
    for number in (0, 2, 3, 1):
        opened.ask("a", (0,), draw.on(number))
    pump.until(answered(opened))
    assert opened.suggestions["a"].mask.full(frames.shape[1:])[33, 44]


def test_candidates_are_cycled_from_small_to_large(
    pump, opened, listener, draw, answered
):
    opened.ask("a", (0,), (draw.click(*UNCLEAR[0]),))
    opened.cycle()  # nothing to cycle yet
    pump.until(answered(opened))
    shown = opened.suggestions["a"]
    count = len(shown.candidates.masks)
    assert count > 1
    assert areas(shown) == sorted(areas(shown))
    scores = [mask.score for mask in shown.candidates.masks]
    assert shown.choice == int(np.argmax(scores))
    seen = [shown.choice]
    for _ in range(count):
        opened.cycle()
        seen.append(opened.suggestions["a"].choice)
    assert seen[0] == seen[-1]
    assert set(seen) == set(range(count))
    opened.cycle(-1)
    assert opened.suggestions["a"].choice == seen[-2]
    opened.cycle(key="nobody")


@pytest.mark.parametrize(("scale", "expected"), [(0.0, 0), (1.0, -1)])
def test_the_size_that_was_chosen_is_shown_first_from_then_on(
    pump, opened, draw, answered, scale, expected
):
    opened.ask("a", (0,), (draw.click(*UNCLEAR[0]),))
    pump.until(answered(opened))
    while opened.preferred_scale != scale:
        opened.cycle()
    for key, place in enumerate(UNCLEAR[1:]):
        opened.ask(key, (0,), (draw.click(*place),))
    pump.until(answered(opened))
    for key in range(2):
        shown = opened.suggestions[key]
        assert len(shown.candidates.masks) > 1
        assert shown.mask is shown.candidates.masks[expected]


def test_what_says_nothing_about_an_object_is_told_so(pump, opened, draw, answered):
    opened.ask("a", (0,), (draw.click(20, 20, positive=False),))
    opened.ask("b", (0,), (draw.click(500, 500),))
    opened.ask("c", (0,), draw.on(0))
    pump.until(answered(opened))
    assert "not belong" in opened.suggestions["a"].error
    assert "beside the image" in opened.suggestions["b"].error
    assert opened.suggestions["c"].mask is not None
    opened.ask("a", (0,), (draw.click(20, 20, positive=False), *draw.on(1)))
    pump.until(answered(opened))
    assert not opened.suggestions["a"].error


def test_an_answer_goes_to_the_slice_that_it_was_asked_on(
    pump, opened, listener, draw, answered
):
    opened.ask("a", (0,), draw.on(1))
    opened.look_at((3,))
    opened.look_at((2,))
    pump.until(answered(opened))
    assert opened.suggestions["a"].index == (0,)
    assert opened.suggestions["a"].mask is not None
    assert {(0,)} in listener.redrawn
    pump.until(ready(opened))
    assert opened.index == (2,)


def test_questions_on_many_slices(pump, opened, draw, answered):
    opened.ask_all({n: ((n,), draw.on(1)) for n in range(4)})
    pump.until(answered(opened))
    assert all(one.mask is not None for one in opened.suggestions.values())
    masks = [one.mask for one in opened.suggestions.values()]
    assert any(not np.array_equal(masks[0].data, mask.data) for mask in masks[1:])


def test_dropping(pump, opened, listener, draw, answered):
    opened.ask("a", (0,), draw.on(0))
    opened.ask("b", (0,), draw.on(1))
    opened.ask("c", (0,), draw.on(2))
    pump.until(answered(opened))
    assert opened.current == "c"
    opened.drop(["c"])
    assert opened.current == "b"
    assert listener.marks == [{"c"}]
    opened.ask("b", (0,), ())  # all marks deleted
    assert list(opened.suggestions) == ["a"]
    opened.drop()
    opened.drop()
    assert not opened.suggestions
    assert opened.current is None
    assert opened.history.undo_text == "Drop suggestion"


def test_undo_goes_back_click_by_click(pump, opened, listener, draw, answered):
    first = draw.on(1)
    second = (*first, draw.click(28, 52, positive=False))
    opened.ask("a", (0,), first)
    pump.until(answered(opened))
    one = opened.suggestions["a"].mask
    opened.ask("a", (0,), second)
    pump.until(answered(opened))
    two = opened.suggestions["a"].mask
    assert opened.history.undo_text == "Add click"
    opened.drop()
    assert opened.undo()
    assert opened.suggestions["a"].mask is two
    assert opened.undo()
    assert opened.suggestions["a"].mask is one
    assert len(opened.suggestions["a"].marks) == 1
    assert opened.undo()
    assert not opened.suggestions
    assert not opened.undo()
    assert opened.redo()
    assert opened.redo()
    assert opened.suggestions["a"].mask is two
    assert {"a"} in listener.marks


def test_undo_while_an_answer_is_coming(pump, opened, draw, answered):
    opened.ask("a", (0,), draw.on(1))
    opened.ask("b", (0,), draw.on(0))
    assert opened.undo()
    pump.until(answered(opened))
    assert list(opened.suggestions) == ["a"]
    assert opened.redo()
    pump.until(answered(opened))
    assert opened.suggestions["b"].mask is not None


def test_a_single_image_and_colours(pump, session, draw, answered, frames):
    grey = frames[0].astype(float)
    grey = (255 * grey / grey.max()).astype(np.uint8)
    colour = np.stack([grey, grey // 2, grey], -1)
    for pixels, rgb in ((frames[0], False), (colour, True)):
        source = Source(pixels, "one", (96, 112), "", rgb)
        session.open(source, LabelStore(np.zeros((96, 112), np.uint32)))
        session.look_at(())
        session.ask("a", (), draw.on(1))
        pump.until(answered(session))
        assert session.suggestions["a"].mask.area > 200
        session.commit()
        assert session.store.at((), (33, 44)) == 1


def test_two_sessions_do_not_disturb_each_other(
    pump, opened, listener, draw, answered, source, frames
):
    theirs = type(listener)()
    other = Session(pump.post, theirs)
    other.open(source, LabelStore(np.zeros(frames.shape, np.uint32)))
    other.look_at((1,))
    opened.ask("a", (0,), draw.on(1))
    other.ask("a", (1,), draw.on(3))
    pump.until(answered(opened))
    other.close()
    opened.ask("b", (0,), draw.on(0))
    pump.until(answered(opened))
    assert all(one.mask is not None for one in opened.suggestions.values())
    assert not other.suggestions


def test_what_is_open_is_asked_anew_when_the_image_is_seen_otherwise(
    pump, opened, draw, answered
):
    opened.ask("a", (0,), draw.on(1))
    pump.until(answered(opened))
    source, before = opened.source, opened.suggestions["a"].mask
    # All that is brighter than the background is as bright as can be now.
    opened.see(source.seen(ranges=[(0.0, 20_000.0)]))
    assert opened.suggestions["a"].waiting
    assert opened.prepared((0,)) is None
    pump.until(answered(opened))
    after = opened.suggestions["a"].mask
    assert after.area != before.area
    opened.see(source)
    pump.until(answered(opened))
    again = opened.suggestions["a"].mask
    assert (again.box, again.area) == (before.box, before.area)
    assert np.array_equal(again.data, before.data)
