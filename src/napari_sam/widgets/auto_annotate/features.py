"""The object table as the features of a Labels layer: one row per label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_sam.segment.table import join_tables, with_plane

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_sam.segment.result import PlaneResult
    from napari_sam.types import ObjectTable


def features_of(
    results: Iterable[PlaneResult], stack_axes: str, stack_shape: tuple[int, ...]
) -> ObjectTable:
    """Return one row per object, its label in the column `index`.

    Parameters
    ----------
    results : iterable of PlaneResult
    stack_axes : str
        For example "TZ", which gives the columns `t` and `z`.
    stack_shape : tuple of int

    Returns
    -------
    ObjectTable
        An object that goes through several planes has one row: where its area
        is largest, with the number of its `planes`, the pixels of all of them
        in `size`, and the flags of all of them in `flag`.
    """
    tables = []
    for result in sorted(results, key=lambda result: result.index):
        at = result.index
        number = int(np.ravel_multi_index(at, stack_shape)) if at else 0
        tables.append(with_plane(result.objects, number, at, stack_axes))
    rows = join_tables(tables)
    columns = {"index": rows["id"].astype(np.int64)}
    columns |= {name: rows[name] for name in rows if name not in ("id", "plane")}
    if not stack_axes or not tables:
        return columns
    return _one_row_each(columns)


def _one_row_each(columns: ObjectTable) -> ObjectTable:
    ids, inverse, planes = np.unique(
        columns["index"], return_inverse=True, return_counts=True
    )
    size = np.bincount(inverse, columns["area"], len(ids)).astype(np.int64)
    # Sorted by object, the largest area of each first.
    rows = np.lexsort((-columns["area"], inverse))
    first = rows[np.searchsorted(inverse[rows], np.arange(len(ids)))]
    largest = {name: values[first] for name, values in columns.items()}
    if "flag" in columns:
        said: list[set[str]] = [set() for _ in ids]
        for one, flag in zip(inverse.tolist(), columns["flag"].tolist(), strict=True):
            said[one].update(flag.split(", ") if flag else ())
        largest["flag"] = np.array([", ".join(sorted(flags)) for flags in said])
    return {**largest, "planes": planes.astype(np.int64), "size": size}
