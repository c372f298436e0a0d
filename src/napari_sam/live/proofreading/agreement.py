"""How far a model agrees with objects that are there already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from napari_sam.live.proofreading.doubts import Opinion
from napari_sam.segment.overlap import middle
from napari_sam.types import Mask, Prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_sam.models.protocol import PromptableModel
    from napari_sam.types import BoolArray, Embedding

# What is found at a click is a part where so much of it lies in the object ...
_WITHIN: Final = 0.7
# ... and it is no more than so much of the object, and no less.
_PART: Final = (0.12, 0.75)


def opinions(
    model: PromptableModel, embedding: Embedding, masks: Sequence[Mask]
) -> list[Opinion]:
    """Ask a model about objects, and say what it makes of each.

    Calls the model: for the lane, some dozens at a time.

    Parameters
    ----------
    model : PromptableModel
    embedding : Embedding
        Of the plane that the objects are on.
    masks : sequence of Mask
        Objects as they are, none of them empty.
    """
    agreement = agreements(model, embedding, masks)
    several = severals(model, embedding, masks)
    return [Opinion(*both) for both in zip(agreement, several, strict=True)]


def agreements(
    model: PromptableModel, embedding: Embedding, masks: Sequence[Mask]
) -> list[float]:
    """Return the IoU of each object with what the model finds in its box."""
    prompts = [Prompt(box=mask.box) for mask in masks]
    answers = model.decode(embedding, prompts, multimask=False)
    return [m.iou(a.best) for m, a in zip(masks, answers, strict=True)]


def severals(
    model: PromptableModel, embedding: Embedding, masks: Sequence[Mask]
) -> list[float]:
    """Return how clearly the model sees several objects in each, from 0 to 1.

    The box of two neighbours is that of both, so boxes do not tell. A click in the
    middle of the object does, and one in the middle of what is left of it: where both
    find a part of their own, there are two.
    """
    found = [0.0] * len(masks)
    first = _at_middles(model, embedding, masks, [mask.data for mask in masks])
    parts: list[tuple[int, Mask, BoolArray]] = []
    for place, (mask, part) in enumerate(zip(masks, first, strict=True)):
        rest = mask.data & ~part.seen_in(mask)
        if _is_part(part, mask) and rest.any():
            parts.append((place, part, rest))
    wholes = [masks[place] for place, _, _ in parts]
    second = _at_middles(model, embedding, wholes, [rest for _, _, rest in parts])
    for (place, one, rest), other in zip(parts, second, strict=True):
        whole = masks[place]
        if _is_part(other, whole):
            covered = np.count_nonzero(other.seen_in(whole) & rest)
            found[place] = min(
                _within(one, whole),
                _within(other, whole),
                covered / np.count_nonzero(rest),
                1 - one.iou(other),
            )
    return found


def _at_middles(
    model: PromptableModel,
    embedding: Embedding,
    masks: Sequence[Mask],
    insides: Sequence[BoolArray],
) -> list[Mask]:
    """Click into the middle of a part of each; return what is most like the whole."""
    prompts = [
        Prompt(points=[middle(Mask(mask.box, inside, 1.0))], labels=[1])
        for mask, inside in zip(masks, insides, strict=True)
    ]
    answers = model.decode(embedding, prompts, multimask=True)
    return [
        max(answer.masks, key=mask.iou)
        for mask, answer in zip(masks, answers, strict=True)
    ]


def _is_part(part: Mask, whole: Mask) -> bool:
    least, most = (share * whole.area for share in _PART)
    within = _within(part, whole)
    return within > _WITHIN and within * part.area < most and part.area > least


def _within(part: Mask, whole: Mask) -> float:
    """Return how much of a mask lies in another one."""
    inside = np.count_nonzero(part.seen_in(whole) & whole.data)
    return inside / max(1, part.area)
