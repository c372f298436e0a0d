"""Copies of labels that can only be read, slice by slice, to be edited."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam.live.disk.scratch import new_labels
from napari_sam.live.labels.scan import scan
from napari_sam.types import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from napari_sam.live.labels.access import LabelArray
    from napari_sam.live.labels.scan import Scan
    from napari_sam.live.values import Index


@dataclass(frozen=True, slots=True, eq=False)
class Copied:
    """A copy, and what is in it.

    Attributes
    ----------
    labels : integer array or DiskLabels
        On the disk where it is too large for the memory.
    found : Scan
    notes : tuple of str
        What could not be read, in one line each.
    """

    labels: LabelArray
    found: Scan
    notes: tuple[str, ...] = ()


def copy_labels(
    data: Any,
    *,
    progress: Callable[[int, int], None] = lambda done, of: None,
    still_wanted: Callable[[], bool] = lambda: True,
) -> Copied | None:
    """Copy labels slice by slice; on any thread but the one that draws.

    Parameters
    ----------
    data : array
        Whatever gives a plane when it is indexed: dask, Zarr, a file of numpy's.
    progress : callable
        Gets how many slices of how many are copied.
    still_wanted : callable
        Asked in front of every slice.

    Returns
    -------
    Copied or None
        None where it was no longer wanted.

    Raises
    ------
    ImageError
        If no slice at all can be read.
    """
    kind = np.dtype(data.dtype)
    kind = np.dtype(np.uint32) if kind.itemsize < 4 else kind
    reading = _Reading(data, new_labels(data.shape, dtype=kind), progress)
    found = scan(reading, still_wanted)
    if found is None:
        return None
    if len(reading.failed) == reading.count:
        raise ImageError(f"none of these labels can be read ({reading.why})")
    return Copied(reading.labels, found, tuple(reading.notes()))


class _Reading:
    """Gives the planes of one array, and puts each into another on the way."""

    def __init__(
        self, data: Any, labels: LabelArray, progress: Callable[[int, int], None]
    ) -> None:
        self.labels, self.shape = labels, tuple(int(n) for n in data.shape)
        self.count = math.prod(self.shape[:-2])
        self.failed: list[Index] = []
        self.why = ""
        self._data, self._progress, self._done = data, progress, 0

    def __getitem__(self, index: Index) -> npt.NDArray[Any]:
        try:
            plane = np.asarray(self._data[index])
        except MemoryError:
            raise
        except Exception as error:  # readers raise nearly anything
            self.failed.append(index)
            self.why = " ".join(str(error).split()) or type(error).__name__
            plane = np.zeros(self.shape[-2:], self.labels.dtype)
        self.labels[index] = plane
        self._done += 1
        self._progress(self._done, self.count)
        return plane

    def notes(self) -> list[str]:
        if not self.failed:
            return []
        first = ", ".join(map(str, self.failed[0]))
        others = len(self.failed) - 1
        more = f" and {others} more" if others else ""
        return [
            f"slice {first}{more} cannot be read and is empty in the copy ({self.why})"
        ]
