"""All outlines of a plane moved at once, on nuclei that people have outlined."""

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from skimage.segmentation import expand_labels

from napari_sam.data import FOLDER
from napari_sam.live.labels.moving import move_outlines
from napari_sam.live.labels.scan import scan
from napari_sam.live.labels.store import LabelStore
from napari_sam.live.values import Rule
from napari_sam.types import Mask


@pytest.fixture
def truth():
    """Return labels on two planes that are larger than one part of the work."""
    nuclei = tifffile.imread(FOLDER / "truth" / "fluorescence.tif").astype(np.int32)
    nuclei = np.tile(nuclei, (2, 2))
    assert min(nuclei.shape) > 300
    return np.stack([nuclei, nuclei])


def store_of(labels):
    found = scan(labels)
    return LabelStore(
        labels, records=found.records, next_id=found.next_id, extents=found.extents
    )


@pytest.mark.parametrize("pixels", [1, 2, 4])
def test_looser_outlines_grow_until_they_meet(truth, pixels):
    moved = store_of(truth.copy())
    assert moved.take_over(move_outlines(moved.labels, (0,), pixels))
    assert np.array_equal(moved.labels[0], expand_labels(truth[0], pixels))
    assert np.array_equal(moved.labels[1], truth[1])
    assert moved.extents == scan(moved.labels).extents


@pytest.mark.parametrize("pixels", [1, 3])
def test_tighter_outlines_leave_a_gap_and_no_object_vanishes(truth, pixels):
    moved = store_of(truth.copy())
    moved.take_over(move_outlines(moved.labels, (1,), -pixels))
    assert np.array_equal(moved.labels[0], truth[0])
    assert moved.extents == scan(moved.labels).extents
    gone = 0
    for number in moved.records:
        own = truth[1] == number
        depth = ndimage.distance_transform_edt(np.pad(own, 1, mode="edge"))[1:-1, 1:-1]
        there = moved.labels[1] == number
        if np.array_equal(there, own):
            gone += 1  # it would have vanished
            assert not (depth > pixels + 1).any()
        else:  # up to the corner of a pixel
            assert there[depth > pixels + 1].all()
            assert not there[depth <= pixels - 0.5].any()
    assert gone < len(moved.records) / 2


def test_it_is_one_step_that_can_be_taken_back(truth):
    store = store_of(truth.copy())
    extents = dict(store.extents)
    change = store.take_over(move_outlines(store.labels, (0,), 2))
    assert change.what == "All outlines looser"
    store.undo(change)
    assert np.array_equal(store.labels, truth)
    assert store.extents == extents
    store.redo(change)
    assert np.array_equal(store.labels[0], expand_labels(truth[0], 2))
    assert store.extents == scan(store.labels).extents


def test_what_was_edited_in_between_is_not_overwritten(truth):
    store = store_of(truth.copy())
    moved = move_outlines(store.labels, (0,), 1)
    store.delete([next(iter(store.records))])
    before = store.labels.copy()
    assert store.take_over(moved) is None
    assert np.array_equal(store.labels, before)


def test_values_below_zero_stay_and_nothing_grows_into_them(truth):
    labels = truth.copy()
    labels[0, ::7] = -1
    moved = move_outlines(labels, (0,), 3)
    after = labels[0].copy()
    for patch in moved.patches:
        after[patch.slices] = patch.after
    assert np.array_equal(after < 0, labels[0] < 0)
    assert (after > 0).sum() > (labels[0] > 0).sum()


def test_without_objects_there_is_nothing_to_move():
    assert move_outlines(np.zeros((2, 40, 50), np.uint8), (1,), 1) is None


@pytest.mark.parametrize(("width", "left"), [(22, True), (18, False)])
def test_what_loses_most_of_itself_is_replaced_altogether(width, left):
    """A thin rest around a new outline would be no object."""
    store = LabelStore(np.zeros((60, 70), np.uint16))
    store.add((), Mask((10, 10, 30, 50), np.ones((20, 40), bool), 0.9, 0.9), Rule.KEEP)
    covered = np.ones((20, 40 - width), bool)
    part = Mask((10, 10, 30, 50 - width), covered, 0.9, 0.9)
    change = store.add((), part, Rule.REPLACE)
    assert (1 in store.records) is left
    assert store.extents == scan(store.labels).extents
    assert (store.labels == 2).sum() == part.area
    store.undo(change)
    assert (store.labels == 1).sum() == 800
