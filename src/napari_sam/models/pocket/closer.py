"""A closer look at planes whose objects are small.

The dense head reads one object size for every 4 × 4 pixels: of objects of ten pixels
it sees too little. Enlarged, they are found and outlined better (docs/models.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from napari_sam.models.pocket.geometry import cell_boxes

if TYPE_CHECKING:
    from torch import Tensor

WANTED = 16.0  # pixels from side to side of the middle object
MOST = 2.0
_WORTH = 1.3  # below that nothing was gained on the images it was tried on
_FEWEST = 5  # objects, to speak of a size
_SURE = 0.45  # centre-ness of an object
_LARGEST = 2**22  # pixels of an enlarged plane


def closer_look(dense: Tensor, shape: tuple[int, int]) -> float:
    """Return how many times a plane is to be enlarged; 1 if it is fine as it is.

    Parameters
    ----------
    dense : Tensor, shape (6, h, w)
        What the dense head reads on the plane as it is.
    shape : (H, W)
        Of the plane.
    """
    centre = dense[0].sigmoid()
    peaks = (centre == F.max_pool2d(centre[None], 3, 1, 1)[0]) & (centre > _SURE)
    rows, columns = peaks.nonzero(as_tuple=True)
    if len(rows) < _FEWEST:
        return 1.0
    y0, x0, y1, x1 = cell_boxes(dense, (rows, columns))
    side = float(((y1 - y0) * (x1 - x0)).sqrt().median())
    most = min(MOST, (_LARGEST / (shape[0] * shape[1])) ** 0.5)
    zoom = min(WANTED / side, most)
    return zoom if zoom > _WORTH else 1.0


def enlarged(pixels: Tensor, zoom: float) -> Tensor:
    """Enlarge uint8 pixels (N, 3, H, W) bilinearly, by exactly `zoom`."""
    larger = F.interpolate(
        pixels.float(), scale_factor=zoom, mode="bilinear", recompute_scale_factor=False
    )
    return larger.round().to(torch.uint8)
