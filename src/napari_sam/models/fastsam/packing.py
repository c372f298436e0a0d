"""Masks as plain arrays, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.models.cache import Packed
from napari_sam.types import Mask

if TYPE_CHECKING:
    from collections.abc import Sequence


def packed_masks(masks: Sequence[Mask]) -> Packed:
    """Return masks as boxes, scores and eight pixels to a byte; nothing is lost."""
    pixels = [mask.data.reshape(-1) for mask in masks]
    return Packed(
        {
            "boxes": np.array([mask.box for mask in masks], np.int64).reshape(-1, 4),
            "scores": np.array([[m.score, m.stability] for m in masks]).reshape(-1, 2),
            "pixels": np.packbits(np.concatenate([np.zeros(0, np.bool_), *pixels])),
        }
    )


def masks_in(packed: Packed) -> tuple[Mask, ...]:
    """Return the masks in what `packed_masks` returned."""
    boxes, scores = packed.arrays["boxes"], packed.arrays["scores"]
    pixels = np.unpackbits(packed.arrays["pixels"]).view(np.bool_)
    masks, begin = [], 0
    for (y0, x0, y1, x1), (score, stability) in zip(
        boxes.tolist(), scores.tolist(), strict=True
    ):
        end = begin + (y1 - y0) * (x1 - x0)
        data = pixels[begin:end].reshape(y1 - y0, x1 - x0)
        masks.append(Mask((y0, x0, y1, x1), data, score, stability))
        begin = end
    return tuple(masks)
