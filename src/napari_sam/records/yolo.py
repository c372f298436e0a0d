"""YOLO segmentation rows: one polygon per object, one text file per plane.

A row can hold a single polygon, so an object with holes or separate pieces is
drawn in one stroke: every further ring is entered and left along the same
line, from the nearest corner. Such a line covers no area. Nothing is filled,
dropped or convex-hulled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import yaml

from napari_sam.records.files import write_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_sam.types import BoolArray, ObjectTable

_Points = npt.NDArray[np.float64]

# In pixels. Less than half, so that no pixel's centre changes sides where an
# outline is straight; corners of single pixels are kept.
_TOLERANCE = 0.3


def outline(mask: BoolArray) -> _Points:
    """Draw a mask in one stroke.

    Parameters
    ----------
    mask : bool array, shape (h, w)
        With at least one pixel.

    Returns
    -------
    float array, shape (N, 2)
        (y, x), not closed (the last point is not the first again). Pixels
        inside under the even-odd rule are those of the mask.
    """
    from skimage.measure import find_contours

    padded = np.pad(mask, 1).astype(np.float32)
    found = find_contours(padded, 0.5, fully_connected="high")
    # A pixel's centre lies at .5, and the padding moved everything by 1.
    rings = [_simplified(ring - 0.5) for ring in found]
    rings.sort(key=_size, reverse=True)
    stroke = rings[0]
    for ring in rings[1:]:
        stroke = _joined(stroke, ring)
    return stroke


def _simplified(ring: _Points) -> _Points:
    from skimage.measure import approximate_polygon

    simple = approximate_polygon(ring, _TOLERANCE)
    return np.asarray((simple if len(simple) > 3 else ring)[:-1], np.float64)


def _size(ring: _Points) -> float:
    y, x = ring.T
    return abs(float(np.dot(y, np.roll(x, 1)) - np.dot(x, np.roll(y, 1))))


def _joined(stroke: _Points, ring: _Points) -> _Points:
    far = ((stroke[:, None, :] - ring[None, :, :]) ** 2).sum(-1)
    at, start = np.unravel_index(int(far.argmin()), far.shape)
    around = np.roll(ring, -int(start), axis=0)
    return np.concatenate([stroke[: at + 1], around, around[:1], stroke[at:]])


def yolo_rows(
    labels: npt.NDArray[Any], plane_ids: Sequence[int], objects: ObjectTable
) -> Iterator[str]:
    """Yield `class x y x y …` for every object, coordinates from 0 to 1.

    Parameters
    ----------
    labels : integer array, shape (H, W)
    plane_ids : sequence of int
        The value of each of the objects in `labels`.
    objects : ObjectTable
    """
    height, width = labels.shape
    for row, value in enumerate(plane_ids):
        y0, x0 = int(objects["box_y0"][row]), int(objects["box_x0"][row])
        y1, x1 = int(objects["box_y1"][row]), int(objects["box_x1"][row])
        points = outline(labels[y0:y1, x0:x1] == value) + np.array([y0, x0])
        scaled = (points / (height, width))[:, ::-1].reshape(-1)
        numbers = " ".join(f"{v:.6f}".rstrip("0").rstrip(".") for v in scaled)
        yield f"{int(objects['class_id'][row])} {numbers}"


def write_classes(path: Path, names: Sequence[str]) -> None:
    """Write the class names as the `names:` part of a YOLO data file."""
    text = yaml.safe_dump({"names": dict(enumerate(names))}, allow_unicode=True)
    write_text(path, text)
