"""Outlines to pixels and points, by pixel centres; numpy, and scipy for depth.

Everything that encloses an area is a closed polygon here; an ellipse is one with
many corners. (y, x) in data pixels throughout; pixel (i, j) has its centre at
(i+.5, j+.5).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from napari_sam.types import BoolArray, Box

_Points = npt.NDArray[np.float64]

# An inscribed polygon of so many corners is off by less than 0.1 pixels at a
# radius of 1,000.
_ELLIPSE_CORNERS: Final = 256
# Samples along a path, from which the wanted points are taken.
_PATH_SAMPLES: Final = 256
# Two points closer than this say the same thing twice.
_PATH_SPACING: Final = 3.0
# Depth inside an outline is looked at in at most so many cells along a side.
_CELLS: Final = 64


def bounds_of(vertices: npt.NDArray[Any]) -> Box:
    """Return the bounding box (y0, x0, y1, x1) of some points."""
    low, high = vertices.min(0), vertices.max(0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def clipped(box: Box, shape: tuple[int, int]) -> Box | None:
    """Return the part of a box that lies on a plane; None where there is none.

    A box without area that lies on the plane is returned as it is.
    """
    y0, x0, y1, x1 = box
    height, width = shape
    if y1 < 0 or x1 < 0 or y0 >= height or x0 >= width:
        return None
    if (y0 < 0 and y1 == 0) or (x0 < 0 and x1 == 0):
        return None  # it touches the plane from outside
    return max(y0, 0.0), max(x0, 0.0), min(y1, float(height)), min(x1, float(width))


def on_plane(points: npt.NDArray[Any], shape: tuple[int, int]) -> BoolArray:
    """Tell which points lie on a plane."""
    return np.asarray(((points >= 0) & (points < shape)).all(1))


def frame_of(corners: npt.NDArray[Any]) -> tuple[_Points, _Points, _Points]:
    """Return centre and both half axes of a (rotated) rectangle, four corners."""
    first, second, third, fourth = np.asarray(corners, np.float64)
    one = (second - first + third - fourth) / 4
    other = (fourth - first + third - second) / 4
    return (first + second + third + fourth) / 4, one, other


def extent_of(corners: npt.NDArray[Any]) -> Box:
    """Return the bounding box of the ellipse inscribed in a rectangle.

    That of an upright rectangle is the rectangle. Of a rotated one it is smaller
    than the box around its corners, and nearer to the object that was framed.
    """
    centre, one, other = frame_of(corners)
    reach = np.hypot(one, other)
    (y0, x0), (y1, x1) = centre - reach, centre + reach
    return float(y0), float(x0), float(y1), float(x1)


def ellipse(corners: npt.NDArray[Any]) -> _Points:
    """Return the outline of the ellipse inscribed in a rectangle."""
    centre, one, other = frame_of(corners)
    angle = np.linspace(0, 2 * math.pi, _ELLIPSE_CORNERS, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angle) * one + np.sin(angle) * other)


def window_of(box: Box, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the pixels (y0, x0, y1, x1) of a plane that a box touches."""
    (y0, x0, y1, x1), (height, width) = box, shape
    low = max(0, min(math.floor(y0), height)), max(0, min(math.floor(x0), width))
    high = max(0, min(math.ceil(y1), height)), max(0, min(math.ceil(x1), width))
    return *low, *high


def fill(vertices: npt.NDArray[Any], window: tuple[int, int, int, int]) -> BoolArray:
    """Return which pixels of a window have their centre inside a closed outline.

    Where the outline crosses itself, as hand-drawn ones do where they close, all
    that it goes around is inside (the nonzero rule).

    Parameters
    ----------
    vertices : array, shape (N, 2)
    window : (y0, x0, y1, x1)
        Half-open; it may be any part of the plane.

    Returns
    -------
    bool array, shape (y1 - y0, x1 - x0)
    """
    y0, x0, y1, x1 = window
    height, width = y1 - y0, x1 - x0
    start = np.asarray(vertices, np.float64) - (y0 + 0.5, x0 + 0.5)
    end = np.roll(start, -1, axis=0)
    down = start[:, 0] < end[:, 0]
    upper = np.where(down[:, None], start, end)
    lower = np.where(down[:, None], end, start)
    # Half-open in y: a row through a corner meets one of its two edges, not both.
    first = np.clip(np.ceil(upper[:, 0]), 0, height).astype(np.int64)
    last = np.clip(np.ceil(lower[:, 0]), 0, height).astype(np.int64)
    count = last - first
    edge = np.repeat(np.arange(len(start)), count)
    row = np.arange(len(edge)) + np.repeat(first - np.cumsum(count) + count, count)
    rise, run = (lower - upper)[edge].T
    x = upper[edge, 1] + (row - upper[edge, 0]) * run / rise
    column = np.clip(np.ceil(x), 0, width).astype(np.int64)
    turns = np.zeros((height, width + 1), np.int16)
    np.add.at(turns, (row, column), np.where(down[edge], 1, -1))
    return np.asarray(turns.cumsum(1, dtype=np.int16)[:, :-1] != 0)


def along(path: npt.NDArray[Any], shape: tuple[int, int], most: int = 8) -> _Points:
    """Return evenly spaced points of that part of a path that lies on the plane.

    None where it lies beside it. They keep off the ends, which overshoot easily.
    """
    line = np.asarray(path, np.float64)
    at = np.concatenate([[0.0], np.hypot(*np.diff(line, axis=0).T).cumsum()])
    where = (np.arange(_PATH_SAMPLES) + 0.5) / _PATH_SAMPLES * at[-1]
    samples = np.stack([np.interp(where, at, axis) for axis in line.T], axis=1)
    samples = samples[on_plane(samples, shape)]
    length = at[-1] * len(samples) / _PATH_SAMPLES
    count = min(most, 1 + int(length / _PATH_SPACING), len(samples))
    chosen = (np.arange(count) + 0.5) * len(samples) / max(count, 1)
    return samples[chosen.astype(np.int64)]


def within(
    vertices: npt.NDArray[Any], shape: tuple[int, int], most: int = 4
) -> _Points:
    """Return a few points well inside a closed outline, far from each other.

    None where it lies beside the plane. Of an outline so thin that no pixel lies
    in it they are taken along it.
    """
    box = clipped(bounds_of(vertices), shape)
    if box is None:
        return np.empty((0, 2))
    y0, x0, y1, x1 = window_of(box, shape)
    step = max(1, math.ceil(max(y1 - y0, x1 - x0) / _CELLS))
    cells = (0, 0, math.ceil((y1 - y0) / step), math.ceil((x1 - x0) / step))
    inside = fill((np.asarray(vertices, np.float64) - (y0, x0)) / step, cells)
    if not inside.any():
        return along(vertices, shape, most)
    points = (_spread(inside, most) + 0.5) * step + (y0, x0)
    return np.asarray(np.minimum(points, np.subtract(shape, 0.5)))


def _spread(inside: BoolArray, most: int) -> _Points:
    """Return the deepest cell, and others far from it that are half as deep."""
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    cells = np.argwhere(depth >= depth.max() / 2).astype(np.float64)
    gap = np.hypot(*(cells - np.argwhere(depth == depth.max())[0]).T)
    chosen = [cells[gap.argmin()]]
    while len(chosen) < most and gap.max() > depth.max():
        chosen.append(cells[gap.argmax()])
        gap = np.minimum(gap, np.hypot(*(cells - chosen[-1]).T))
    return np.array(chosen)
