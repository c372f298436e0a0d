"""What annotating one plane gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.segment.table import with_links

if TYPE_CHECKING:
    from napari_sam.segment.link import Linked
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

    def kept(self, linked: Linked) -> PlaneResult:
        """Return the objects that have an id in the stack, with those of the plane."""
        keep = linked.ids[self.objects["id"]] > 0
        if keep.all():
            return self
        return replace(
            self,
            labels=np.where(linked.ids[self.labels] > 0, self.labels, 0),
            objects={name: values[keep] for name, values in self.objects.items()},
            clicks=self.clicks and self.clicks.take(np.flatnonzero(keep)),
        )

    def renumbered(self, linked: Linked) -> PlaneResult:
        """Return the objects that have an id in the stack, with these ids.

        The table gets the columns that say how they were linked.
        """
        kept = self.kept(linked)
        return replace(
            kept,
            labels=linked.ids[kept.labels],
            objects=with_links(kept.objects, linked),
        )
