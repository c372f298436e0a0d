"""Outlines that are drawn looser or tighter than a model draws them.

Where an object ends is a convention: people who outline the same nuclei differ by a
pixel or two, all along and in the same direction. A model that has learned from many
of them draws what lies between.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from napari_sam.types import Mask

MOST: Final = 10  # pixels


def looser(mask: Mask, pixels: int, shape: tuple[int, int]) -> Mask:
    """Return a mask with its outline moved.

    Parameters
    ----------
    mask : Mask
    pixels : int
        How far outwards; inwards below 0. What would vanish stays as it is.
    shape : tuple of int
        Of the plane (H, W). Where the plane ends an outline does not move inwards.
    """
    if not pixels or not mask.data.any():
        return mask
    from skimage.morphology import isotropic_dilation, isotropic_erosion

    y0, x0, y1, x1 = mask.box
    far = abs(pixels)
    top, left = min(far, y0), min(far, x0)
    bottom, right = min(far, shape[0] - y1), min(far, shape[1] - x1)
    data = np.pad(mask.data, ((top, bottom), (left, right)))
    grow = pixels > 0
    moved = Mask.from_array(
        isotropic_dilation(data, far) if grow else isotropic_erosion(data, far)
    )
    if not moved.data.size:
        return mask
    dy, dx = y0 - top, x0 - left
    box = moved.box[0] + dy, moved.box[1] + dx, moved.box[2] + dy, moved.box[3] + dx
    return replace(mask, box=box, data=moved.data)
