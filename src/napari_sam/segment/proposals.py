"""What the models found on one plane, before anything is decided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from napari_sam.images import Plane
    from napari_sam.segment.recipe import Recipe
    from napari_sam.types import FloatArray, IntArray, Mask


@dataclass(frozen=True, slots=True, eq=False)
class Clicks:
    """The clicks that gave masks, where these were found by clicking.

    Attributes
    ----------
    points : float32 array, shape (N, 2)
        (y, x) in data pixels, one for each mask.
    crops : int64 array, shape (N, 4)
        The part (y0, x0, y1, x1) of the plane that the model looked at.
    """

    points: FloatArray
    crops: IntArray

    def take(self, chosen: npt.NDArray[np.int64]) -> Clicks:
        """Return those of some masks, in their order."""
        return Clicks(self.points[chosen], self.crops[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """What the models found on one plane, before anything is decided.

    Attributes
    ----------
    index : tuple of int
        Position of the plane along the stack axes.
    shape : (H, W)
    masks : tuple of Mask
        One for each box or click; they may overlap, and one may be empty.
    scores : float32 array, shape (N,)
        The detector's, in any order.
    classes : int64 array, shape (N,)
        Indices into `class_names`.
    class_names : tuple of str
    truncated : bool
        The detector stopped at its limit.
    has_contrast : bool
        False for a plane of one colour: no model ran.
    clicks : Clicks, optional
        Where the masks were found by clicking.
    named : bool
        The classes are words that somebody has asked for: they say something even
        where there is one only.
    parts : int
        In how many tiles the plane was looked at; limits hold for each.
    """

    index: tuple[int, ...]
    shape: tuple[int, int]
    masks: tuple[Mask, ...]
    scores: FloatArray
    classes: IntArray
    class_names: tuple[str, ...]
    truncated: bool = False
    has_contrast: bool = True
    clicks: Clicks | None = None
    named: bool = False
    parts: int = 1

    def __len__(self) -> int:
        return len(self.masks)

    @classmethod
    def none(cls, plane: Plane, class_names: tuple[str, ...]) -> Proposals:
        """Return what there is on a plane of one colour."""
        scores, classes = np.empty(0, np.float32), np.empty(0, np.int64)
        return cls(
            plane.index,
            plane.shape,
            (),
            scores,
            classes,
            class_names,
            has_contrast=False,
        )

    def take(self, chosen: npt.NDArray[np.int64]) -> Proposals:
        """Return some of these, in this order."""
        return replace(
            self,
            masks=tuple(self.masks[i] for i in chosen),
            scores=self.scores[chosen],
            classes=self.classes[chosen],
            clicks=None if self.clicks is None else self.clicks.take(chosen),
        )

    def chosen(self, recipe: Recipe) -> Proposals:
        """Keep what a detector with the recipe's options would have found.

        Parameters
        ----------
        recipe : Recipe
            Its `conf`, `classes` and `max_det` are used. They can only narrow
            what is here: what the detector left out is not known.

        Returns
        -------
        Proposals
            Those of a run with these options, up to rounding, provided that the
            detector ran with a `conf` not higher, a `max_det` not lower, the same
            `iou`, and these `classes` among its own. `truncated` says whether
            such a run would have stopped at the limit.
        """
        likely = self.scores >= recipe.conf
        keep = likely.copy()
        if recipe.classes is not None:
            keep &= np.isin(self.classes, recipe.classes)
        kept = np.flatnonzero(keep)
        most = recipe.max_det * self.parts
        best = kept[np.argsort(-self.scores[kept], kind="stable")][:most]
        # What lies beyond the detector's limit is less likely than all of these.
        beyond = self.truncated and bool(likely.all())
        truncated = beyond or len(kept) > most
        return replace(self.take(best), truncated=truncated)

    def fitting(self, recipe: Recipe) -> Proposals:
        """Keep the masks that the recipe's rules for single objects let pass.

        Parameters
        ----------
        recipe : Recipe
            Its `min_stability`, `max_area` and `border` are used; they look at
            the masks as the model gave them.
        """
        fits = [_fits(mask, self.shape, recipe) for mask in self.masks]
        return self if all(fits) else self.take(np.flatnonzero(fits).astype(np.int64))


def _fits(mask: Mask, shape: tuple[int, int], recipe: Recipe) -> bool:
    y0, x0, y1, x1 = mask.box
    return (
        mask.stability >= recipe.min_stability
        and (recipe.max_area is None or mask.area <= recipe.max_area)
        and (recipe.border or (min(y0, x0) > 0 and y1 < shape[0] and x1 < shape[1]))
    )
