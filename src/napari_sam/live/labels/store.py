"""Edits of committed objects.

Every edit touches only the boxes of its objects, and returns what it changed, so
that it can be taken back. One thread uses a store.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.live.labels.about import described, joined_marks, named, part_of
from napari_sam.live.labels.access import distinct, pixels, put_back
from napari_sam.live.labels.changes import Change, IntBox, Refusal
from napari_sam.live.labels.edits import cut, fill_gaps, settle, smooth_outline
from napari_sam.live.labels.extents import union
from napari_sam.live.labels.objects import Objects
from napari_sam.live.labels.pen import Pen, put_all
from napari_sam.live.values import Index, ObjectRecord, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from napari_sam.live.labels.moving import Moved
    from napari_sam.types import BoolArray, Mask

    Reshape = Callable[[BoolArray, BoolArray], BoolArray]


class LabelStore(Objects):
    """Objects that can be edited.

    An id is never given to another object: what is deleted leaves a gap, what is
    merged keeps the first id, and of what is split the largest part keeps it. An
    object that loses its last pixel loses its record. See `Objects` for the
    parameters.
    """

    def add(
        self,
        index: Index,
        mask: Mask,
        rule: Rule,
        *,
        object_id: int | None = None,
        joins: bool = False,
        **about: Any,
    ) -> Change | Refusal:
        """Add an object, or give one new pixels on a plane.

        Parameters
        ----------
        index : tuple of int
        mask : Mask
            What lies outside the plane is left out.
        rule : Rule
            What happens where other objects are.
        object_id : int, optional
            Its pixels on this plane are replaced. Without it the object is new.
        joins : bool
            The pixels that it has on this plane stay its own, too.
        **about
            Fields of its record. Of the `prompts` that it has, those on other
            planes are kept.

        Returns
        -------
        Change or Refusal
            A refusal says why nothing was changed.
        """
        number = self.next_id if object_id is None else object_id
        known = number in self.records
        pen = self._pen()
        refused = self._lay(
            pen, self._checked(index), mask, rule, number, about, joins=joins
        )
        return refused or pen.done(f"{'Change' if known else 'Add'} object {number}")

    def add_all(
        self,
        index: Index,
        masks: Sequence[tuple[Mask, Mapping[str, Any]]],
        rule: Rule,
        *,
        min_kept: float = 0.0,
    ) -> tuple[Change | None, list[Refusal]]:
        """Add new objects on one plane, as one edit.

        Parameters
        ----------
        index : tuple of int
        masks : sequence of (Mask, mapping)
            With fields of their records.
        rule : Rule
            What happens where other objects are.
        min_kept : float
            One that keeps a smaller part of itself beside others is refused: it is
            the same object again.

        Returns
        -------
        Change or None
            None where all were refused.
        list of Refusal
            Why some were not added.
        """
        index, pen = self._checked(index), self._pen()
        refusals = [
            refused
            for mask, about in masks
            if (
                refused := self._lay(
                    pen, index, mask, rule, self.next_id, about, min_kept
                )
            )
        ]
        count = len(masks) - len(refusals)
        what = f"Add {count} object{'s' * (count != 1)}"
        return (pen.done(what) if count else None), refusals

    def spread(
        self, index: Index, masks: Mapping[int, Mask], *, min_kept: float = 0.0
    ) -> tuple[Change | None, list[Refusal]]:
        """Give objects that are there already other pixels on a plane, as one edit.

        Parameters
        ----------
        index : tuple of int
        masks : mapping of int to Mask
            By the objects' ids; the first takes its pixels first, and those of other
            objects stay theirs. Empty: the object is not on this plane any more.
        min_kept : float
            See `add_all`.

        Returns
        -------
        Change or None
            None where nothing changed.
        list of Refusal
            Why some were not written.
        """
        index, pen = self._checked(index), self._pen()
        known = self._there(masks)
        for number in self._there(known, index):
            pen.recolour(number, 0, index)
        about = {"reviewed": False, "source": "propagation"}
        refusals = [
            refused
            for number in known
            if masks[number].area
            and (
                refused := self._lay(
                    pen, index, masks[number], Rule.KEEP, number, about, min_kept
                )
            )
        ]
        return (pen.done(f"Follow {named(known)}") if pen.patches else None), refusals

    def _lay(
        self,
        pen: Pen,
        index: Index,
        mask: Mask,
        rule: Rule,
        number: int,
        about: Mapping[str, Any],
        min_kept: float = 0.0,
        *,
        joins: bool = False,
    ) -> Refusal | None:
        """Write one object, or return why not."""
        if not self._fits(number):
            return self._full()
        box, data = _clip(mask, self.plane_shape)
        if rule is Rule.REPLACE and data.size:
            self._make_room(pen, index, box, data, number)
        own = self._extents.box(number, index)
        region = union(own, box) if data.size else box
        before = after = pixels(self.labels, index, region)
        if own is not None:
            after = np.where(after == number, 0, after)
        y, x = region[:2]
        inside = after[box[0] - y : box[2] - y, box[1] - x : box[3] - x]
        settled = settle(data, inside, rule)
        if isinstance(settled, Refusal):
            return settled
        if np.count_nonzero(settled) < min_kept * np.count_nonzero(data):
            return Refusal("nothing was added: most of it belongs to others already")
        if own is None:
            pen.paint(index, box, before, settled, number)
        else:
            inside[settled] = number
            if joins:
                after[before == number] = number
            pen.write(index, region, after)
        pen.describe(described(self.records.get(number), number, dict(about)))
        self._use(number)
        return None

    def _make_room(
        self, pen: Pen, index: Index, box: IntBox, data: BoolArray, number: int
    ) -> None:
        """Take away what would lose most of itself: its rest is no object."""
        below = pixels(self.labels, index, box)
        if not below.any():
            return
        for other in distinct(below[data]):
            there = self._extents.box(other, index)
            if there is None or other == number:
                continue
            y0, x0, y1, x1 = overlap = _common(box, there)
            under = data[y0 - box[0] : y1 - box[0], x0 - box[1] : x1 - box[1]]
            lost = under & (pixels(self.labels, index, overlap) == other)
            area = np.count_nonzero(pixels(self.labels, index, there) == other)
            if 2 * np.count_nonzero(lost) > area:
                pen.recolour(other, 0, index)

    def delete(
        self, ids: Iterable[int], *, index: Index | None = None
    ) -> Change | None:
        """Delete objects on all planes, or on one; None where there are none."""
        there = self._there(ids, index)
        pen = self._pen()
        for number in there:
            pen.recolour(number, 0, index)
        return pen.done(f"Delete {named(there)}") if there else None

    def merge(self, ids: Iterable[int]) -> Change | None:
        """Make one object of several: the first of them, with the marks of all.

        None where fewer than two of them are there.
        """
        there = self._there(ids)
        if len(there) < 2:
            return None
        first, *others = there
        marks = joined_marks([self.records[number] for number in there])
        pen = self._pen()
        for number in others:
            pen.recolour(number, first)
        pen.describe(replace(self.records[first], prompts=marks))
        return pen.done(f"Merge {named(there)}")

    def split(self, object_id: int, index: Index) -> Change | Refusal:
        """Split an object on a plane: into its pieces, or where it is narrow.

        The largest part keeps the id. The others get new ones, and a record
        without scores and marks, since those were about the whole.
        """
        mask = self.mask_of(object_id, index)
        if mask is None:
            return Refusal(f"object {object_id} is not on this slice")
        parts = cut(mask.data)
        if parts is None:
            return Refusal(f"object {object_id} is too small to be split")
        new = int(parts.max()) - 1
        if not self._fits(self.next_id + new - 1):
            return self._full()
        ids = [object_id, *(self.free_id() for _ in range(new))]
        after = pixels(self.labels, index, mask.box).copy()
        after[mask.data] = np.array(ids, after.dtype)[parts[mask.data] - 1]
        pen = self._pen()
        pen.write(index, mask.box, after)
        for number in ids[1:]:
            pen.describe(part_of(self.records[object_id], number))
        return pen.done(f"Split object {object_id}")

    def fill(self, object_id: int, index: Index) -> Change | None:
        """Fill the holes of an object, as far as they are background."""
        return self._reshape("Fill holes of", object_id, index, fill_gaps)

    def smooth(self, object_id: int, index: Index) -> Change | None:
        """Round off the outline of an object; others keep their pixels."""
        return self._reshape("Smooth", object_id, index, smooth_outline, margin=8)

    def take_over(self, moved: Moved) -> Change | None:
        """Write what was made of a plane; None where it is not the same any more."""
        pen = self._pen()
        return pen.done(moved.what) if pen.take_over(moved) else None

    def update(self, ids: Iterable[int], **fields: Any) -> Change | None:
        """Change fields of records; None where none of the objects is there."""
        there = self._there(ids)
        pen = self._pen()
        for number in there:
            pen.describe(replace(self.records[number], **fields))
        return pen.done(f"Change {named(there)}") if there else None

    def painted(
        self, before: Iterable[tuple[Index, IntBox, npt.NDArray[Any]]], **about: Any
    ) -> Change | None:
        """Take in what a person has painted into the array.

        Parameters
        ----------
        before : iterable of (index, box, pixels)
            The pixels of the touched boxes as they were in front of the whole, or
            each as they were in front of its own part, in the order of the parts.
        **about
            Fields of the records of objects that are new, besides their id.

        Returns
        -------
        Change or None
            None where no pixel changed.
        """
        pen = self._pen()
        strokes = [(self._checked(index), box, old) for index, box, old in before]
        # Boxes may overlap: what each of them did shows when all are taken back.
        done = []
        for index, box, old in reversed(strokes):
            there = pixels(self.labels, index, box)
            done.append(there.copy())
            there[...] = old
            put_back(self.labels, index, box, there)
        for (index, box, _), after in zip(strokes, reversed(done), strict=True):
            pen.write(index, box, after)
        if not pen.patches:
            return None
        self._describe_new(pen, about)
        return pen.done("Paint")

    def write(
        self, parts: Iterable[tuple[Index, IntBox, npt.NDArray[Any]]], what: str
    ) -> Change:
        """Write pixels as they are known already, in their order, as one edit.

        Parameters
        ----------
        parts : iterable of (index, box, pixels)
            Objects that are new get a record without anything in it.
        what : str
            For people.
        """
        pen = self._pen()
        for index, box, after in parts:
            pen.write(self._checked(index), box, after)
        self._describe_new(pen, {})
        return pen.done(what)

    def undo(self, change: Change) -> None:
        """Take an edit back. Its ids stay used up."""
        self.redo_all([change.reverse()])

    def redo(self, change: Change) -> None:
        """Do again what was taken back."""
        self.redo_all([change])

    def redo_all(self, changes: Iterable[Change]) -> None:
        """Do several edits again in their order; many new objects at once."""
        put_all(self.labels, self._extents, self._records, changes)

    def _describe_new(self, pen: Pen, about: Mapping[str, Any]) -> None:
        for number in pen.touched & self.extents.keys() - self.records.keys():
            pen.describe(ObjectRecord(number, **about))
            self._use(number)

    def _pen(self) -> Pen:
        return Pen(self.labels, self._extents, self._records)

    def _reshape(
        self, verb: str, number: int, index: Index, how: Reshape, margin: int = 0
    ) -> Change | None:
        box = self._extents.box(number, index)
        if box is None:
            return None
        height, width = self.plane_shape
        y0, x0 = max(0, box[0] - margin), max(0, box[1] - margin)
        region = (y0, x0, min(height, box[2] + margin), min(width, box[3] + margin))
        after = pixels(self.labels, index, region).copy()
        own = after == number
        new = how(own, after == 0)
        if not new.any() or np.array_equal(new, own):
            return None
        after[own] = 0
        after[new] = number
        pen = self._pen()
        pen.write(index, region, after)
        return pen.done(f"{verb} object {number}")

    def _full(self) -> Refusal:
        kind = self.labels.dtype
        return Refusal(
            f"nothing was added: these labels ({kind}) have no number above "
            f"{np.iinfo(kind).max}; choose a new labels layer"
        )


def _common(one: IntBox, other: IntBox) -> IntBox:
    """Return the part that two boxes share."""
    return (
        max(one[0], other[0]),
        max(one[1], other[1]),
        min(one[2], other[2]),
        min(one[3], other[3]),
    )


def _clip(mask: Mask, shape: tuple[int, int]) -> tuple[IntBox, BoolArray]:
    """Return the part of a mask that lies on the plane."""
    y0, x0, y1, x1 = mask.box
    box = (max(0, y0), max(0, x0), min(shape[0], y1), min(shape[1], x1))
    if box[0] >= box[2] or box[1] >= box[3]:
        return (0, 0, 0, 0), np.zeros((0, 0), np.bool_)
    data = mask.data[box[0] - y0 : box[2] - y0, box[1] - x0 : box[3] - x0]
    return box, data
