import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import points_in_poly

from napari_sam.live import rasters

coordinate = st.floats(-20, 40, allow_nan=False, width=32)
corner = st.tuples(coordinate, coordinate)


def centres(window):
    y0, x0, y1, x1 = window
    y, x = np.mgrid[y0:y1, x0:x1] + 0.5
    return np.column_stack([y.ravel(), x.ravel()])


def test_a_rectangle_holds_exactly_its_pixels():
    square = np.array([(2, 3), (2, 7), (6, 7), (6, 3)])
    inside = rasters.fill(square, (0, 0, 10, 10))
    expected = np.zeros((10, 10), bool)
    expected[2:6, 3:7] = True
    assert np.array_equal(inside, expected)


@given(st.tuples(corner, corner, corner))
def test_a_triangle_holds_the_pixels_whose_centres_lie_in_it(triangle):
    vertices = np.array(triangle, np.float64)
    window = (-3, 2, 21, 30)
    points = centres(window)
    # Which side a centre on an edge is on is a matter of rounding.
    along = np.roll(vertices, -1, axis=0) - vertices
    gaps = points[:, None] - vertices
    clear = (
        np.abs(along[:, 0] * gaps[..., 1] - along[:, 1] * gaps[..., 0]) > 1e-6
    ).all(1)
    inside = rasters.fill(vertices, window).ravel()
    assert np.array_equal(inside[clear], points_in_poly(points, vertices)[clear])


def test_neighbours_with_a_common_edge_share_no_pixel_and_leave_none_out():
    left = np.array([(0, 0), (0, 3.5), (8, 5.5), (8, 0)])
    right = np.array([(0, 3.5), (0, 9), (8, 9), (8, 5.5)])
    window = (0, 0, 8, 9)
    both = rasters.fill(left, window).astype(int) + rasters.fill(right, window)
    assert (both == 1).all()


def test_an_outline_that_closes_over_its_own_start_has_no_hole():
    angle = np.linspace(0, 2.3 * math.pi, 60)
    lasso = 20 + 15 * np.column_stack([np.sin(angle), np.cos(angle)])
    inside = rasters.fill(lasso, (0, 0, 40, 40))
    assert inside[20:33, 20:33].sum() > 120
    assert inside[21, 21] and inside[28, 25]


def test_a_part_of_an_outline_is_cut_by_the_window():
    vertices = np.array([(-50.0, -50), (-50, 60), (70, 60), (70, -50)])
    assert rasters.fill(vertices, (0, 0, 5, 6)).all()
    assert not rasters.fill(vertices + 200, (0, 0, 5, 6)).any()


def test_an_ellipse_has_the_area_of_an_ellipse():
    corners = np.array([(10, 20), (10, 80), (90, 80), (90, 20)], np.float32)
    outline = rasters.ellipse(corners)
    inside = rasters.fill(outline, (0, 0, 100, 100))
    assert inside.sum() == pytest.approx(math.pi * 40 * 30, rel=0.003)
    assert np.allclose(rasters.bounds_of(outline), (10, 20, 90, 80))


def test_a_rotated_rectangle_reaches_as_far_as_the_ellipse_in_it():
    turn = math.radians(30)
    long = np.array([math.cos(turn), math.sin(turn)])
    short = np.array([-long[1], long[0]])
    signs = [(-1, -1), (-1, 1), (1, 1), (1, -1)]
    corners = np.array([50 + a * 40 * long + b * 5 * short for a, b in signs])
    extent = rasters.extent_of(corners)
    reached = rasters.bounds_of(rasters.ellipse(corners))
    assert np.allclose(extent, reached, atol=0.01)
    assert extent[0] > rasters.bounds_of(corners)[0] + 1


@given(st.tuples(corner, corner))
def test_an_upright_rectangle_keeps_its_box(ends):
    (ya, xa), (yb, xb) = ends
    corners = np.array([(ya, xa), (ya, xb), (yb, xb), (yb, xa)], np.float32)
    expected = (min(ya, yb), min(xa, xb), max(ya, yb), max(xa, xb))
    assert np.allclose(rasters.extent_of(corners), expected, atol=1e-5)


def test_what_lies_beside_a_plane_has_no_part_of_it():
    assert rasters.clipped((-5, 2, 3, 30), (10, 20)) == (0, 2, 3, 20)
    for box in [(-5, 2, 0, 4), (10, 2, 12, 4), (1, -3, 2, -1), (1, 20, 2, 21)]:
        assert rasters.clipped(box, (10, 20)) is None
    assert rasters.clipped((3, 4, 3, 9), (10, 20)) == (3, 4, 3, 9)


def test_a_path_becomes_evenly_spaced_points():
    path = np.array([(5, 5), (5, 45), (45, 45)])
    points = rasters.along(path, (50, 50))
    assert len(points) == 8
    on_first, on_second = points[:, 0] < 5.5, points[:, 1] > 44.5
    assert (on_first | on_second).all()
    assert on_first.sum() == on_second.sum() == 4
    gaps = np.abs(np.diff(points, axis=0)).sum(1)
    assert np.allclose(gaps, 10, atol=0.7)


def test_a_short_path_becomes_few_points_and_a_dot_one():
    assert len(rasters.along(np.array([(5, 5), (5, 9)]), (50, 50))) == 2
    assert np.array_equal(rasters.along(np.array([(5, 5)]), (50, 50)), [(5, 5)])
    dot = np.array([(7, 7), (7, 7)])
    assert np.array_equal(rasters.along(dot, (50, 50)), [(7, 7)])


def test_a_path_that_leaves_the_plane_is_sampled_on_it():
    points = rasters.along(np.array([(5, -100), (5, 20)]), (10, 50))
    assert 4 < len(points) <= 8
    assert rasters.on_plane(points, (10, 50)).all()
    assert len(rasters.along(np.array([(-5, 0), (-5, 20)]), (10, 50))) == 0


@pytest.mark.parametrize("scale", [1, 30])
def test_points_in_an_area_lie_well_inside_and_far_apart(scale):
    ell = np.array([(10, 10), (10, 20), (40, 20), (40, 50), (50, 50), (50, 10)])
    vertices = ell * scale
    shape = (60 * scale, 60 * scale)
    points = rasters.within(vertices, shape)
    assert len(points) == 4
    for step in [(-3, 0), (3, 0), (0, -3), (0, 3)]:
        moved = points + np.multiply(step, scale / 2)
        assert points_in_poly(moved, vertices).all()
    gaps = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    assert gaps[~np.eye(4, dtype=bool)].min() > 8 * scale


def test_points_in_an_area_stay_on_the_plane():
    vertices = np.array([(-1000, -1000), (-1000, 9.6), (9.7, 9.6), (9.7, -1000)])
    points = rasters.within(vertices, (10, 10))
    assert len(points)
    assert rasters.on_plane(points, (10, 10)).all()


def test_a_line_without_area_gives_points_along_it():
    thin = np.array([(5.1, 3), (5.1, 30), (5.2, 30), (5.2, 3)])
    points = rasters.within(thin, (20, 40))
    assert len(points) and np.allclose(points[:, 0], 5.15, atol=0.06)
    assert len(rasters.within(thin + 100, (20, 40))) == 0
