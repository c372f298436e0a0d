"""All outlines of a plane looser or tighter at once; arrays in, arrays out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from napari_sam.live.labels.changes import Patch
from napari_sam.live.labels.scan import boxes_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_sam.live.labels.access import LabelArray
    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index

# So large are the parts that are worked on: one call never takes long.
_TILE: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """What a plane is to look like.

    Attributes
    ----------
    index : tuple of int
    patches : tuple of Patch
        They do not overlap.
    arrays : tuple of (before, after)
        The pixels of the patches, ready to be compared and written.
    boxes : mapping of int to box
        Where the objects of the plane are afterwards.
    what : str
        For people.
    """

    index: Index
    patches: tuple[Patch, ...]
    arrays: tuple[tuple[npt.NDArray[Any], npt.NDArray[Any]], ...]
    boxes: Mapping[int, IntBox]
    what: str


def move_outlines(labels: LabelArray, index: Index, pixels: int) -> Moved | None:
    """Return a plane with the outlines of all its objects moved; on a thread.

    Parameters
    ----------
    labels : integer array, shape (..., H, W)
    index : tuple of int
        The plane.
    pixels : int
        How far outwards, until they meet; inwards below 0, where they meet, too.
        What would vanish stays as it is.

    Returns
    -------
    Moved or None
        None where nothing changes.
    """
    before = labels[index].copy()
    after = before.copy()
    far = abs(pixels)
    for box in _tiles(before.shape):
        y0, x0, y1, x1 = box
        top, left = max(0, y0 - far - 1), max(0, x0 - far - 1)
        around = before[top : y1 + far + 1, left : x1 + far + 1]
        if (around > 0).any():
            moved = _moved(around, pixels)
            after[y0:y1, x0:x1] = moved[y0 - top : y1 - top, x0 - left : x1 - left]
    boxes = boxes_in(after)
    for number, box in boxes_in(before).items():
        if number not in boxes:
            boxes[number] = box
            part = np.s_[box[0] : box[2], box[1] : box[3]]
            np.copyto(after[part], before[part], where=before[part] == number)
    patches, arrays = [], []
    for box in _tiles(before.shape):
        old, new = (a[box[0] : box[2], box[1] : box[3]] for a in (before, after))
        if not np.array_equal(old, new):
            patches.append(Patch(index, box, old, new))
            arrays.append((old, new))
    if not patches:
        return None
    what = f"All outlines {'looser' if pixels > 0 else 'tighter'}"
    return Moved(index, tuple(patches), tuple(arrays), boxes, what)


def _moved(labels: npt.NDArray[Any], pixels: int) -> npt.NDArray[Any]:
    """Move outlines; values below 0 belong to nobody, and stay."""
    from scipy import ndimage
    from skimage.segmentation import expand_labels, find_boundaries

    objects = np.maximum(labels, 0)
    if pixels > 0:
        moved = expand_labels(objects, pixels)
    else:
        edge = find_boundaries(objects, connectivity=1, mode="inner")
        depth = ndimage.distance_transform_edt(~edge)
        moved = np.where(depth >= -pixels, objects, 0)
    return np.where(labels < 0, labels, moved).astype(labels.dtype, copy=False)


def _tiles(shape: tuple[int, ...]) -> Iterator[IntBox]:
    height, width = shape
    for y in range(0, height, _TILE):
        for x in range(0, width, _TILE):
            yield (y, x, min(height, y + _TILE), min(width, x + _TILE))
