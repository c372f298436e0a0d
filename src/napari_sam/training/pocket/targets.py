"""What the dense head and the decoder should answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from napari_sam.models.pocket.geometry import sample_positions
from napari_sam.models.pocket.network import REGION, STRIDE

Array = npt.NDArray[Any]


def dense_targets(labels: Array, centreness: Array) -> dict[str, Array]:
    """Return what each cell of the dense head should read.

    A cell belongs to the object of its most central pixel, so that even an
    object smaller than a cell owns one.

    Parameters
    ----------
    labels, centreness : (H, W)

    Returns
    -------
    dict
        centre (h, w); foreground (h, w); distances (4, h, w) in pixels; weight
        (h, w), which adds up to the square root of an object's cells.
    """
    height, width = (side // STRIDE for side in labels.shape)

    def blocks(array: Array) -> Array:
        array = array.reshape(height, STRIDE, width, STRIDE)
        return array.transpose(0, 2, 1, 3).reshape(height, width, STRIDE**2)

    middle = blocks(centreness)
    best = middle.argmax(-1)[..., None]
    owner = np.take_along_axis(blocks(labels), best, -1)[..., 0]
    centre = np.take_along_axis(middle, best, -1)[..., 0]
    boxes = np.zeros((int(labels.max(initial=0)) + 1, 4), np.float32)
    for number, found in enumerate(ndimage.find_objects(labels), start=1):
        if found is not None:
            rows, columns = found
            boxes[number] = rows.start, columns.start, rows.stop, columns.stop
    y = ((np.arange(height) + 0.5) * STRIDE)[:, None]
    x = ((np.arange(width) + 0.5) * STRIDE)[None, :]
    y0, x0, y1, x1 = boxes[owner].transpose(2, 0, 1)
    cells = np.bincount(owner.ravel(), minlength=len(boxes))
    return {
        "centre": centre.astype(np.float32),
        "foreground": (owner > 0).astype(np.float32),
        "distances": np.stack([y - y0, x - x0, y1 - y, x1 - x]).astype(np.float32),
        "weight": ((owner > 0) / np.sqrt(np.maximum(cells[owner], 1))).astype(
            np.float32
        ),
    }


def region_targets(
    labels: Tensor, ids: Tensor, regions: Tensor
) -> tuple[Tensor, Tensor]:
    """Sample objects in their regions.

    Parameters
    ----------
    labels : (N, H, W)
    ids : (N, K)
    regions : (N, K, 4)

    Returns
    -------
    target : (N * K, 64, 64)
        Covered part of each sample.
    valid : (N * K, 64, 64)
        Whether the sample lies in the image.
    """
    images, height, width = labels.shape
    count = ids.shape[1]
    y, x = sample_positions(regions.flatten(0, 1), 2 * REGION)
    iy, ix = y.floor().long(), x.floor().long()
    inside_y, inside_x = (iy >= 0) & (iy < height), (ix >= 0) & (ix < width)
    valid = inside_y[:, :, None] & inside_x[:, None, :]
    number = torch.arange(images).repeat_interleave(count)
    found = labels[
        number[:, None, None],
        iy.clamp(0, height - 1)[:, :, None],
        ix.clamp(0, width - 1)[:, None, :],
    ]
    hit = (found == ids.flatten()[:, None, None]) & valid
    return _halve(hit), _halve(valid)


def _halve(fine: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(fine[:, None].float(), 2)[:, 0]
