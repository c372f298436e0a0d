"""Objects followed from a slice on screen: the real built-in model on real frames."""

import numpy as np
import pytest
import tifffile

from napari_sam.data import FOLDER
from napari_sam.live.following.following import NO_MODEL, NO_OBJECT, NO_STACK, Following
from napari_sam.live.following.wanted import Wanted
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.proofreading.doubts import is_reviewed
from napari_sam.live.source import Source
from napari_sam.live.values import ObjectRecord, Rule
from napari_sam.types import Mask

SLICES = slice(44, 52)
HERE = 3


def part(folder):
    stack = tifffile.imread(FOLDER / folder / "plant_nuclei_3d.tif")
    return np.ascontiguousarray(stack[SLICES])


@pytest.fixture(scope="module")
def stack():
    """Eight slices of plant nuclei, 100 x 100, which lie close together."""
    return part("images")


@pytest.fixture(scope="module")
def truth():
    return part("truth")


@pytest.fixture
def ready(pump, session, stack, truth):
    """A session at the fourth slice, where all nuclei are objects."""
    labels = np.zeros(stack.shape, np.uint32)
    labels[HERE] = truth[HERE]
    boxes = {
        int(n): {(HERE,): box_of(labels[HERE] == n)}
        for n in np.unique(labels[HERE])
        if n
    }
    records = [ObjectRecord(n, reviewed=True) for n in boxes]
    store = LabelStore(labels, records=records, extents=boxes)
    session.open(Source(stack, "nuclei", stack.shape, "Z", False), store)
    session.look_at((HERE,))
    session.use_model("pocket", "cpu")
    pump.until(lambda: session.model is not None)
    return session


def box_of(mask):
    rows, columns = np.nonzero(mask)
    return rows.min(), columns.min(), rows.max() + 1, columns.max() + 1


@pytest.fixture
def following(pump, ready):
    told = []
    made = Following(ready, pump.post, lambda: told.append(made.state))
    made.told = told
    yield made
    made.close()


def ended(following):
    return lambda: not following.state.busy


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def test_all_objects_of_a_slice_are_found_on_the_others(pump, ready, following, truth):
    numbers = following.here()
    assert len(numbers) > 5
    before = ready.store.labels[HERE].copy()
    assert following.start(Wanted(numbers)) == ""
    pump.until(ended(following))
    state = following.state
    assert state.phase == "done"
    assert (state.objects, state.done, state.total) == (len(numbers), 7, 7)
    labels = ready.store.labels
    assert np.array_equal(labels[HERE], before)
    found = [iou(labels == n, truth == n) for n in numbers]
    without = [(before == n).sum() / (truth == n).sum() for n in numbers]
    assert np.mean(found) > 0.6
    assert np.mean(found) > 2 * np.mean(without)
    written = sum(len(planes) - 1 for planes in ready.store.extents.values())
    assert state.outlines == written
    assert {n for n, record in ready.store.records.items() if is_reviewed(record)} == {
        n for n in numbers if len(ready.store.extents[n]) == 1
    }


def long_one(truth):
    """Return a nucleus that is on all slices."""
    everywhere = set.intersection(*(set(np.unique(plane)) for plane in truth)) - {0}
    return max((int(n) for n in everywhere), key=lambda n: (truth == n).sum())


def test_it_is_one_step_to_take_back(pump, ready, following):
    before = ready.store.labels.copy()
    following.start(Wanted(following.here()))
    pump.until(ended(following))
    after = ready.store.labels.copy()
    assert ready.history.undo_text.startswith("Follow ")
    assert len(ready.history) == 1
    assert ready.undo()
    assert np.array_equal(ready.store.labels, before)
    assert ready.redo()
    assert np.array_equal(ready.store.labels, after)


def test_only_where_and_what_is_wanted(pump, ready, following, truth):
    number = long_one(truth)
    following.start(Wanted((number,), ways=(-1,)))
    pump.until(ended(following))
    assert following.state.total == HERE
    assert set(ready.store.extents[number]) == {(0,), (1,), (2,), (HERE,)}
    assert not ready.store.labels[HERE + 1 :].any()
    ready.undo()
    following.start(Wanted((number,), ways=(1,), reach=1))
    pump.until(ended(following))
    assert set(ready.store.extents[number]) == {(HERE,), (HERE + 1,)}


def test_what_a_person_drew_stays_and_leads_on(pump, ready, following, truth):
    number = long_one(truth)
    following.start(Wanted((number,)))
    pump.until(ended(following))
    found = ready.store.mask_of(number, (7,))
    # On a slice between the person says that it is elsewhere: on another nucleus.
    other = next(
        n
        for n in following.here()
        if n != number and (truth[4:] == n).any((1, 2)).all()
    )
    ready.edit(ready.store.delete([other]))
    drawn = Mask.from_array(truth[5] == other)
    ready.edit(ready.store.add((5,), drawn, Rule.KEEP, object_id=number))
    following.start(Wanted((number,)))
    pump.until(ended(following))
    there = ready.store.mask_of(number, (5,)).full(truth.shape[1:])
    assert np.array_equal(there, truth[5] == other)
    again = ready.store.mask_of(number, (7,)).full(truth.shape[1:])
    assert iou(again, truth[7] == other) > 0.5
    assert iou(again, found.full(truth.shape[1:])) < 0.1


