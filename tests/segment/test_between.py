"""Slices that are missing of real nuclei come back, and better than copied ones."""

import numpy as np
import pytest
import tifffile

from napari_sam.data import FOLDER
from napari_sam.segment import Filled, between, fill_between
from napari_sam.types import Mask


@pytest.fixture(scope="module")
def truth():
    """Nuclei in 3D, 100 slices that lie twice as far apart as pixels."""
    return tifffile.imread(FOLDER / "truth" / "plant_nuclei_3d.tif").astype(np.uint16)


def disk(y, x, radius, shape=(60, 80)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def masked(array):
    return Mask.from_array(array)


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


def thinned(truth, step):
    """Return the truth on every so many slices, and which slices those are."""
    kept = np.arange(0, len(truth), step)
    few = np.zeros_like(truth)
    few[kept] = truth[kept]
    return few, kept


@pytest.mark.parametrize(("step", "least"), [(3, 0.82), (4, 0.76)])
def test_missing_slices_are_better_than_copied_ones(truth, step, least):
    few, kept = thinned(truth, step)
    full, filled = fill_between(few)
    nearest = few[kept[np.abs(np.arange(len(truth))[:, None] - kept).argmin(1)]]
    # Beyond the ends of an object nothing can be known: only what was filled counts.
    count = better = 0
    ours, copied = [], []
    for z in np.setdiff1d(np.arange(len(truth)), kept):
        for n in np.setdiff1d(np.unique(full[z]), [0]):
            true = truth[z] == n
            if not true.any():
                continue
            ours.append(iou(full[z] == n, true))
            copied.append(iou(nearest[z] == n, true))
            count, better = count + 1, better + (ours[-1] >= copied[-1])
    assert count > 200
    assert np.mean(ours) > least
    assert np.mean(ours) > np.mean(copied) + 0.04
    assert better > 0.7 * count
    assert filled.outlines == sum(
        len(np.setdiff1d(np.unique(full[z]), np.unique(few[z])))
        for z in range(len(truth))
    )


def test_what_is_there_stays(truth):
    few, _ = thinned(truth, 4)
    before = few.copy()
    full, _ = fill_between(few)
    assert np.array_equal(few, before)
    assert full.dtype == few.dtype
    assert np.array_equal(full[few > 0], few[few > 0])
    assert fill_between(full)[1] == Filled()


def test_an_object_that_moves_by_more_than_its_width_does_not_vanish():
    ends = disk(15, 12, 6), disk(40, 62, 6)
    found = between(masked(ends[0]), masked(ends[1]), 4)
    for at, mask in enumerate(found, 1):
        there = disk(15 + 5 * at, 12 + 10 * at, 6)
        assert iou(mask.full(there.shape), there) > 0.9


def test_one_that_grows_has_the_size_in_between():
    small, large = masked(disk(30, 40, 4)), masked(disk(30, 40, 20))
    (middle,) = between(small, large, 1)
    assert iou(middle.full((60, 80)), disk(30, 40, 12)) > 0.95
    forth, back = between(small, large, 3), between(large, small, 3)
    for one, other in zip(forth, reversed(back), strict=True):
        assert one.box == other.box and np.array_equal(one.data, other.data)


def test_pieces_that_become_one_never_vanish():
    pieces = disk(10, 20, 5) | disk(50, 20, 5)
    for mask in between(masked(pieces), masked(disk(30, 60, 4)), 5):
        assert mask.area


@pytest.mark.parametrize("axis", [0, 1])
def test_any_axis_of_a_film_of_stacks(axis):
    film = np.zeros((4, 5, 60, 80), np.uint32)
    ball = disk(30, 40, 9)
    where = [(0, 2), (3, 2)] if axis == 0 else [(1, 0), (1, 4)]
    for at in where:
        film[at][ball] = 70_000
    full, filled = fill_between(film, axis=axis)
    other, nothing = fill_between(film, axis=1 - axis)
    assert filled == Filled(outlines=2 if axis == 0 else 3, objects=1)
    assert nothing == Filled() and np.array_equal(other, film)
    on = full[:, 2] if axis == 0 else full[1]
    assert all((plane == 70_000).sum() == ball.sum() for plane in on)
    assert (full > 0).sum() == len(on) * ball.sum()


def test_others_keep_their_pixels_and_what_is_mostly_theirs_is_left_out():
    stack = np.zeros((3, 60, 80), np.int16)
    stack[0][disk(30, 40, 10)] = stack[2][disk(30, 40, 10)] = 1
    stack[1][:, 45:] = 2
    stack[0][disk(10, 10, 5)] = stack[2][disk(10, 10, 5)] = 4
    stack[1][disk(10, 10, 5)] = 3
    full, filled = fill_between(stack)
    assert filled == Filled(outlines=1, objects=1, in_the_way=1)
    assert np.array_equal(full[1] == 2, stack[1] == 2)
    assert np.array_equal(full[1] == 3, stack[1] == 3)
    assert np.array_equal(full[1] == 1, disk(30, 40, 10) & (stack[1] == 0))


def test_only_the_wanted_objects(truth):
    few, _ = thinned(truth, 3)
    (number,) = np.unique(few)[5:6]
    full, filled = fill_between(few, numbers=[number])
    assert filled.objects == 1 and filled.outlines > 0
    assert set(np.unique(full[few != full])) == {number}


def test_at_the_border_of_the_image():
    stack = np.zeros((4, 60, 80), np.uint8)
    stack[0][disk(0, 0, 12)] = stack[3][disk(4, 30, 8)] = 1
    full, filled = fill_between(stack)
    assert filled.outlines == 2
    assert full[1].any() and full[2].any()


def test_a_wrong_axis_is_named():
    with pytest.raises(ValueError, match="no stack axis 1"):
        fill_between(np.zeros((3, 4, 4), np.uint8), axis=1)
