"""Parts of label arrays, in memory or on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from napari_sam.records.ondisk.array import DiskLabels

if TYPE_CHECKING:
    from napari_sam.live.labels.changes import IntBox
    from napari_sam.live.values import Index

LabelArray: TypeAlias = npt.NDArray[Any] | DiskLabels
"""Whole numbers, shape (..., H, W)."""


def pixels(labels: LabelArray, index: Index, box: IntBox) -> npt.NDArray[Any]:
    """Return a box of a plane; who changes it calls `put_back`."""
    part: npt.NDArray[Any] = labels[_key(index, box)]
    return part


def put_back(
    labels: LabelArray, index: Index, box: IntBox, changed: npt.NDArray[Any]
) -> None:
    """Write what was changed in what `pixels` has returned."""
    if not isinstance(labels, np.ndarray):  # there it is a view
        labels[_key(index, box)] = changed


def distinct(labels: npt.NDArray[Any]) -> list[int]:
    """Return every number of an array once."""
    # Labels are long runs of one value: few are left to be sorted.
    values = labels.ravel()
    first = np.ones(values.shape, np.bool_)
    first[1:] = values[1:] != values[:-1]
    found: list[int] = np.unique(values[first]).tolist()
    return found


def _key(index: Index, box: IntBox) -> tuple[int | slice, ...]:
    y0, x0, y1, x1 = box
    return (*index, slice(y0, y1), slice(x0, x1))
