"""Object tables: one array per column, one row per object and plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from napari_sam.segment.link import Linked
    from napari_sam.types import LabelArray, Mask, ObjectTable

# Class names are text of any length; every other column has a fixed type.
COLUMNS: Final[dict[str, type[np.generic]]] = {
    "id": np.uint32,
    "class_id": np.int64,
    "class_name": np.str_,
    "score": np.float32,
    "detection_score": np.float32,
    "stability": np.float32,
    "box_y0": np.int64,
    "box_x0": np.int64,
    "box_y1": np.int64,
    "box_x1": np.int64,
    "area": np.int64,
    "centroid_y": np.float64,
    "centroid_x": np.float64,
}
"""Columns of an object table and their types.

`score` is the IoU that the model predicted for the mask, not a probability;
boxes are half-open, centroids lie in (y, x) with pixel centres at .5; area,
box and centroid are those of the object as it ended in the label plane.
"""


def empty_table() -> ObjectTable:
    """Return a table without rows."""
    return {name: np.empty(0, kind) for name, kind in COLUMNS.items()}


def make_table(
    masks: Sequence[Mask],
    *,
    classes: npt.NDArray[Any],
    detection_scores: npt.NDArray[Any],
    class_names: Sequence[str],
) -> ObjectTable:
    """Describe the final masks of one plane; their ids are 1..n in this order."""
    if not masks:
        return empty_table()
    boxes = np.array([mask.box for mask in masks], np.int64)
    centroids = np.array([_centroid(mask) for mask in masks])
    columns: dict[str, Any] = {
        "id": np.arange(1, len(masks) + 1),
        "class_id": classes,
        "class_name": [_class_name(int(c), class_names) for c in classes],
        "score": [mask.score for mask in masks],
        "detection_score": detection_scores,
        "stability": [mask.stability for mask in masks],
        "box_y0": boxes[:, 0],
        "box_x0": boxes[:, 1],
        "box_y1": boxes[:, 2],
        "box_x1": boxes[:, 3],
        "area": [mask.area for mask in masks],
        "centroid_y": centroids[:, 0],
        "centroid_x": centroids[:, 1],
    }
    return {name: np.asarray(columns[name], kind) for name, kind in COLUMNS.items()}


def with_ids(table: ObjectTable, ids: LabelArray) -> ObjectTable:
    """Return the table with its plane ids (1..n) replaced by `ids[plane id]`."""
    return {**table, "id": ids[table["id"]]}


def with_links(table: ObjectTable, linked: Linked) -> ObjectTable:
    """Return the table of a plane with what its ids (1..n) are in the stack.

    Objects that were linked get the column `flag`, those followed through time also
    `track` (which is their id) and `parent`.
    """
    rows, columns = table["id"], with_ids(table, linked.ids)
    if linked.parents is not None:
        columns |= {"track": columns["id"], "parent": linked.parents[rows]}
    if linked.flags is not None:
        columns["flag"] = linked.flags[rows]
    return columns


def with_plane(
    table: ObjectTable, number: int, index: Sequence[int], stack_axes: str
) -> ObjectTable:
    """Put where the rows come from in front: the plane's number and its index.

    Parameters
    ----------
    table : ObjectTable
    number : int
        Running number of the plane in its stack, from 0.
    index : sequence of int
        Its position along the stack axes.
    stack_axes : str
        One letter each, for example "TZ", which gives columns `t` and `z`.
    """
    rows = len(table["id"])
    places = {"plane": number, **dict(zip(stack_axes.lower(), index, strict=True))}
    where = {name: np.full(rows, at, np.int64) for name, at in places.items()}
    return {**where, **table}


def join_tables(tables: Iterable[ObjectTable]) -> ObjectTable:
    """Put tables with the same columns below each other."""
    parts = list(tables)
    if not parts:
        return empty_table()
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _centroid(mask: Mask) -> tuple[float, float]:
    y0, x0, _, _ = mask.box
    rows, columns = mask.data.sum(1), mask.data.sum(0)
    total = rows.sum()
    y = (rows * (np.arange(rows.size) + 0.5)).sum() / total
    x = (columns * (np.arange(columns.size) + 0.5)).sum() / total
    return float(y + y0), float(x + x0)


def _class_name(number: int, names: Sequence[str]) -> str:
    return names[number] if 0 <= number < len(names) else str(number)
