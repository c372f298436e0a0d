"""All objects of a stack: the real built-in model on small frames of nuclei."""

import numpy as np
import pytest

from napari_sam.live.labels.store import LabelStore
from napari_sam.live.proposals import adding
from napari_sam.live.proposals.finding import Finder
from napari_sam.live.proposals.found import Filters
from napari_sam.live.proposals.where import Where, outward
from napari_sam.live.source import Source
from napari_sam.live.values import Rule
from napari_sam.models.pocket.model import PocketModel
from napari_sam.segment import annotate


class Drawn:
    """Draws nothing, and remembers how many masks it was given each time."""

    def __init__(self):
        self.counts = []

    def __call__(self):
        return self.draw

    def draw(self, masks):
        self.counts.append(len(masks))
        return tuple(masks)


@pytest.fixture
def drawn():
    return Drawn()


@pytest.fixture
def finder(pump, opened, drawn):
    finder = Finder(opened, pump.post, lambda: None, drawn)
    yield finder
    finder.close()


@pytest.fixture
def everywhere(frames):
    return Where(outward((1,), frames.shape[:1]))


@pytest.fixture
def found(pump, finder, opened, everywhere):
    """A finder that has found the nuclei of all frames."""
    opened.look_at((1,))
    finder.find("nuclei", everywhere)
    pump.until(lambda: finder.state.phase == "found")
    return finder


def settled(pump, finder, filters):
    finder.filter(filters)
    pump.until(lambda: finder.counted)


def add(pump, finder):
    told = []
    finder.add(lambda count, refused: told.append((count, list(refused))))
    pump.until(lambda: told)
    return told[0]


def per_slice(finder):
    return {work().index: len(work().objects) for work in finder.each()}


def test_all_slices_from_the_one_on_screen_outward(pump, finder, opened, frames):
    opened.look_at((2,))
    order, seen = [], []

    def changed():
        if finder.searched > len(order):
            order.append(finder.searched)
            seen.append(len(finder.each()))

    finder._changed = changed
    where = Where(outward((2,), frames.shape[:1]))
    assert where.indices == ((2,), (3,), (1,), (0,))
    finder.find("nuclei", where)
    pump.until(lambda: finder.state.phase == "found")
    assert order == seen == [1, 2, 3, 4]
    labels, _ = annotate(frames, axes="TYX")
    ours = per_slice(finder)
    assert ours == {(t,): len(np.unique(labels[t])) - 1 for t in range(len(frames))}
    assert finder.total.objects == sum(ours.values())


def test_time_and_progress_are_known(pump, finder, opened):
    states = []
    finder._changed = lambda: states.append(finder.state)
    finder.find("everything", Where(((0,), (1,))))
    pump.until(lambda: finder.state.phase == "found", seconds=120)
    searching = [state for state in states if state.phase == "searching"]
    assert {state.total for state in searching} == {2}
    wholes = [state.whole for state in searching]
    assert wholes == sorted(wholes)
    assert any(state.part for state in searching)
    assert searching[0].seconds_left(1.0) is None
    assert searching[-1].done == 2
    half = next(s for s in searching if s.done == 1 and s.part is None)
    assert half.seconds_left(10.0) == pytest.approx(10.0)


def test_outlines_are_drawn_on_the_screen_only(pump, found, opened, drawn):
    assert found.found.index == (1,)
    assert len(drawn.counts) == 1
    first = found.found
    opened.look_at((3,))
    found.look_at((3,))
    pump.until(lambda: found.found is not first)
    assert found.found.index == (3,)
    assert len(found.found.pictures) == len(found.found.objects) > 0
    assert len(drawn.counts) == 2


def test_filters_act_on_all_slices_without_a_model(pump, found, monkeypatch):
    def never(*_, **__):
        raise AssertionError

    monkeypatch.setattr(PocketModel, "encode", never)
    monkeypatch.setattr(PocketModel, "decode", never)
    everything, before = found.total.objects, per_slice(found)
    settled(pump, found, Filters(border=False))
    fewer = per_slice(found)
    assert found.total.objects == sum(fewer.values()) < everything
    assert all(fewer[index] < before[index] for index in before)
    assert len(found.found.objects) == fewer[(1,)]
    settled(pump, found, Filters())
    assert per_slice(found) == before
    assert found.total.objects == everything


def test_a_filter_that_is_moved_on_counts_once(pump, found):
    for smallest in (5000, 4000, 3000):
        found.filter(Filters(smallest=smallest))
    settled(pump, found, Filters(smallest=1))
    assert found.total.objects == sum(per_slice(found).values()) > 0


