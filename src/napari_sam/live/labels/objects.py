"""Committed objects, to look at: their pixels, where they are, where from."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from napari_sam.live.labels.access import LabelArray, pixels
from napari_sam.live.labels.extents import Extents
from napari_sam.live.labels.scan import Scan
from napari_sam.live.values import ObjectRecord
from napari_sam.types import Mask, NapariSamError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index


class Objects:
    """The objects of one label array; `LabelStore` is what edits them.

    Parameters
    ----------
    labels : integer array or DiskLabels, shape (..., H, W)
        Shared with whoever shows it, and written in place. 0 is background.
    records : iterable of ObjectRecord
        Objects without one count as imported; records of objects that have no
        pixels are left out.
    next_id : int
        No new object gets a lower one.
    extents : mapping of int to mapping of index to box, optional
        Where the objects are, as `scan` finds them. None: the array is empty.

    Attributes
    ----------
    records : mapping of int to ObjectRecord
        One for every object that has pixels; a view.
    extents : mapping of int to mapping of index to box
        For every object the planes that it is on, and its box there; a view.

    Raises
    ------
    NapariSamError
        If such an array cannot hold objects.
    """

    def __init__(
        self,
        labels: LabelArray,
        *,
        records: Iterable[ObjectRecord] = (),
        next_id: int = 1,
        extents: Mapping[int, Mapping[Index, IntBox]] | None = None,
    ) -> None:
        if labels.dtype.kind not in "iu" or labels.ndim < 2:
            raise NapariSamError(
                "objects need labels that are whole numbers with two axes or more, "
                f"not {labels.dtype} with {labels.ndim}"
            )
        if isinstance(labels, np.ndarray) and not labels.flags.writeable:
            raise NapariSamError("these labels can only be read: duplicate the layer")
        self.labels = labels
        self._extents = Extents(labels, extents or {})
        self.extents: Mapping[int, Mapping[Index, IntBox]] = self._extents.boxes
        known = {record.id: record for record in records}
        self._records = {
            number: known.get(number) or ObjectRecord(number, source="import")
            for number in self.extents
        }
        self.records: Mapping[int, ObjectRecord] = MappingProxyType(self._records)
        self._next_id = max(next_id, 1, max((*known, *self.extents), default=0) + 1)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole array."""
        return self.labels.shape

    @property
    def stack_shape(self) -> tuple[int, ...]:
        """What indices run over."""
        return self.labels.shape[:-2]

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.labels.shape[-2:]
        return height, width

    @property
    def next_id(self) -> int:
        """The id of the next new object; it only ever grows."""
        return self._next_id

    def free_id(self) -> int:
        """Hand out the next id; it is never handed out again."""
        self._use(self.next_id)
        return self.next_id - 1

    def snapshot(self) -> Scan:
        """Return extents, next id and records as they are now, for another thread.

        The pixels are not copied.
        """
        return Scan(dict(self.extents), self.next_id, tuple(self.records.values()))

    def mask_of(self, object_id: int, index: Index) -> Mask | None:
        """Return an object's pixels on a plane, None where it has none."""
        box = self._extents.box(object_id, index)
        if box is None:
            return None
        inside = pixels(self.labels, index, box) == object_id
        record = self.records[object_id]
        return Mask(box, inside, record.score, record.stability)

    def at(self, index: Index, point_yx: Sequence[float]) -> int:
        """Return the id at a point in data pixels, 0 for background and outside."""
        y, x = (float(v) for v in point_yx)
        height, width = self.plane_shape
        if not (0 <= y < height and 0 <= x < width):
            return 0
        return max(0, int(self.labels[(*self._checked(index), int(y), int(x))]))

    def _use(self, number: int) -> None:
        self._next_id = max(self._next_id, number + 1)

    def _fits(self, number: int) -> bool:
        return number <= np.iinfo(self.labels.dtype).max

    def _there(self, ids: Iterable[int], index: Index | None = None) -> list[int]:
        """Return those of the ids that are objects, each once, in their order."""
        found = dict.fromkeys(i for i in ids if i in self.extents)
        return [i for i in found if index is None or index in self.extents[i]]

    def _checked(self, index: Index) -> Index:
        plain = tuple(int(i) for i in index)
        if len(plain) != len(self.stack_shape) or not all(
            0 <= i < n for i, n in zip(plain, self.stack_shape, strict=True)
        ):
            raise NapariSamError(
                f"labels of the shape {self.shape} have no plane {plain}"
            )
        return plain
