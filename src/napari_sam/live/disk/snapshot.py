"""Labels as they were at one moment, though people go on working on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_sam.live.disk.kept.entries import Packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from napari_sam.live.labels.access import LabelArray
    from napari_sam.live.labels.changes import Change
    from napari_sam.live.labels.objects import Objects
    from napari_sam.live.values import Index, ObjectRecord


class Snapshot:
    """Labels and records at the moment in which this was made.

    The thread that edits makes it and says `changed` for every edit until the
    pixels are read. Another thread calls `read`. When the first one has heard that
    this is done, it calls `finish`; from then on nothing changes.

    Parameters
    ----------
    objects : Objects
        Usually a `LabelStore`.

    Attributes
    ----------
    shape : tuple of int
    records : dict
    next_id : int
    """

    def __init__(self, objects: Objects) -> None:
        self.shape: tuple[int, ...] = objects.labels.shape
        self.records: Mapping[int, ObjectRecord] = dict(objects.records)
        self.next_id = objects.next_id
        self._labels: LabelArray | None = objects.labels
        self._dtype = objects.labels.dtype
        self._changes: list[Change] = []
        self._planes: dict[Index, Packed] = {}

    @classmethod
    def of(cls, objects: Objects) -> Snapshot:
        """Read everything at once, where nobody edits meanwhile."""
        snapshot = cls(objects)
        snapshot.read()
        snapshot.finish()
        return snapshot

    def changed(self, change: Change) -> None:
        """Remember an edit, an undo (reversed) or redo, made since the beginning."""
        if self._labels is not None:
            self._changes.append(change)

    def read(self, still_wanted: Callable[[], bool] = lambda: True) -> bool:
        """Read all pixels, on any thread; False where it was no longer wanted."""
        labels = self._labels
        if labels is None:
            return True
        for index in self.indices():
            if not still_wanted():
                return False
            packed = Packed.of_plane(index, labels[index])
            if packed is not None:
                self._planes[index] = packed
        return True

    def finish(self) -> None:
        """End the reading: later edits do not concern this snapshot."""
        self._labels = None

    def indices(self) -> Iterator[Index]:
        """Return all planes in their order."""
        return np.ndindex(*self.shape[:-2])

    def plane(self, index: Index) -> npt.NDArray[Any]:
        """Return the labels of a plane."""
        plane = np.zeros(self.shape[-2:], self._dtype)
        packed = self._planes.get(index)
        if packed is not None:
            plane[packed.slices] = packed.array()
        # Whether an edit was read already or not: in front of it there was this.
        for change in reversed(self._changes):
            for patch in reversed(change.patches):
                if patch.index == index:
                    plane[patch.slices] = patch.before
        return plane
