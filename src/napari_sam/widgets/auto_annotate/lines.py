"""Where objects were at each time, as the data of a Tracks layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_sam.segment.result import PlaneResult


def tracks_of(
    results: Iterable[PlaneResult],
) -> tuple[npt.NDArray[np.float64], dict[int, list[int]]] | None:
    """Return the data and the graph of a Tracks layer.

    Parameters
    ----------
    results : iterable of PlaneResult
        The first of their stack axes is time.

    Returns
    -------
    data : float64 array, shape (N, D + 1)
        Track, time, and where the object's middle was then, with pixel centres at
        integers as napari has them.
    graph : dict of int to list of int
        The parent of each track that has one.

    None where there are no objects, or these were not followed through time.
    """
    parts = []
    parents: dict[int, int] = {}
    for result in results:
        objects = result.objects
        if "track" not in objects:
            return None
        count = len(objects["track"])
        where = np.broadcast_to(result.index, (count, len(result.index)))
        middles = objects["centroid_y"] - 0.5, objects["centroid_x"] - 0.5
        parts.append(
            np.column_stack([objects["track"], where, *middles, objects["area"]])
        )
        parents |= zip(
            objects["track"].tolist(), objects["parent"].tolist(), strict=True
        )
    rows: npt.NDArray[Any] = np.concatenate(parts) if parts else np.empty((0, 5))
    if not len(rows):
        return None
    weights = rows[:, -1]
    keys, inverse = np.unique(rows[:, :2], axis=0, return_inverse=True)
    total = np.bincount(inverse, weights)
    middle = [
        np.bincount(inverse, weights * column) / total for column in rows[:, 2:-1].T
    ]
    graph = {child: [parent] for child, parent in parents.items() if parent}
    return np.column_stack([keys, *middle]), graph