def test_a_filter_that_is_moved_during_the_search(pump, finder, everywhere):
    finder.find("nuclei", everywhere)
    pump.until(lambda: finder.searched == 1)
    settled(pump, finder, Filters(border=False))
    pump.until(lambda: finder.state.phase == "found" and finder.counted)
    assert finder.total.objects == sum(per_slice(finder).values())


def test_all_slices_are_added_in_one_step(pump, found, opened, monkeypatch, listener):
    monkeypatch.setattr(adding, "_OBJECTS", 3)
    expected, each = found.total.objects, per_slice(found)
    assert add(pump, found) == (expected, [])
    assert len(listener.changes) > 4
    records, labels = opened.store.records, opened.store.labels
    assert len(records) == expected
    for (t,), count in each.items():
        assert len(np.unique(labels[t])) - 1 == count
    assert (found.found, found.state.phase) == (None, "nothing")
    assert (len(opened.history), opened.history.undo_text) == (
        1,
        f"Add {expected} objects",
    )
    after = labels.copy()
    assert opened.undo()
    assert not labels.any()
    assert not records
    assert opened.redo()
    assert (labels == after).all()
    assert len(records) == expected
    assert opened.undo()
    assert not opened.undo()


def test_what_is_done_meanwhile_is_a_step_of_its_own(
    pump, found, opened, monkeypatch, listener
):
    """Somebody deletes an object while others are added; all of it is taken back."""
    monkeypatch.setattr(adding, "_OBJECTS", 3)
    expected, told = found.total.objects, []
    found.add(lambda count, refused: told.append(count))
    pump.until(lambda: len(listener.changes) == 2)
    opened.edit(opened.store.delete([1]))
    deleted = opened.store.labels.copy()
    pump.until(lambda: told)
    assert told == [expected]
    assert len(opened.store.records) == expected - 1
    assert len(opened.history) == 3
    assert opened.undo()
    assert (opened.store.labels == deleted).all()
    assert opened.undo()
    assert 1 in opened.store.records
    assert opened.undo()
    assert not opened.store.labels.any()
    assert not opened.store.records


def test_undo_while_adding_ends_it(pump, found, opened, monkeypatch, listener):
    monkeypatch.setattr(adding, "_OBJECTS", 3)
    told = []
    found.add(lambda count, refused: told.append(count))
    pump.until(lambda: len(listener.changes) == 2)
    assert opened.undo()
    pump.until(lambda: told)
    assert not opened.store.labels.any()
    assert found.state.phase == "found"  # they can be added still
    assert found.total.objects > told[0]


def test_adding_can_be_cancelled(pump, found, opened, monkeypatch, listener):
    monkeypatch.setattr(adding, "_OBJECTS", 3)
    expected, told = found.total.objects, []
    found.add(lambda count, refused: told.append(count))
    pump.until(lambda: len(listener.changes) == 2)
    found.cancel()
    assert told[0] == len(opened.store.records) == 6
    assert len(opened.history) == 1
    count, refused = add(pump, found)
    assert (count, len(refused)) == (expected - 6, 6)


def test_other_labels_end_the_adding(pump, found, opened, monkeypatch, frames):
    monkeypatch.setattr(adding, "_OBJECTS", 3)
    told = []
    found.add(lambda count, refused: told.append(count))
    other = LabelStore(np.zeros(frames.shape, np.uint32))
    opened.attach(other)
    pump.until(lambda: told)
    assert told == [3]
    assert not other.labels.any()


def test_cancel_keeps_what_was_found(pump, finder, opened, everywhere):
    finder.find("nuclei", everywhere)
    pump.until(lambda: finder.searched == 2)
    finder.cancel()
    assert finder.state.phase == "stopped"
    assert finder.searched == len(finder.each()) == 2
    expected = finder.total.objects
    assert expected
    pump.until(lambda: finder._lane.idle)
    assert finder.searched == 2
    settled(pump, finder, Filters(border=False))
    assert 0 < finder.total.objects < expected
    assert add(pump, finder)[0] > 0


def test_a_click_is_answered_before_the_search_ends(
    pump, finder, opened, everywhere, draw, answered
):
    finder.find("everything", everywhere)
    pump.until(lambda: finder.state.part)
    opened.ask("a", (0,), draw.on(0))
    pump.until(answered(opened))
    assert opened.suggestions["a"].mask is not None
    assert finder.state.phase == "searching"
    finder.cancel()