def test_a_correction_runs_only_its_object_and_only_beyond_it(
    pump, ready, following, truth
):
    number = long_one(truth)
    following.start(Wanted(following.here()))
    pump.until(ended(following))
    before = ready.store.labels.copy()
    assert not following.corrected()
    # On a slice further on it has run onto another nucleus: that one is meant.
    other = next(
        n
        for n in following.here()
        if n != number and (truth[4:] == n).any((1, 2)).all()
    )
    change = ready.store.delete([other])
    ready.edit(change)
    following.touched(change)
    drawn = Mask.from_array(truth[5] == other)
    change = ready.store.add((5,), drawn, Rule.KEEP, object_id=number)
    ready.edit(change)
    following.touched(change)
    assert not following.corrected()  # it is not on the slice on screen
    ready.look_at((5,))
    assert following.corrected() == (number,)
    between = ready.store.labels.copy()

    assert following.go_on(0) == ""
    assert (following.state.objects, following.state.total) == (1, 2)
    pump.until(ended(following))
    assert not following.corrected()
    after = ready.store.labels
    np.testing.assert_array_equal(after[:6], between[:6])
    again = ready.store.mask_of(number, (7,)).full(truth.shape[1:])
    assert iou(again, truth[7] == other) > 0.5
    others = (before != number) & (before != other) & (before != 0)
    np.testing.assert_array_equal(after[others], before[others])
    # A correction that is taken back is none.
    ready.undo()
    ready.undo()
    ready.undo()
    np.testing.assert_array_equal(ready.store.labels, before)


def test_other_objects_keep_their_pixels(pump, ready, following, truth):
    number = long_one(truth)
    in_the_way = ready.store.add((4,), Mask.from_array(truth[4] == number), Rule.KEEP)
    ready.edit(in_the_way)
    other = ready.store.next_id - 1
    before = ready.store.labels[4] == other
    following.start(Wanted((number,), ways=(1,), reach=1))
    pump.until(ended(following))
    assert (following.state.outlines, following.state.in_the_way) == (0, 1)
    assert np.array_equal(ready.store.labels[4] == other, before)


def test_it_stops_at_once_and_keeps_what_was_added(pump, ready, following):
    following.start(Wanted(following.here()))
    pump.until(lambda: following.state.outlines > 0)
    following.stop()
    written = ready.store.labels.copy()
    assert following.state.phase == "stopped"
    following.start(Wanted(following.here(), reach=0))  # behind what still runs
    pump.until(ended(following))
    assert np.array_equal(ready.store.labels, written)


def test_it_ends_where_its_work_is_taken_back(pump, ready, following):
    before = ready.store.labels.copy()
    following.start(Wanted(following.here()))
    pump.until(lambda: following.state.outlines > 0)
    assert ready.undo()
    pump.until(ended(following))
    assert following.state.phase == "stopped"
    assert np.array_equal(ready.store.labels, before)


def test_an_object_that_was_deleted_meanwhile_does_not_come_back(
    pump, ready, following
):
    number = following.here()[0]
    following.start(Wanted(following.here()))
    pump.until(lambda: following.state.outlines > 0)
    ready.edit(ready.store.delete([number]))
    pump.until(ended(following))
    assert number not in ready.store.records
    assert not (ready.store.labels == number).any()


def test_it_says_why_there_is_nothing_to_do(session, ready, following, stack):
    assert following.start(Wanted((9999,))) == NO_OBJECT
    session.use_model("a model that is not there", "cpu")
    assert following.start(Wanted(following.here())) == NO_MODEL
    session.open(
        Source(stack[0], "one", stack.shape[1:], "", False),
        LabelStore(np.zeros(stack.shape[1:], np.uint32)),
    )
    session.look_at(())
    assert following.start(Wanted((1,))) == NO_STACK
    assert following.state.phase == "nothing"


def test_a_slice_that_cannot_be_read_is_told(pump, session, ready, stack, truth):
    class Broken:
        shape, dtype, reads = stack.shape, stack.dtype, []

        def __getitem__(self, index):
            self.reads.append(index)
            if self.reads.count((6,)) > 2:  # the contrast was measured twice
                raise OSError("the disk is gone")
            return stack[index]

    session.open(Source(Broken(), "nuclei", stack.shape, "Z", False), ready.store)
    session.look_at((HERE,))
    pump.until(lambda: session.prepared((HERE,)) is not None)
    following = Following(session, pump.post, lambda: None)
    try:
        following.start(Wanted((long_one(truth),), ways=(1,)))
        pump.until(ended(following))
        assert following.state.phase == "failed"
        assert "the disk is gone" in following.state.error
        assert following.state.outlines == 2
    finally:
        following.close()


def test_nothing_more_is_looked_for_where_all_have_ended(pump, ready, stack, truth):
    """One slice of nuclei in front of nothing but noise."""
    random = np.random.default_rng(3)
    noise = random.normal(20, 2, (40, *stack.shape[1:])).astype(stack.dtype)
    noise[0] = stack[HERE]
    labels = np.zeros(noise.shape, np.uint32)
    labels[0] = truth[HERE]
    boxes = {n: {(0,): planes[(HERE,)]} for n, planes in ready.store.extents.items()}
    ready.open(
        Source(noise, "noise", noise.shape, "Z", False),
        LabelStore(labels, extents=boxes),
    )
    ready.look_at((0,))
    following = Following(ready, pump.post, lambda: None)
    try:
        following.start(Wanted(following.here()))
        pump.until(ended(following))
        assert following.state.phase == "done"
        assert 5 <= following.state.done < 15
    finally:
        following.close()
