"""Label arrays that are larger than the memory: on the disk, edited in place."""

from __future__ import annotations

from napari_sam.records.ondisk.array import DiskLabels
from napari_sam.records.ondisk.relabel import numbers_in, relabel

__all__ = ["DiskLabels", "numbers_in", "relabel"]
