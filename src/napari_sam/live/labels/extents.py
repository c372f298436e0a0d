"""Where every object is, kept right edit by edit instead of by looking for it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.live.labels.access import LabelArray, pixels
from napari_sam.live.labels.scan import boxes_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index
    from napari_sam.types import BoolArray


class Extents:
    """The bounding boxes of all objects of a label array, on every plane.

    Parameters
    ----------
    labels : integer array, shape (..., H, W)
    boxes : mapping of int to mapping of index to box
        What is in the array now.

    Attributes
    ----------
    boxes : mapping of int to mapping of index to box
        A view. What belongs to one id is replaced and never changed, so that
        `dict(boxes)` stays as it is.
    """

    def __init__(
        self, labels: LabelArray, boxes: Mapping[int, Mapping[Index, IntBox]]
    ) -> None:
        self._labels = labels
        self._boxes: dict[int, Mapping[Index, IntBox]]
        self._boxes = {number: dict(on) for number, on in boxes.items() if on}
        self.boxes: Mapping[int, Mapping[Index, IntBox]] = MappingProxyType(self._boxes)

    def box(self, number: int, index: Index) -> IntBox | None:
        """Return where an object is on a plane."""
        on = self._boxes.get(number)
        return None if on is None else on.get(index)

    def follow(
        self,
        index: Index,
        box: IntBox,
        before: npt.NDArray[Any],
        after: npt.NDArray[Any],
    ) -> set[int]:
        """Take in what was written; return the ids that gained or lost pixels."""
        changed = before != after
        lost = _boxes_of(before, changed, box[:2])
        gained = _boxes_of(after, changed, box[:2])
        self._lose(index, lost)
        for number, part in gained.items():
            self._set(number, index, union(self.box(number, index), part))
        return lost.keys() | gained.keys()

    def gain(
        self,
        number: int,
        index: Index,
        box: IntBox,
        before: npt.NDArray[Any],
        mask: BoolArray,
    ) -> set[int]:
        """Take in that an object has got the pixels of a mask that fills its box.

        None of them were its own.
        """
        lost = _boxes_of(before, mask, box[:2])
        self._lose(index, lost)
        self._set(number, index, union(self.box(number, index), box))
        return {number, *lost}

    def move(self, number: int, into: int, index: Index) -> set[int]:
        """Take in that another object (0: none) has got all pixels of one."""
        box = self._boxes[number][index]
        self._set(number, index, None)
        if not into:
            return {number}
        self._set(into, index, union(self.box(into, index), box))
        return {number, into}

    def place(self, index: Index, boxes: Mapping[int, IntBox]) -> None:
        """Take in where objects are on a plane."""
        for number, box in boxes.items():
            self._set(number, index, box)

    def know(self, extents: Mapping[int, Mapping[Index, IntBox]]) -> None:
        """Take in that objects are there that were nowhere; it is kept as it is."""
        self._boxes.update(extents)

    def forget(self, ids: Iterable[int]) -> None:
        """Take in that these objects are nowhere any more."""
        for number in ids:
            del self._boxes[number]

    def _lose(self, index: Index, lost: Mapping[int, IntBox]) -> None:
        for number, part in lost.items():
            known = self.box(number, index)
            if known is not None and _reaches_edge(part, known):
                self._set(number, index, self._fit(number, index, known))

    def _fit(self, number: int, index: Index, known: IntBox) -> IntBox | None:
        there = pixels(self._labels, index, known)
        return box_around(there == number, known[:2])

    def _set(self, number: int, index: Index, box: IntBox | None) -> None:
        on = dict(self._boxes.get(number, {}))
        if box is None:
            on.pop(index, None)
        else:
            on[index] = box
        if on:
            self._boxes[number] = on
        else:
            self._boxes.pop(number, None)


def union(first: IntBox | None, second: IntBox) -> IntBox:
    """Return the box around both."""
    if first is None:
        return second
    return (
        min(first[0], second[0]),
        min(first[1], second[1]),
        max(first[2], second[2]),
        max(first[3], second[3]),
    )


def box_around(
    mask: npt.NDArray[np.bool_], offset: tuple[int, int] = (0, 0)
) -> IntBox | None:
    """Return the box around what is true in a mask at `offset`."""
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    if rows.size == 0:
        return None
    y, x = offset
    return (
        int(rows[0]) + y,
        int(columns[0]) + x,
        int(rows[-1]) + y + 1,
        int(columns[-1]) + x + 1,
    )


def _boxes_of(
    pixels: npt.NDArray[Any], changed: npt.NDArray[np.bool_], offset: tuple[int, int]
) -> dict[int, IntBox]:
    """Return the boxes of all ids among the changed pixels."""
    # Mostly it is background, of which nothing has to be picked out.
    there = np.logical_and(pixels, changed)
    values = pixels[there]
    if not values.size:
        return {}
    # Nearly always it is one: looking for many would cost most of an edit.
    if (values == values[0]).all():
        box = box_around(there, offset)
        return {} if box is None or values[0] < 0 else {int(values[0]): box}
    return boxes_in(np.where(there, pixels, 0), offset)


def _reaches_edge(part: IntBox, whole: IntBox) -> bool:
    """Whether the whole may shrink when a part of it is gone."""
    starts = part[0] <= whole[0] or part[1] <= whole[1]
    return starts or part[2] >= whole[2] or part[3] >= whole[3]
