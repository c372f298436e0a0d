"""Meta's transform, and cells that lie where Meta's interpolation puts them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything.utils.transforms import ResizeLongestSide

from napari_sam.models.sam1.geometry import INPUT, LOW, SURE, Frame

SHAPES = [(300, 300), (520, 696), (1, 1), (3, 2000), (3000, 2251), (1024, 1023)]


@pytest.mark.parametrize("shape", SHAPES)
def test_images_and_positions_are_scaled_as_by_meta(shape):
    random = np.random.default_rng(0)
    theirs, frame = ResizeLongestSide(INPUT), Frame.of(shape)
    pixels = random.integers(0, 256, (*shape, 3), np.uint8)
    np.testing.assert_array_equal(frame.image(pixels), theirs.apply_image(pixels))
    points = random.uniform(0, shape, (20, 2))
    expected = theirs.apply_coords(points[:, ::-1] - 0.5, shape)
    np.testing.assert_allclose(frame.positions(points), expected, rtol=1e-6)
    boxes = np.hstack([points, points + 5])
    expected = theirs.apply_boxes(boxes[:, [1, 0, 3, 2]] - 0.5, shape)
    np.testing.assert_allclose(frame.boxes(boxes), expected, rtol=1e-6)


def test_a_line_longer_than_meta_allows_keeps_a_row():
    assert Frame.of((1, 5000)).inner == (1, INPUT)


@pytest.mark.parametrize("shape", SHAPES)
def test_pixels_see_the_cells_that_meta_interpolates(shape):
    for axis, size in zip(Frame.of(shape).axes(), shape, strict=True):
        assert axis.weights.shape == (size, LOW)
        np.testing.assert_allclose(axis.weights.sum(1), 1, atol=1e-6)
        for low in (0, 7, LOW - 1):
            start, stop = axis.reached(low, low)
            sees = np.flatnonzero(axis.weights[:, low])
            assert [*range(start, stop)] == [*sees]
        first, last = axis.cells(0, size)
        used = np.flatnonzero(axis.weights.any(0))
        assert (first, last) == (used[0], used[-1] + 1)


@pytest.mark.parametrize("shape", [(256, 256), (520, 696), (3000, 2251), (40, 33)])
def test_a_mask_lies_on_the_cells_at_its_place(shape):
    frame = Frame.of(shape)
    height, width = shape
    y0, x0, y1, x1 = height // 5, width * 2 // 5, height // 2, width * 9 // 10
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    low = frame.low_mask(mask)
    assert low.shape == (LOW, LOW)
    assert low.min() == -SURE
    assert low.max() == pytest.approx(SURE, abs=1e-4)
    scale = LOW / max(shape)
    y, x = np.mgrid[:LOW, :LOW] + 0.5
    inside = (y > y0 * scale) & (y < y1 * scale) & (x > x0 * scale) & (x < x1 * scale)
    # Cells that an edge crosses may fall on either side; corners become round.
    wrong = (low > 0) != inside
    assert wrong.sum() <= 2 * (y1 - y0 + x1 - x0) * scale
    near = np.abs(y - y0 * scale), np.abs(y - y1 * scale)
    near += np.abs(x - x0 * scale), np.abs(x - x1 * scale)
    assert np.min(near, axis=0)[wrong].max(initial=0) <= max(0.75, scale / 4)
    np.testing.assert_array_equal(low, frame.low_mask(mask.astype(np.uint8)))


def test_logits_keep_their_values_and_return_where_they_came_from():
    frame = Frame.of((512, 400))
    y, x = np.mgrid[:LOW, :LOW] / LOW
    low = (3 * np.sin(5 * y) + 2 * np.cos(7 * x)).astype(np.float32)
    rows, columns = frame.axes()
    back = frame.low_mask(rows.weights @ low @ columns.weights.T)
    np.testing.assert_allclose(back[1:255, 1:199], low[1:255, 1:199], atol=0.01)
    assert (back[:, 201:] == -SURE).all()


def test_a_mask_as_thin_as_a_pixel_does_not_vanish():
    mask = np.zeros((3000, 3000), bool)
    mask[1500, 100:2900] = True
    assert Frame.of(mask.shape).low_mask(mask).max() > -SURE + 0.5
    assert Frame.of((1, 5000)).low_mask(np.ones((1, 5000), bool)).max() > 0


def test_torch_agrees_on_the_smallest_upsampling():
    rows, _ = Frame.of((INPUT, INPUT)).axes()
    eye = torch.eye(LOW)[None]
    expected = torch.nn.functional.interpolate(eye, INPUT, mode="linear")[0].T
    np.testing.assert_allclose(rows.weights, expected, atol=1e-6)
