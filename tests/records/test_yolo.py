import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import gaussian_filter
from skimage.draw import disk
from skimage.measure import grid_points_in_poly

from napari_sam.records.yolo import outline, yolo_rows


def drawn(
    polygon: npt.NDArray[np.float64], shape: tuple[int, ...]
) -> npt.NDArray[np.bool_]:
    """Pixels whose centres lie inside, under the even-odd rule."""
    return np.asarray(grid_points_in_poly(shape, polygon - 0.5))


def iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float):
    mask = np.zeros(shape, bool)
    mask[disk(centre, radius, shape=shape)] = True
    return mask


RING = disc((40, 40), (20, 20), 15) & ~disc((40, 40), (18, 22), 6)
TWO = disc((40, 60), (20, 15), 9) | disc((40, 60), (15, 45), 7)
MASKS = {
    "disc": disc((30, 30), (15, 14), 10),
    "at the border": disc((20, 20), (0, 3), 9),
    "whole plane": np.ones((12, 9), bool),
    "one pixel": np.ones((1, 1), bool),
    "a line": np.ones((1, 9), bool),
    "a diagonal": np.eye(8, dtype=bool),
    "with a hole": RING,
    "with two holes": RING & ~disc((40, 40), (28, 12), 2),
    "two pieces": TWO,
    "a piece in a hole": RING | disc((40, 40), (18, 22), 3),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
def test_an_outline_drawn_again_is_the_mask(mask: npt.NDArray[np.bool_]) -> None:
    assert iou(drawn(outline(mask), mask.shape), mask) > 0.95


@given(arrays(np.float32, (24, 31), elements=st.floats(0, 1, width=32)))
@settings(max_examples=60, deadline=None)
def test_any_shape_survives(noise: npt.NDArray[np.float32]) -> None:
    smooth = gaussian_filter(noise, 1.5)
    mask = smooth >= smooth.max() * 0.95
    assume(mask.any())
    assert iou(drawn(outline(mask), mask.shape), mask) > 0.95


def test_rows_are_scaled_x_first_and_one_per_object() -> None:
    labels = np.zeros((40, 80), np.uint32)
    labels[10:20, 40:60] = 3
    labels[30:34, 0:8] = 1
    objects = {
        "class_id": np.array([0, 2]),
        "box_y0": np.array([30, 10]),
        "box_x0": np.array([0, 40]),
        "box_y1": np.array([34, 20]),
        "box_x1": np.array([8, 60]),
    }
    first, second = (row.split() for row in yolo_rows(labels, [1, 3], objects))
    assert (first[0], second[0]) == ("0", "2")
    points = np.array(second[1:], float).reshape(-1, 2)
    assert points.min(0) == pytest.approx([40 / 80, 10 / 40])
    assert points.max(0) == pytest.approx([60 / 80, 20 / 40])
    polygon = points[:, ::-1] * labels.shape
    assert iou(drawn(polygon, labels.shape), labels == 3) > 0.95
