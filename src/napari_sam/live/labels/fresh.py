"""New objects that lie on nothing but background: all come, or go, at once.

One after the other would be felt where there are thousands of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from napari_sam.live.labels.access import pixels, put_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_sam.live.labels.access import LabelArray
    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.labels.extents import Extents
    from napari_sam.live.values import Index, ObjectRecord
    from napari_sam.types import BoolArray

# Of larger objects there are few, and the places of their pixels take much memory.
_LARGE: Final = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Fresh:
    """Objects on one plane that none of their pixels belonged to anybody before.

    Attributes
    ----------
    index : tuple of int
    extents : mapping of int to mapping of index to box
        Of all of them.
    where : integer array
        Their pixels, counted through the whole plane, one object after the other.
    sizes : integer array
        How many of those each of them has.
    gone : bool
        They are taken away.
    """

    index: Index
    extents: Mapping[int, Mapping[Index, IntBox]]
    where: npt.NDArray[Any]
    sizes: npt.NDArray[Any]
    gone: bool = False

    @classmethod
    def of(
        cls,
        index: Index,
        masks: Mapping[int, tuple[IntBox, BoolArray]],
        extents: Extents,
        shape: tuple[int, int],
    ) -> Fresh | None:
        """Return objects that were just written; None where it would not help.

        Parameters
        ----------
        index : tuple of int
        masks : mapping of int to (box, mask)
        extents : Extents
        shape : (height, width)
            Of the plane.
        """
        sizes = np.array([np.count_nonzero(mask) for _, mask in masks.values()])
        if len(masks) < 2 or sizes.mean() > _LARGE:
            return None
        small = shape[0] * shape[1] <= np.iinfo(np.int32).max
        where = [_places(*one, shape[1]) for one in masks.values()]
        return cls(
            index,
            {number: extents.boxes[number] for number in masks},
            np.concatenate(where).astype(np.int32 if small else np.int64),
            sizes,
        )

    @property
    def nbytes(self) -> int:
        """About how much memory it takes."""
        return self.where.nbytes + self.sizes.nbytes + 64 * len(self.extents)

    def reverse(self) -> Fresh:
        """Return what takes this back."""
        return replace(self, gone=not self.gone)


def put_fresh(
    labels: LabelArray,
    extents: Extents,
    records: dict[int, ObjectRecord],
    steps: Sequence[tuple[Fresh, Mapping[int, ObjectRecord | None]]],
) -> bool:
    """Let the objects of several edits of one plane come, or all go.

    Parameters
    ----------
    labels : integer array, shape (..., H, W)
    extents : Extents
    records : dict of int to ObjectRecord
    steps : sequence of (Fresh, mapping)
        With the records that there are afterwards.

    Returns
    -------
    bool
        False where somebody has changed something in between: nothing was done.
    """
    index, gone = steps[0][0].index, steps[0][0].gone
    all_of = [fresh for fresh, _ in steps]
    where = np.concatenate([fresh.where for fresh in all_of], dtype=np.intp)
    width = labels.shape[-1]
    first, last = int(where.min()) // width, int(where.max()) // width
    box = (first, 0, last + 1, width)
    rows = pixels(labels, index, box)
    if not rows.flags.c_contiguous or not all(_as_left(extents, f) for f in all_of):
        return False
    flat, where = rows.reshape(-1), where - first * width
    ids = np.array([n for fresh in all_of for n in fresh.extents], labels.dtype)
    values = np.repeat(ids, np.concatenate([fresh.sizes for fresh in all_of]))
    there = flat[where]
    if not np.array_equal(there, values) if gone else there.any():
        return False
    flat[where] = 0 if gone else values
    put_back(labels, index, box, rows)
    for fresh, after in steps:
        if gone:
            extents.forget(fresh.extents)
            _forget(records, fresh.extents)
        else:
            extents.know(fresh.extents)
            records.update((n, r) for n, r in after.items() if r is not None)
    return True


def _as_left(extents: Extents, fresh: Fresh) -> bool:
    """Whether the objects have got no pixel since then, or are nowhere."""
    boxes = extents.boxes
    if fresh.gone:  # who gets one, even inside its box, gets another mapping
        return all(boxes.get(number) is on for number, on in fresh.extents.items())
    return boxes.keys().isdisjoint(fresh.extents)


def _forget(records: dict[int, ObjectRecord], ids: Iterable[int]) -> None:
    for number in ids:
        records.pop(number, None)


def _places(box: IntBox, mask: BoolArray, width: int) -> npt.NDArray[np.intp]:
    rows, columns = np.nonzero(mask)
    return (rows + box[0]) * width + (columns + box[1])
