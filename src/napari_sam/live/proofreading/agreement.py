"""How far a model agrees with objects that are there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.types import Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.models.protocol import PromptableModel
    from napari_sam.types import Embedding, Mask


def agreements(
    model: PromptableModel, embedding: Embedding, masks: Sequence[Mask]
) -> list[float]:
    """Ask a model about objects, and say how far it agrees with each.

    Calls the model: for the lane, some dozens at a time.

    Parameters
    ----------
    model : PromptableModel
    embedding : Embedding
        Of the plane that the objects are on.
    masks : sequence of Mask
        Objects as they are, none of them empty.

    Returns
    -------
    list of float
        The IoU of each with what the model finds in its box.
    """
    prompts = [Prompt(box=mask.box) for mask in masks]
    answers = model.decode(embedding, prompts, multimask=False)
    return [iou(m, a.best) for m, a in zip(masks, answers, strict=True)]


def iou(one: Mask, other: Mask) -> float:
    """Return intersection over union of two masks on one plane."""
    y0, x0 = max(one.box[0], other.box[0]), max(one.box[1], other.box[1])
    y1, x1 = min(one.box[2], other.box[2]), min(one.box[3], other.box[3])
    shared = 0
    if y0 < y1 and x0 < x1:
        parts = [
            mask.data[y0 - mask.box[0] :, x0 - mask.box[1] :][: y1 - y0, : x1 - x0]
            for mask in (one, other)
        ]
        shared = int(np.count_nonzero(parts[0] & parts[1]))
    either = one.area + other.area - shared
    return shared / either if either else 0.0
