"""From masks that may overlap to one label plane."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_sam.segment.clean import clean_mask
from napari_sam.segment.recipe import Recipe
from napari_sam.types import IntArray, LabelArray, Mask

if TYPE_CHECKING:
    from collections.abc import Sequence


def compose(
    masks: Sequence[Mask],
    scores: npt.ArrayLike,
    shape: tuple[int, int],
    recipe: Recipe | None = None,
) -> tuple[LabelArray, list[Mask], IntArray]:
    """Paint masks into one label plane, the best first.

    Each mask is cleaned and given those of its pixels that no better one has.
    If that is less than `recipe.min_kept` of it, it is a duplicate and is left
    out, so that its pixels go to the next best; otherwise what is left is
    cleaned again, so that no object ends in fragments. The order in which the
    masks are given does not matter.

    Parameters
    ----------
    masks : sequence of Mask
    scores : array-like of float
        One per mask; pixels that two masks claim go to the higher one. Equal
        scores: to the larger mask.
    shape : (H, W)
    recipe : Recipe, optional
        Its `max_hole`, `min_fragment`, `min_kept` and `min_area` are used.

    Returns
    -------
    labels : uint32 array, shape (H, W)
        Ids 1..n, the best object first.
    objects : list of Mask
        As painted, in the order of their ids.
    sources : int64 array
        For every object its position in `masks`.
    """
    recipe = recipe or Recipe()
    labels = np.zeros(shape, np.uint32)
    objects: list[Mask] = []
    sources: list[int] = []
    for source in _best_first(masks, np.asarray(scores, np.float64)):
        mask = _settle(masks[source], labels, recipe)
        if mask is None:
            continue
        objects.append(mask)
        sources.append(source)
        labels[mask.slices][mask.data] = len(objects)
    return labels, objects, np.asarray(sources, np.int64)


def _best_first(masks: Sequence[Mask], scores: npt.NDArray[np.float64]) -> list[int]:
    def rank(i: int) -> tuple[float, int, tuple[int, ...], bytes]:
        # What follows the score only makes ties independent of the order.
        mask = masks[i]
        return -float(scores[i]), -mask.area, mask.box, mask.data.tobytes()

    return sorted(range(len(masks)), key=rank)


def _settle(mask: Mask, labels: LabelArray, recipe: Recipe) -> Mask | None:
    """Return what becomes of a mask beside those painted already."""
    mask = _clean(mask, recipe)
    if mask.area < max(1, recipe.min_area):
        return None
    free = labels[mask.slices] == 0
    if free.all():
        return mask
    left = Mask(mask.box, mask.data & free, mask.score, mask.stability)
    left = clean_mask(
        left, max_hole=recipe.max_hole, min_fragment=recipe.min_fragment, free=free
    )
    needed = max(1, recipe.min_area, recipe.min_kept * mask.area)
    return left if left.area >= needed else None


def _clean(mask: Mask, recipe: Recipe) -> Mask:
    return clean_mask(mask, max_hole=recipe.max_hole, min_fragment=recipe.min_fragment)
