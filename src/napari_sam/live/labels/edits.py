"""What edits do to the pixels of one object; arrays in, arrays out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from napari_sam.live.labels.changes import Refusal
from napari_sam.live.values import Rule
from napari_sam.segment.clean import fill_holes

if TYPE_CHECKING:
    from napari_sam.types import BoolArray

# So much of an object may lie on others under `Rule.BACKGROUND`; outlines of
# neighbours nearly always share a few pixels.
_SHARED: Final = 0.1
# A neck is a neck when both sides of it are this much thicker, as a fraction of
# the thickest place; less than that is a ragged outline.
_NECK: Final = 0.1
_LEVELS: Final = 16


def settle(
    mask: BoolArray, pixels: npt.NDArray[Any], rule: Rule
) -> BoolArray | Refusal:
    """Return which pixels of a mask the object gets.

    Parameters
    ----------
    mask : bool array
    pixels : integer array of the same shape
        The labels below it, without those of the object itself.
    rule : Rule
    """
    if not mask.any():
        return Refusal("nothing was added: there is no pixel in it")
    if rule is Rule.REPLACE:
        return mask
    left: BoolArray = mask & (pixels == 0)
    shared = np.count_nonzero(mask) - np.count_nonzero(left)
    if rule is Rule.BACKGROUND and shared > _SHARED * np.count_nonzero(mask):
        return Refusal(f"nothing was added: it lies on {_named(pixels[mask])}")
    if not left.any():
        return Refusal(
            f"nothing was added: all of it already belongs to {_named(pixels[mask])}"
        )
    return left


def fill_gaps(mask: BoolArray, free: BoolArray) -> BoolArray:
    """Fill the holes of a mask as far as they are free."""
    return mask | (fill_holes(mask, float("inf")) & free)


def smooth_outline(mask: BoolArray, free: BoolArray) -> BoolArray:
    """Round a mask off; it grows into free pixels only."""
    from scipy import ndimage

    radius = np.sqrt(np.count_nonzero(mask) / np.pi)
    blurred = ndimage.gaussian_filter(
        mask.astype(np.float32), np.clip(0.1 * radius, 1, 4), mode="nearest"
    )
    smooth: BoolArray = (blurred >= 0.5) & (mask | free)
    return smooth


def cut(mask: BoolArray) -> npt.NDArray[np.int32] | None:
    """Cut a mask in parts, numbered from 1, the largest first.

    Pieces that do not touch are parts. What is in one piece is cut in two where it
    is narrowest, or across its middle where it is narrow nowhere. None where there
    are less than two pixels.
    """
    from scipy import ndimage

    if np.count_nonzero(mask) < 2:
        return None
    parts, count = ndimage.label(mask)
    if count == 1:
        parts = _cut_at_neck(mask)
        if parts is None:
            parts = _cut_across(mask)
    sizes = np.bincount(parts.ravel())[1:]
    rank = np.zeros(sizes.size + 1, np.int32)
    rank[1 + np.argsort(-sizes, kind="stable")] = np.arange(1, sizes.size + 1)
    return np.asarray(rank[parts])


def _cut_at_neck(mask: BoolArray) -> npt.NDArray[Any] | None:
    """Flood from the two most prominent peaks of the distance to the outside."""
    from scipy import ndimage
    from skimage.segmentation import watershed

    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    deepest = float(depth.max())
    best, markers = _NECK * deepest, None
    for level in np.linspace(0, deepest, _LEVELS, endpoint=False)[1:]:
        if deepest - level <= best:
            break  # no peak above this level can be more prominent
        pieces, count = ndimage.label(depth > level, np.ones((3, 3)))
        if count < 2:
            continue
        peaks = np.asarray(ndimage.maximum(depth, pieces, np.arange(1, count + 1)))
        first, second = np.argsort(-peaks, kind="stable")[:2]
        if peaks[second] - level > best:
            best = peaks[second] - level
            markers = np.zeros(mask.shape, np.int32)
            markers[pieces == first + 1] = 1
            markers[pieces == second + 1] = 2
    return None if markers is None else watershed(-depth, markers, mask=mask)


def _cut_across(mask: BoolArray) -> npt.NDArray[Any]:
    """Give each half of the pixels, in the order along the longest axis."""
    places = np.argwhere(mask)
    centred = places - places.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    order = np.argsort(centred @ axes[:, -1], kind="stable")
    parts = np.zeros(mask.shape, np.int32)
    half = len(order) // 2
    for number, members in ((1, order[:half]), (2, order[half:])):
        parts[tuple(places[members].T)] = number
    return parts


def _named(labels: npt.NDArray[Any]) -> str:
    ids = np.unique(labels[labels != 0])
    return f"object {ids[0]}" if ids.size == 1 else f"{ids.size} other objects"
