"""Which slices are searched, and which part of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.live import rasters

if TYPE_CHECKING:
    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index
    from napari_sam.segment.proposals import Proposals
    from napari_sam.types import BoolArray, Box, FloatArray, Mask

# So much of an object must lie in the part that was asked for.
_MOST = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Where:
    """Which slices are searched, and which part of them.

    Attributes
    ----------
    indices : tuple of tuple of int
        In this order.
    outlines : tuple of arrays, shape (N, 2)
        Closed ones, (y, x) in data pixels. An object counts that lies in one of
        them, or most of it. None: everything counts.
    """

    indices: tuple[Index, ...]
    outlines: tuple[FloatArray, ...] = ()

    @property
    def stack(self) -> bool:
        """Whether there is more than one slice."""
        return len(self.indices) > 1

    def box(self, shape: tuple[int, int]) -> Box | None:
        """Return the part of a plane around the outlines; None for all of it.

        One without area where they lie beside the plane.
        """
        if not self.outlines:
            return None
        corners = np.concatenate(self.outlines)
        y0, x0, y1, x1 = rasters.window_of(rasters.bounds_of(corners), shape)
        return float(y0), float(x0), float(y1), float(x1)

    def within(self, proposals: Proposals) -> Proposals:
        """Keep those that lie in the outlines."""
        if not self.outlines:
            return proposals
        corners = np.concatenate(self.outlines)
        window = rasters.window_of(rasters.bounds_of(corners), proposals.shape)
        area = np.zeros((window[2] - window[0], window[3] - window[1]), np.bool_)
        for outline in self.outlines:
            area |= rasters.fill(outline, window)
        inside = [_lies_in(mask, area, window) for mask in proposals.masks]
        return proposals.take(np.flatnonzero(inside).astype(np.int64))


def outward(index: Index, stack_shape: tuple[int, ...]) -> tuple[Index, ...]:
    """Return all slices of a stack, the nearest first.

    Examples
    --------
    >>> outward((1,), (4,))
    ((1,), (2,), (0,), (3,))
    """

    def far(other: Index) -> tuple[int, tuple[int, ...]]:
        moves = tuple(here - there for here, there in zip(index, other, strict=True))
        return sum(map(abs, moves)), moves

    return tuple(sorted(product(*map(range, stack_shape)), key=far))


def _lies_in(mask: Mask, area: BoolArray, window: IntBox) -> bool:
    y0, x0 = max(mask.box[0], window[0]), max(mask.box[1], window[1])
    y1, x1 = min(mask.box[2], window[2]), min(mask.box[3], window[3])
    if y0 >= y1 or x0 >= x1:
        return False
    ours = mask.data[y0 - mask.box[0] : y1 - mask.box[0], x0 - mask.box[1] :]
    theirs = area[y0 - window[0] : y1 - window[0], x0 - window[1] : x1 - window[1]]
    shared = np.count_nonzero(ours[:, : x1 - x0] & theirs)
    return bool(shared > _MOST * mask.area)
