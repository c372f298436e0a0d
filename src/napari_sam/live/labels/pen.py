"""Writes one edit into a label array, and remembers what was there before."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.live.labels.access import LabelArray, pixels, put_back
from napari_sam.live.labels.changes import Change, IntBox, Patch
from napari_sam.live.labels.extents import box_around
from napari_sam.live.labels.fresh import Fresh, put_fresh
from napari_sam.live.values import ObjectRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_sam.live.labels.extents import Extents
    from napari_sam.live.labels.moving import Moved
    from napari_sam.live.values import Index
    from napari_sam.types import BoolArray


class Pen:
    """One edit while it is made: pixels are written at once, records at its end.

    Parameters
    ----------
    labels : integer array, shape (..., H, W)
    extents : Extents
        Follows what is written.
    records : dict of int to ObjectRecord

    Attributes
    ----------
    patches : list of Patch
        What was written so far.
    touched : set of int
        The ids that gained or lost pixels.
    """

    def __init__(
        self,
        labels: LabelArray,
        extents: Extents,
        records: dict[int, ObjectRecord],
    ) -> None:
        self.patches: list[Patch] = []
        self.touched: set[int] = set()
        self._labels = labels
        self._extents = extents
        self._records = records
        self._described: dict[int, ObjectRecord | None] = {}
        # New objects on background, as long as nothing else is written.
        self._fresh: dict[int, tuple[IntBox, BoolArray]] | None = {}

    def write(self, index: Index, box: IntBox, after: npt.NDArray[Any]) -> None:
        """Write the pixels of a box."""
        self._fresh = None
        there = pixels(self._labels, index, box)
        before = there.copy()
        there[...] = after
        put_back(self._labels, index, box, there)
        part = box_around(before != there)
        if part is None:
            return
        y0, x0, y1, x1 = part
        inner = (box[0] + y0, box[1] + x0, box[0] + y1, box[1] + x1)
        before, after = before[y0:y1, x0:x1], there[y0:y1, x0:x1]
        self.patches.append(Patch(index, inner, before, after))
        self.touched |= self._extents.follow(index, inner, before, after)

    def paint(
        self,
        index: Index,
        box: IntBox,
        there: npt.NDArray[Any],
        mask: BoolArray,
        number: int,
    ) -> None:
        """Give the pixels of a mask to an object that has none of them.

        What is `there` is what `pixels` has returned of the box: to read it once more
        would be felt where it is large.
        """
        part = box_around(mask)
        if part is None:
            return
        y0, x0, y1, x1 = part
        inner = (box[0] + y0, box[1] + x0, box[0] + y1, box[1] + x1)
        mask, there = mask[y0:y1, x0:x1], there[y0:y1, x0:x1]
        before = there.copy()
        if number in self._extents.boxes or np.logical_and(before, mask).any():
            self._fresh = None
        elif self._fresh is not None:
            self._fresh[number] = inner, mask
        there[mask] = number
        put_back(self._labels, index, inner, there)
        self.patches.append(Patch(index, inner, before, there))
        self.touched |= self._extents.gain(number, index, inner, before, mask)

    def recolour(self, number: int, into: int, only: Index | None = None) -> None:
        """Give all pixels of an object to another one, on all planes or on one."""
        self._fresh = None
        for index, box in list(self._extents.boxes[number].items()):
            if only is None or index == only:
                there = pixels(self._labels, index, box)
                before = there.copy()
                there[before == number] = into
                put_back(self._labels, index, box, there)
                self.patches.append(Patch(index, box, before, there))
                self.touched |= self._extents.move(number, into, index)

    def take_over(self, moved: Moved) -> bool:
        """Write what was made of a plane; False where it is not the same any more."""
        there = [pixels(self._labels, moved.index, one.box) for one in moved.patches]
        pairs = list(zip(there, moved.arrays, strict=True))
        if not all(np.array_equal(now, before) for now, (before, _) in pairs):
            return False
        for one, (now, (_, after)) in zip(moved.patches, pairs, strict=True):
            now[...] = after
            put_back(self._labels, moved.index, one.box, now)
        self._fresh = None
        self.patches += moved.patches
        self._extents.place(moved.index, moved.boxes)
        return True

    def describe(self, record: ObjectRecord) -> None:
        """Set the record of an object."""
        self._described[record.id] = record

    def done(self, what: str) -> Change:
        """Write the records; objects that have no pixel left lose theirs."""
        for number in self.touched:
            if number not in self._extents.boxes:
                self._described[number] = None
        before = {number: self._records.get(number) for number in self._described}
        for number, record in self._described.items():
            if record is None:
                self._records.pop(number, None)
            else:
                self._records[number] = record
        return Change(
            tuple(self.patches), before, self._described, what, self._all_fresh()
        )

    def _all_fresh(self) -> Fresh | None:
        indices = {patch.index for patch in self.patches}
        if not self._fresh or len(indices) > 1:
            return None
        height, width = self._labels.shape[-2:]
        return Fresh.of(indices.pop(), self._fresh, self._extents, (height, width))


def put_all(
    labels: LabelArray,
    extents: Extents,
    records: dict[int, ObjectRecord],
    changes: Iterable[Change],
) -> None:
    """Make edits again, or the reverse of some, in their order."""
    for kind, alike in groupby(changes, _kind):
        run = list(alike)
        fresh = [(one.fresh, one.records_after) for one in run if one.fresh is not None]
        if kind is None or not put_fresh(labels, extents, records, fresh):
            for change in run:
                _put(labels, extents, records, change)


def _kind(change: Change) -> tuple[Index, bool] | None:
    fresh = change.fresh
    return None if fresh is None else (fresh.index, fresh.gone)


def _put(
    labels: LabelArray,
    extents: Extents,
    records: dict[int, ObjectRecord],
    change: Change,
) -> None:
    """Make an edit again, or the reverse of one.

    Only pixels that it changed are written: the others of its boxes may have been
    changed by somebody else.
    """
    touched: set[int] = set()
    for patch in change.patches:
        there = pixels(labels, patch.index, patch.box)
        before, new = there.copy(), patch.after
        np.copyto(there, new, where=patch.before != new)
        put_back(labels, patch.index, patch.box, there)
        touched |= extents.follow(patch.index, patch.box, before, there)
    for number, record in change.records_after.items():
        if record is not None:
            records[number] = record
    _match(records, extents, touched | change.records_after.keys())


def _match(
    records: dict[int, ObjectRecord], extents: Extents, ids: Iterable[int]
) -> None:
    """Let exactly the objects that have pixels have a record."""
    for number in ids:
        if number not in extents.boxes:
            records.pop(number, None)
        elif number not in records:
            records[number] = ObjectRecord(number)
