"""Where every object is, kept right edit by edit instead of by looking for it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.live.labels.scan import boxes_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index


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
        self, labels: npt.NDArray[Any], boxes: Mapping[int, Mapping[Index, IntBox]]
    ) -> None:
        self._labels = labels
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
        lost = boxes_in(np.where(changed, before, 0), box[:2])
        gained = boxes_in(np.where(changed, after, 0), box[:2])
        for number, part in lost.items():
            known = self.box(number, index)
            if known is not None and _reaches_edge(part, known):
                self._set(number, index, self._fit(number, index, known))
        for number, part in gained.items():
            self._set(number, index, union(self.box(number, index), part))
        return lost.keys() | gained.keys()

    def _fit(self, number: int, index: Index, known: IntBox) -> IntBox | None:
        y0, x0, y1, x1 = known
        inside = self._labels[index][y0:y1, x0:x1] == number
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        if rows.size == 0:
            return None
        return (
            int(rows[0]) + y0,
            int(columns[0]) + x0,
            int(rows[-1]) + y0 + 1,
            int(columns[-1]) + x0 + 1,
        )

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


def _reaches_edge(part: IntBox, whole: IntBox) -> bool:
    """Whether the whole may shrink when a part of it is gone."""
    starts = part[0] <= whole[0] or part[1] <= whole[1]
    return starts or part[2] >= whole[2] or part[3] >= whole[3]
