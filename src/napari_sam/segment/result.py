"""What annotating one plane gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.segment.table import with_ids

if TYPE_CHECKING:
    from napari_sam.segment.proposals import Clicks
    from napari_sam.types import LabelArray, ObjectTable


@dataclass(frozen=True, slots=True, eq=False)
class PlaneResult:
    """The objects found on one plane.

    Attributes
    ----------
    index : tuple of int
        Position along the stack axes.
    labels : uint32 array, shape (H, W)
        0 is background. `annotate_plane` gives ids 1..n, best object first;
        `iter_annotate` gives ids that hold in the whole stack.
    objects : ObjectTable
        One row per object, see `napari_sam.segment.table.COLUMNS`.
    truncated : bool
        As many objects as `max_det` allows were found; what else there may be
        was left out.
    warnings : tuple of str
        What a person should know about this plane, one line each; they name
        neither the file nor the plane, since the caller knows these better.
    clicks : Clicks, optional
        One for every object, where they were found by clicking.
    """

    index: tuple[int, ...]
    labels: LabelArray
    objects: ObjectTable
    truncated: bool = False
    warnings: tuple[str, ...] = ()
    clicks: Clicks | None = None

    def renumbered(self, ids: LabelArray) -> PlaneResult:
        """Return the same objects with `ids[plane id]` for ids 1..n (ids[0] is 0)."""
        if np.array_equal(ids, np.arange(len(ids))):
            return self
        return replace(
            self, labels=ids[self.labels], objects=with_ids(self.objects, ids)
        )
