import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import ndimage
from skimage.measure import grid_points_in_poly

from napari_sam.records.rings import Piece, Ring, pieces_of

Mask = npt.NDArray[np.bool_]


def drawn(pieces: list[Piece], shape: tuple[int, ...]) -> Mask:
    """Pixels whose centres lie inside, under the even-odd rule."""
    inside = np.zeros(shape, bool)
    for piece in pieces:
        for ring in piece.rings:
            inside ^= grid_points_in_poly(shape, ring - 0.5)
    return inside


def area(ring: Ring) -> float:
    y, x = ring.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=8)))
@settings(max_examples=300, deadline=None)
def test_any_mask_is_what_its_outlines_enclose(mask: Mask) -> None:
    pieces = pieces_of(mask)
    np.testing.assert_array_equal(drawn(pieces, mask.shape), mask)
    _, count = ndimage.label(mask)
    assert len(pieces) == count
    for piece in pieces:
        one = drawn([piece], mask.shape)
        assert ndimage.label(one)[1] == 1
        # Outlines run clockwise on the screen, holes the other way round.
        assert area(piece.outer) > 0 and all(area(hole) < 0 for hole in piece.holes)
        assert sum(map(area, piece.rings)) == one.sum()
        for ring in piece.rings:
            assert len({tuple(corner) for corner in ring.tolist()}) == len(ring)
            steps = np.roll(ring, -1, axis=0) - ring
            assert ((steps != 0).sum(1) == 1).all()


def test_outlines_lie_where_the_mask_lies() -> None:
    (piece,) = pieces_of(np.ones((2, 3), bool), (10, 20))
    assert piece.outer.tolist() == [[10, 20], [10, 23], [12, 23], [12, 20]]
    assert pieces_of(np.zeros((4, 4), bool)) == []


@pytest.mark.parametrize("flip", [False, True])
def test_a_hole_that_touches_the_outline_in_a_corner(flip: bool) -> None:
    mask = np.ones((4, 4), bool)
    mask[0, 0] = mask[1, 1] = False
    (piece,) = pieces_of(mask[:, ::-1] if flip else mask)
    assert len(piece.holes) == 1 and len(piece.outer) == 6