def test_a_slice_without_contrast_is_passed_over(pump, session, frames):
    flat = np.array(frames)
    flat[1] = 7
    source = Source(flat, "nuclei", flat.shape, "T", False)
    session.open(source, LabelStore(np.zeros(flat.shape, np.uint32)))
    session.look_at((1,))
    finder = Finder(session, pump.post, lambda: None)
    finder.find("nuclei", Where(outward((1,), (4,))))
    pump.until(lambda: finder.state.phase == "found")
    assert finder.searched == 4
    assert sorted(per_slice(finder)) == [(0,), (2,), (3,)]
    finder.close()


def test_a_slice_that_cannot_be_read_keeps_the_others(pump, session, frames):
    class Torn:
        shape, dtype, ndim = frames.shape, frames.dtype, frames.ndim

        def __getitem__(self, index):
            if index == (2,) and self.torn:
                raise OSError("the disk is gone")
            return frames[index]

        torn = False

    data = Torn()
    source = Source(data, "nuclei", frames.shape, "T", False)
    session.open(source, LabelStore(np.zeros(frames.shape, np.uint32)))
    session.look_at((0,))
    finder = Finder(session, pump.post, lambda: None)

    def changed():
        data.torn = finder.searched > 0

    finder._changed = changed
    finder.find("nuclei", Where(outward((0,), (4,))))
    pump.until(lambda: finder.state.phase == "failed")
    assert "the disk is gone" in finder.state.error
    assert sorted(per_slice(finder)) == [(0,)]
    assert finder.total.objects > 0
    assert add(pump, finder)[0] == len(session.store.records) > 0
    finder.close()


def test_another_model_begins_again(pump, finder, opened, everywhere):
    finder.find("nuclei", everywhere)
    pump.until(lambda: finder.searched == 1)
    opened.use_model("pocket", "cpu")  # loaded anew, since before it was "auto"
    assert (finder.state.phase, finder.searched) == ("preparing", 0)
    pump.until(lambda: finder.state.phase == "found")
    assert finder.searched == 4


def test_in_a_region_those_that_lie_in_it(pump, finder, opened):
    finder.find("nuclei")
    pump.until(lambda: finder.state.phase == "found")
    every = [one.mask for one in finder.found.objects]
    triangle = np.array([(0, 0), (96, 0), (0, 112)], np.float32)
    finder.find("nuclei", Where(((0,),), (triangle,)))
    pump.until(lambda: finder.state.phase == "found")
    masks = [one.mask for one in finder.found.objects]
    assert 0 < len(masks) < len(every)
    for mask in masks:
        y, x = np.nonzero(mask.full((96, 112)))
        assert ((y + 0.5) / 96 + (x + 0.5) / 112 < 1).mean() > 0.5
    boxes = {mask.box for mask in masks}
    assert boxes <= {mask.box for mask in every}


def test_anything_in_a_region(pump, finder, opened):
    corner = np.array([(0, 60), (40, 60), (40, 112), (0, 112)], np.float32)
    finder.find("everything", Where(((0,),), (corner,)))
    pump.until(lambda: finder.state.phase == "found")
    assert len(finder.found.objects) > 0
    for one in finder.found.objects:
        ((y, x),) = one.about["prompts"][0].marks[0].vertices
        assert 0 < y < 40
        assert 60 < x < 112


def test_objects_that_are_there_are_refused_on_their_slice(pump, found, opened):
    (first,) = [w() for w in found.each() if w().index == (2,)]
    mask = first.objects[0].mask
    opened.edit(opened.store.add((2,), mask, Rule.KEEP, source="person"))
    expected = found.total.objects
    count, refused = add(pump, found)
    assert (count, len(refused)) == (expected - 1, 1)


@pytest.mark.parametrize(
    ("index", "shape", "order"),
    [
        ((), (), [()]),
        ((3,), (4,), [(3,), (2,), (1,), (0,)]),
        ((0, 1), (2, 2), [(0, 1), (0, 0), (1, 1), (1, 0)]),
    ],
)
def test_outward(index, shape, order):
    assert sorted(outward(index, shape)) == sorted(order)
    far = [sum(abs(a - b) for a, b in zip(o, index, strict=True)) for o in order]
    ours = outward(index, shape)
    assert [sum(abs(a - b) for a, b in zip(o, index, strict=True)) for o in ours] == far
