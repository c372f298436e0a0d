import numpy as np
import pytest

from napari_sam.segment.clean import clean_mask, drop_fragments, fill_holes
from napari_sam.types import Mask


def test_only_the_largest_piece_stays_by_default():
    data = np.zeros((20, 20), bool)
    data[1:9, 1:9] = True
    data[12:15, 12:15] = True
    mask = clean_mask(Mask.from_array(data, (100, 50), score=0.7, stability=0.9))
    assert mask.box == (101, 51, 109, 59)
    assert mask.data.all()
    assert (mask.score, mask.stability) == (0.7, 0.9)


@pytest.mark.parametrize(("fraction", "pieces"), [(0, 3), (0.2, 2), (0.5, 1), (1, 1)])
def test_fragments_are_kept_above_a_fraction_of_the_largest(fraction, pieces):
    data = np.zeros((1, 40), bool)
    data[0, :20] = True
    data[0, 22:32] = True  # exactly half
    data[0, 35:37] = True  # a tenth
    assert drop_fragments(data, fraction).sum() == {3: 32, 2: 30, 1: 20}[pieces]


def test_of_two_equal_pieces_one_stays():
    data = np.zeros((3, 7), bool)
    data[:, :3] = data[:, 4:] = True
    assert drop_fragments(data, 1.0).sum() == 9


def test_pieces_that_touch_at_a_corner_are_two():
    assert drop_fragments(np.eye(4, dtype=bool), 1.0).sum() == 1


def test_small_holes_are_filled_and_large_ones_stay():
    data = np.ones((20, 20), bool)
    data[3:5, 3:5] = False
    data[8:17, 8:17] = False
    filled = fill_holes(data, 0.1)
    assert filled[3:5, 3:5].all()
    assert not filled[8:17, 8:17].any()


def test_a_bay_is_no_hole():
    data = np.ones((10, 10), bool)
    data[4, :3] = False
    data[3, 3] = False  # joined to the bay through a corner
    assert np.array_equal(fill_holes(data, 1.0), data)


def test_a_hole_with_something_else_in_it_stays():
    data = np.ones((12, 12), bool)
    data[4:7, 4:7] = False
    free = np.ones((12, 12), bool)
    assert fill_holes(data, 0.5, free).all()
    free[5, 5] = False
    assert np.array_equal(fill_holes(data, 0.5, free), data)


def test_an_empty_mask_stays_empty():
    empty = clean_mask(Mask.from_array(np.zeros((5, 5), bool)))
    assert empty.area == 0
    assert empty.box == (0, 0, 0, 0)
