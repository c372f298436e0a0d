"""Masks as pictures of a few values: what is inside, the outline, a dark rim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_sam.live.labels.changes import IntBox
    from napari_sam.types import BoolArray, Mask

Picture = npt.NDArray[np.uint8]
Placed: TypeAlias = tuple[Picture, tuple[int, int]]  # and the place of its corner
RIM, LINE, INSIDE, OTHER_LINE, OTHER_INSIDE = 1, 2, 3, 4, 5
GUESS, GAP = 6, 7  # the dashes of what nobody has asked for yet

_LINE, _OTHER_LINE, _RIM = 2.5, 1.3, 1.0  # in pixels of the screen
_DASH = 10.0


def width(pixel: float, on_screen: float = _LINE) -> int:
    """Return of how many pixels of the plane a line is made that looks that wide."""
    return max(1, round(on_screen / pixel))


def draw(plane: Picture, mask: Mask, pixel: float, *, current: bool) -> IntBox:
    """Draw a mask into a picture of its plane; return the box that was written.

    Parameters
    ----------
    plane : uint8 array, shape (H, W)
    mask : Mask
    pixel : float
        How large a pixel of the plane is on the screen: lines look alike.
    current : bool
        It is the one that the person is at; others are drawn less strongly.
    """
    return paste(plane, *picture_of(mask, pixel, current=current))


def pictures(masks: Iterable[Mask], pixel: float) -> list[Placed]:
    """Draw many masks, none of which is current, for `paste`."""
    return [picture_of(mask, pixel, current=False) for mask in masks]


def picture_of(mask: Mask, pixel: float, *, current: bool) -> Placed:
    """Return what a mask looks like, and where its corner is in the plane."""
    thick, rim = width(pixel, _LINE if current else _OTHER_LINE), width(pixel, _RIM)
    margin = thick + rim
    inside = np.pad(mask.data, margin)
    picture = np.zeros(inside.shape, np.uint8)
    picture[_around(inside, rim)] = RIM
    picture[inside] = LINE if current else OTHER_LINE
    picture[_within(inside, thick)] = INSIDE if current else OTHER_INSIDE
    return picture, (mask.box[0] - margin, mask.box[1] - margin)


def dashed(mask: Mask, pixel: float) -> Placed:
    """Return the outline alone, in dashes, for `paste_below`."""
    thick, dash = width(pixel, _OTHER_LINE), width(pixel, _DASH)
    inside = np.pad(mask.data, thick)
    line = inside & ~_within(inside, thick)
    y, x = np.ogrid[: line.shape[0], : line.shape[1]]
    picture = np.where((y // dash + x // dash) % 2, GAP, GUESS).astype(np.uint8)
    return picture * line, (mask.box[0] - thick, mask.box[1] - thick)


def paste_below(plane: Picture, picture: Picture, corner: tuple[int, int]) -> IntBox:
    """Put dashes where nothing is drawn; return the box that was written."""
    return _put(plane, picture, corner, below=True)


def wipe_dashes(plane: Picture, box: IntBox) -> None:
    """Take dashes away, and nothing else."""
    part = plane[box[0] : box[2], box[1] : box[3]]
    part[part >= GUESS] = 0


def paste(plane: Picture, picture: Picture, corner: tuple[int, int]) -> IntBox:
    """Put such a picture into its plane; return the box that was written."""
    return _put(plane, picture, corner, below=False)


def _put(
    plane: Picture, picture: Picture, corner: tuple[int, int], *, below: bool
) -> IntBox:
    (y0, x0), (height, width) = corner, picture.shape
    top, left = max(0, y0), max(0, x0)
    bottom = min(plane.shape[0], y0 + height)
    right = min(plane.shape[1], x0 + width)
    if top >= bottom or left >= right:
        return 0, 0, 0, 0
    part = picture[top - y0 : bottom - y0, left - x0 : right - x0]
    old = plane[top:bottom, left:right]
    np.copyto(old, part, where=(part > 0) & (old == 0) if below else part > 0)
    return top, left, bottom, right


def _within(mask: BoolArray, by: int) -> BoolArray:
    """Return what is inside still when the mask is moved by so much."""
    inner = mask.copy()
    for here, there in _moves(by):
        inner[here] &= mask[there]
    return inner


def _around(mask: BoolArray, by: int) -> BoolArray:
    outer = mask.copy()
    for here, there in _moves(by):
        outer[here] |= mask[there]
    return outer


def _moves(by: int) -> list[tuple[Any, Any]]:
    """Return pairs of slices for the four directions.

    Whole arrays are moved, not pixels looked at one by one: also a mask of many
    megapixels costs the viewer only milliseconds.
    """
    every, low, high = slice(None), slice(None, -by), slice(by, None)
    return [
        ((low, every), (high, every)),
        ((high, every), (low, every)),
        ((every, low), (every, high)),
        ((every, high), (every, low)),
    ]
