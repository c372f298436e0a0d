"""Which of the objects on a plane a prompt means. numpy only.

The rules are those of FastSAM (Zhao et al. 2023), as in ultralytics' predictor, but
that every prompt is answered, and several clicks are about one object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.types import Mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.types import Box, Prompt

NOTHING = Mask((0, 0, 0, 0), np.zeros((0, 0), np.bool_), 0.0)


def choose(
    masks: Sequence[Mask],
    prompt: Prompt,
    most: int,
    areas: Sequence[int] | None = None,
) -> tuple[Mask, ...]:
    """Return the objects that a prompt means, the likeliest first.

    Parameters
    ----------
    masks : sequence of Mask
        Everything on the plane, the surest first.
    prompt : Prompt
    most : int
        How many may be meant.
    areas : sequence of int, optional
        Of the masks, where they are known; for boxes they are wanted.

    Returns
    -------
    tuple of Mask
        At least one; an empty one, with the score 0, where nothing fits.
    """
    fits = [i for i, m in enumerate(masks) if _agrees(m, prompt) and m.data.any()]
    wanted = [masks[i] for i in fits]
    known = _known(prompt)
    if known is not None:
        likeness = [mask.iou(known) for mask in wanted]
    elif prompt.box is not None:
        likeness = [
            iou_with_box(masks[i], prompt.box, None if areas is None else areas[i])
            for i in fits
        ]
    else:
        return tuple(wanted[:most]) or (NOTHING,)
    order = sorted(range(len(wanted)), key=lambda i: -likeness[i])
    found = tuple(wanted[i] for i in order[:most] if likeness[i] > 0)
    return found or (NOTHING,)


def iou_with_box(mask: Mask, box: Box, area: int | None = None) -> float:
    """Return the intersection over union of an object and all pixels of a box."""
    # As there: whole pixels, cut off.
    y0, x0, y1, x1 = (max(0, int(side)) for side in box)
    top, left = mask.box[:2]
    inside = mask.data[
        max(0, y0 - top) : max(0, y1 - top), max(0, x0 - left) : max(0, x1 - left)
    ]
    shared = int(inside.sum())
    union = (y1 - y0) * (x1 - x0) + (mask.area if area is None else area) - shared
    return shared / union if union else 0.0


def _agrees(mask: Mask, prompt: Prompt) -> bool:
    """Whether all that is said to be part of it is, and nothing that is not."""
    return all(
        _has(mask, point) == bool(label)
        for point, label in zip(prompt.points, prompt.labels, strict=True)
    )


def _has(mask: Mask, point: Sequence[float]) -> bool:
    y, x = int(point[0]) - mask.box[0], int(point[1]) - mask.box[1]
    height, width = mask.data.shape
    return 0 <= y < height and 0 <= x < width and bool(mask.data[y, x])


def _known(prompt: Prompt) -> Mask | None:
    if prompt.mask is not None:
        return Mask.from_array(prompt.mask > 0)
    return prompt.previous
