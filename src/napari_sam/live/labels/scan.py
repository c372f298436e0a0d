"""What a label array holds: needed once, when an existing one is taken over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from napari_sam.live.values import ObjectRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index


class Planes(Protocol):
    """Whatever has planes: an array, for example."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole."""

    def __getitem__(self, index: Index, /) -> Any:
        """Return a plane."""


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """All objects of a label array.

    Attributes
    ----------
    extents : mapping of int to mapping of index to box
        For every id and every plane that it is on its bounding box.
    next_id : int
        Larger than all ids that there are.
    records : tuple of ObjectRecord
        One for every id.
    """

    extents: Mapping[int, Mapping[Index, IntBox]]
    next_id: int
    records: tuple[ObjectRecord, ...]


def scan(
    labels: Planes, still_wanted: Callable[[], bool] = lambda: True
) -> Scan | None:
    """Look through a label array, plane by plane.

    It takes some 20 ms per plane of 2048 x 2048: not for the thread that draws.

    Parameters
    ----------
    labels : integer array, shape (..., H, W)
        Ids above 0 are objects.
    still_wanted : callable
        Asked in front of every plane.

    Returns
    -------
    Scan or None
        None where it was no longer wanted. Its records say "import".
    """
    extents: dict[int, dict[Index, IntBox]] = {}
    stack_shape = labels.shape[:-2]
    for flat in range(math.prod(stack_shape)):
        if not still_wanted():
            return None
        where = np.unravel_index(flat, stack_shape) if stack_shape else ()
        index = tuple(int(i) for i in where)
        for number, box in boxes_in(labels[index]).items():
            extents.setdefault(number, {})[index] = box
    records = tuple(ObjectRecord(i, source="import") for i in sorted(extents))
    return Scan(extents, max(extents, default=0) + 1, records)


def boxes_in(
    pixels: npt.NDArray[Any], offset: tuple[int, int] = (0, 0)
) -> dict[int, IntBox]:
    """Return the bounding box of every id above 0 in an array (h, w) at `offset`."""
    from scipy import ndimage

    highest = int(pixels.max(initial=0))
    if highest <= 0:
        return {}
    ids: npt.NDArray[Any] | None = None
    if highest > max(1024, pixels.size // 4):
        # Its cost grows with the highest id, which may be anything.
        values, places = np.unique(pixels, return_inverse=True)
        ids = values[values > 0]
        pixels = places.reshape(pixels.shape) - (values.size - ids.size) + 1
        highest = ids.size
    dy, dx = offset
    found = {}
    for position, where in enumerate(ndimage.find_objects(pixels, highest)):
        if where is not None:
            rows, columns = where
            number = position + 1 if ids is None else int(ids[position])
            found[number] = (
                int(rows.start) + dy,
                int(columns.start) + dx,
                int(rows.stop) + dy,
                int(columns.stop) + dx,
            )
    return found
